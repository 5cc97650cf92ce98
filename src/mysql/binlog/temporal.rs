//! DATE, TIME, DATETIME, TIMESTAMP and YEAR: the formats of MySQL 5.6.4 and later to text.
//!
//! Zero and partial dates are values like any other. Source: mysql-server/mysys/my_time.cc (`my_time_packed_from_binary`,
//! `my_datetime_packed_from_binary`, `my_timestamp_from_binary`).

use super::cursor::{Malformed, be, le};
use super::number::{padded, two, unsigned};

/// Bits of the microseconds in MySQL's packed 64-bit date and time.
const FRACTION_BITS: u32 = 24;
const WRONG_LENGTH: Malformed = Malformed("a date or time of the wrong length");
const IMPOSSIBLE: Malformed = Malformed("a date or time that MySQL cannot hold");

/// Bytes that the fraction of `fsp` digits takes.
pub fn fraction_len(fsp: u8) -> usize {
    usize::from(fsp).div_ceil(2)
}

/// Appends a YEAR.
pub fn year(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Malformed> {
    match raw {
        [0] => out.extend_from_slice(b"0000"),
        [year] => unsigned(out, 1900 + u64::from(*year)),
        _ => return Err(WRONG_LENGTH),
    }
    Ok(())
}

/// Appends a DATE.
pub fn date(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Malformed> {
    if raw.len() != 3 {
        return Err(WRONG_LENGTH);
    }
    let packed = le(raw);
    ymd(out, packed >> 9, packed >> 5 & 15, packed & 31)
}

/// Appends a DATETIME(fsp).
pub fn datetime(out: &mut Vec<u8>, raw: &[u8], fsp: u8) -> Result<(), Malformed> {
    let (whole, micros) = split(raw, 5, fsp)?;
    let packed = whole.checked_sub(0x80_0000_0000).ok_or(IMPOSSIBLE)?;
    packed_datetime(out, packed << FRACTION_BITS | micros, fsp)
}

/// Appends a TIME(fsp).
pub fn time(out: &mut Vec<u8>, raw: &[u8], fsp: u8) -> Result<(), Malformed> {
    if raw.len() != 3 + fraction_len(fsp) {
        return Err(WRONG_LENGTH);
    }
    // Whole and fraction are one number with an offset, so a negative time borrows across the two.
    let unit: i64 = match fraction_len(fsp) {
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    let bits = 8 * fraction_len(fsp) as u32;
    let value = be(raw) as i64 - (0x80_0000_i64 << bits);
    let magnitude = value.unsigned_abs();
    let micros = (magnitude & ((1 << bits) - 1)) * unit as u64;
    let packed = ((magnitude >> bits) << FRACTION_BITS | micros) as i64;
    packed_time(out, if value < 0 { -packed } else { packed }, fsp)
}

/// Appends a TIMESTAMP(fsp) in UTC.
pub fn timestamp(out: &mut Vec<u8>, raw: &[u8], fsp: u8) -> Result<(), Malformed> {
    let (seconds, micros) = split(raw, 4, fsp)?;
    if seconds == 0 && micros == 0 {
        out.extend_from_slice(b"0000-00-00 00:00:00");
    } else {
        let (year, month, day) = civil(seconds / 86_400);
        ymd(out, year, month, day)?;
        let clock = seconds % 86_400;
        out.push(b' ');
        hms(out, clock / 3600, clock / 60 % 60, clock % 60);
    }
    fraction(out, micros, fsp)
}

/// Appends a date and time in MySQL's packed 64-bit form, as JSON holds it; `fsp` digits of fraction.
pub fn packed_datetime(out: &mut Vec<u8>, packed: u64, fsp: u8) -> Result<(), Malformed> {
    packed_date(out, packed)?;
    let clock = packed >> FRACTION_BITS & 0x1_FFFF;
    out.push(b' ');
    hms(out, clock >> 12, clock >> 6 & 63, clock & 63);
    fraction(out, packed & ((1 << FRACTION_BITS) - 1), fsp)
}

/// Appends the date of the packed form.
pub fn packed_date(out: &mut Vec<u8>, packed: u64) -> Result<(), Malformed> {
    let days = packed >> (FRACTION_BITS + 17);
    let months = days >> 5;
    ymd(out, months / 13, months % 13, days & 31)
}

/// Appends a time in the packed form, which is negative for a negative time.
pub fn packed_time(out: &mut Vec<u8>, packed: i64, fsp: u8) -> Result<(), Malformed> {
    let magnitude = packed.unsigned_abs();
    let clock = magnitude >> FRACTION_BITS;
    let hours = clock >> 12;
    if hours > 838 {
        return Err(IMPOSSIBLE);
    }
    if packed < 0 {
        out.push(b'-');
    }
    if hours >= 100 {
        unsigned(out, hours);
        out.push(b':');
        two(out, clock >> 6 & 63);
        out.push(b':');
        two(out, clock & 63);
    } else {
        hms(out, hours, clock >> 6 & 63, clock & 63);
    }
    fraction(out, magnitude & ((1 << FRACTION_BITS) - 1), fsp)
}

/// Splits a whole part of `width` bytes from a fraction of `fsp` digits, given in microseconds.
fn split(raw: &[u8], width: usize, fsp: u8) -> Result<(u64, u64), Malformed> {
    if fsp > 6 || raw.len() != width + fraction_len(fsp) {
        return Err(WRONG_LENGTH);
    }
    let (whole, fraction) = raw.split_at(width);
    let unit = match fraction.len() {
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    Ok((be(whole), be(fraction) * unit))
}

fn ymd(out: &mut Vec<u8>, year: u64, month: u64, day: u64) -> Result<(), Malformed> {
    if year > 9999 || month > 12 {
        return Err(IMPOSSIBLE);
    }
    two(out, year / 100);
    two(out, year % 100);
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
    Ok(())
}

fn hms(out: &mut Vec<u8>, hours: u64, minutes: u64, seconds: u64) {
    two(out, hours);
    out.push(b':');
    two(out, minutes);
    out.push(b':');
    two(out, seconds);
}

fn fraction(out: &mut Vec<u8>, micros: u64, fsp: u8) -> Result<(), Malformed> {
    if micros > 999_999 || fsp > 6 {
        return Err(IMPOSSIBLE);
    }
    if fsp > 0 {
        out.push(b'.');
        padded(out, micros / 10u64.pow(6 - u32::from(fsp)), u32::from(fsp));
    }
    Ok(())
}

/// Year, month and day of a day since 1970. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> Result<(), Malformed>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn negative_times_borrow_from_the_fraction() {
        // -00:00:00.1 as TIME(1): one tenth below the offset.
        assert_eq!(text(|out| time(out, &[0x7F, 0xFF, 0xFF, 0xF6], 1)), "-00:00:00.1");
        assert_eq!(text(|out| time(out, &[0x80, 0, 0], 0)), "00:00:00");
        assert_eq!(text(|out| time(out, &[0x4B, 0x91, 0x05], 0)), "-838:59:59");
    }

    #[test]
    fn timestamps_are_utc() {
        assert_eq!(text(|out| timestamp(out, &[0; 4], 0)), "0000-00-00 00:00:00");
        assert_eq!(text(|out| timestamp(out, &[0; 7], 6)), "0000-00-00 00:00:00.000000");
        let last = 0x7FFF_FFFFu32.to_be_bytes();
        assert_eq!(text(|out| timestamp(out, &last, 0)), "2038-01-19 03:14:07");
        let leap = 951_782_400u32.to_be_bytes();
        assert_eq!(text(|out| timestamp(out, &leap, 0)), "2000-02-29 00:00:00");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..9), fsp in 0u8..7) {
            let mut out = Vec::new();
            let _ = (date(&mut out, &raw), datetime(&mut out, &raw, fsp), time(&mut out, &raw, fsp));
            let _ = (timestamp(&mut out, &raw, fsp), year(&mut out, &raw));
        }

        #[test]
        fn packed_forms_do_not_panic(packed in any::<u64>()) {
            let mut out = Vec::new();
            let _ = (packed_datetime(&mut out, packed, 6), packed_time(&mut out, packed as i64, 6));
        }
    }
}
