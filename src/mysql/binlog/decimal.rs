//! DECIMAL: MySQL's packed binary form to text.
//!
//! Nine decimal digits per four big-endian bytes, the leading and the last group shorter; the first bit is inverted, and all
//! bits where the number is negative. Source: mysql-server/strings/decimal.cc, `bin2decimal`.

use super::cursor::{Malformed, be};
use super::number;

/// Bytes that 0 to 8 leftover digits take.
const LEFTOVER: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
/// Most bytes a DECIMAL(65, s) takes.
const MAX_LEN: usize = 32;

/// The bytes a DECIMAL(precision, scale) takes; `None` where no such type exists.
pub fn binary_len(precision: u8, scale: u8) -> Option<usize> {
    if precision == 0 || precision > 65 || scale > 30 || scale > precision {
        return None;
    }
    let (whole, fraction) = (usize::from(precision - scale), usize::from(scale));
    Some(whole / 9 * 4 + LEFTOVER[whole % 9] + fraction / 9 * 4 + LEFTOVER[fraction % 9])
}

/// Appends the text of a DECIMAL(precision, scale): `-12.30`, `0.50`.
pub fn render(out: &mut Vec<u8>, raw: &[u8], precision: u8, scale: u8) -> Result<(), Malformed> {
    let len = binary_len(precision, scale).ok_or(Malformed("a DECIMAL of an impossible precision"))?;
    if raw.len() != len || len > MAX_LEN {
        return Err(Malformed("a DECIMAL of the wrong length"));
    }
    let mut bytes = [0u8; MAX_LEN];
    let bytes = &mut bytes[..len];
    let negative = raw[0] & 0x80 == 0;
    let flip = if negative { 0xFF } else { 0 };
    for (to, from) in bytes.iter_mut().zip(raw) {
        *to = from ^ flip;
    }
    bytes[0] ^= 0x80;

    let (whole, fraction) = (usize::from(precision - scale), usize::from(scale));
    if negative {
        out.push(b'-');
    }
    let start = out.len();
    let mut rest: &[u8] = bytes;
    group(out, &mut rest, LEFTOVER[whole % 9], whole % 9, start)?;
    for _ in 0..whole / 9 {
        group(out, &mut rest, 4, 9, start)?;
    }
    if out.len() == start {
        out.push(b'0');
    }
    if fraction > 0 {
        out.push(b'.');
        for _ in 0..fraction / 9 {
            group(out, &mut rest, 4, 9, usize::MAX)?;
        }
        group(out, &mut rest, LEFTOVER[fraction % 9], fraction % 9, usize::MAX)?;
    }
    Ok(())
}

/// Appends one group of `digits` digits; the number's leading zeros are left out while nothing stands at `start` yet.
fn group(out: &mut Vec<u8>, rest: &mut &[u8], width: usize, digits: usize, start: usize) -> Result<(), Malformed> {
    if digits == 0 {
        return Ok(());
    }
    let (now, later) = rest.split_at_checked(width).ok_or(Malformed("a DECIMAL ends too early"))?;
    *rest = later;
    let value = be(now);
    if value >= 10u64.pow(digits as u32) {
        return Err(Malformed("a DECIMAL with more digits than its type has"));
    }
    if out.len() > start || start == usize::MAX {
        number::padded(out, value, digits as u32);
    } else if value > 0 {
        number::unsigned(out, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(raw: &[u8], precision: u8, scale: u8) -> Result<String, Malformed> {
        let mut out = Vec::new();
        render(&mut out, raw, precision, scale).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_manuals_example() {
        // mysql-server/strings/decimal.cc: 1234567890.1234 as DECIMAL(14,4).
        let raw = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(shown(&raw, 14, 4).unwrap(), "1234567890.1234");
        let negative: Vec<u8> = raw.iter().map(|b| !b).collect();
        assert_eq!(shown(&negative, 14, 4).unwrap(), "-1234567890.1234");
        assert_eq!(shown(&[0x80, 50], 3, 2).unwrap(), "0.50");
        assert_eq!(shown(&[0x80], 2, 0).unwrap(), "0");
        assert!(shown(&[0xE4], 2, 0).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..40), p in any::<u8>(), s in any::<u8>()) {
            let _ = shown(&raw, p, s);
        }
    }
}
