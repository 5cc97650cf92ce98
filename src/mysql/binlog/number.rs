//! Integers and floating-point numbers as MySQL prints them.
//!
//! DOUBLE: the shortest digits that read back as the same bits (ryu), laid out as `my_gcvt` lays them out: plain while the
//! decimal point falls within 15 places of the first digit, else `1.5e16`. So a value has the same text whether it came from
//! the binlog or from a SELECT. Source: mysql-server/strings/dtoa.cc, `my_gcvt`, `MAX_DECPT_FOR_F_FORMAT`.

/// Places the decimal point may be away from the first digit in plain notation (DBL_DIG).
const PLAIN: i32 = 15;

const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
4041424344454647484950515253545556575859606162636465666768697071727374757677787980818283848586878889\
90919293949596979899";

/// Appends `number` in decimal.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, mut number: u64) {
    let mut buffer = [0u8; 20];
    let mut at = buffer.len();
    while number >= 100 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if number >= 10 {
        let pair = number as usize * 2;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buffer[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Appends `number` in decimal.
#[inline]
pub fn signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    unsigned(out, number.unsigned_abs());
}

/// Appends `number`, below 100, as two digits.
#[inline]
pub fn two(out: &mut Vec<u8>, number: u64) {
    let pair = (number % 100) as usize * 2;
    out.extend_from_slice(&PAIRS[pair..pair + 2]);
}

/// Appends `number` with leading zeros to `width` digits.
pub fn padded(out: &mut Vec<u8>, number: u64, width: u32) {
    let mut power = 10u64.saturating_pow(width.saturating_sub(1));
    while power > 1 && number < power {
        out.push(b'0');
        power /= 10;
    }
    unsigned(out, number);
}

/// Appends a DOUBLE. MySQL stores neither infinities nor NaN: `false` for these, nothing is appended.
pub fn double(out: &mut Vec<u8>, number: f64) -> bool {
    if !number.is_finite() {
        return false;
    }
    let mut shortest = ryu::Buffer::new();
    let text = shortest.format_finite(number).as_bytes();
    let (mantissa, exponent) = match text.iter().position(|&b| b == b'e') {
        Some(at) => (&text[..at], exponent(&text[at + 1..])),
        None => (text, 0),
    };
    // `digits` without the point; the number is 0.digits × 10^point.
    let mut digits = [0u8; 32];
    let mut len = 0;
    let mut point = None;
    for &byte in mantissa {
        match byte {
            b'-' => out.push(b'-'),
            b'.' => point = Some(len as i32),
            digit => {
                digits[len] = digit;
                len += 1;
            }
        }
    }
    let leading = digits[..len].iter().take_while(|&&b| b == b'0').count();
    if leading == len {
        out.push(b'0');
        return true;
    }
    let point = point.unwrap_or(len as i32) - leading as i32 + exponent;
    let trailing = digits[..len].iter().rev().take_while(|&&b| b == b'0').count();
    lay_out(out, &digits[leading..len - trailing], point);
    true
}

/// Appends a DOUBLE as JSON prints it: with a point or an exponent always, so that it is read back as one. `false` for
/// infinities and NaN, and nothing is appended. Source: mysql-server/sql-common/json_dom.cc, `wrapper_to_string`.
pub fn json_double(out: &mut Vec<u8>, number: f64) -> bool {
    let start = out.len();
    let finite = double(out, number);
    if finite && !out[start..].iter().any(|b| matches!(b, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
    finite
}

/// Appends 0.`digits` × 10^`point`.
fn lay_out(out: &mut Vec<u8>, digits: &[u8], point: i32) {
    let len = digits.len() as i32;
    if (-PLAIN + 1..=PLAIN).contains(&point) {
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
            out.extend_from_slice(digits);
        } else if point >= len {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', (point - len) as usize));
        } else {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        return;
    }
    let (first, more) = digits.split_at(1);
    out.extend_from_slice(first);
    if !more.is_empty() {
        out.push(b'.');
        out.extend_from_slice(more);
    }
    out.push(b'e');
    signed(out, i64::from(point - 1));
}

fn exponent(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let size = digits.iter().fold(0i32, |size, &b| size * 10 + i32::from(b - b'0'));
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_look_as_mysql_prints_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (123456789012345.6, "123456789012345.6"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.25e-20, "1.25e-20"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (f64::from(1e-45f32), "1.401298464324817e-45"),
        ] {
            assert_eq!(text(|out| assert!(double(out, number))), expected);
        }
        assert!(!double(&mut Vec::new(), f64::NAN));
        for (number, expected) in [(1.0, "1.0"), (-0.0, "-0.0"), (1.5, "1.5"), (1e15, "1e15")] {
            assert_eq!(text(|out| assert!(json_double(out, number))), expected);
        }
        assert!(!json_double(&mut Vec::new(), f64::INFINITY));
    }

    proptest! {
        #[test]
        fn doubles_read_back(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let shown = text(|out| assert!(double(out, number)));
            prop_assert_eq!(shown.parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn integers_print_as_display_does(number in any::<i64>(), small in 0u64..1000, width in 1u32..8) {
            prop_assert_eq!(text(|out| signed(out, number)), number.to_string());
            prop_assert_eq!(text(|out| unsigned(out, number as u64)), (number as u64).to_string());
            prop_assert_eq!(text(|out| padded(out, small, width)), format!("{small:0w$}", w = width as usize));
        }
    }
}
