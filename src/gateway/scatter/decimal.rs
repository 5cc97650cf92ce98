//! Decimal numbers as MySQL writes them, added, compared and divided exactly. Numbers have at most 65 digits there; what is
//! longer here is only ever on its way to such a one.

use std::cmp::Ordering;

/// A decimal number: digits, the most significant first, and how many of them stand behind the point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: usize,
}

impl Decimal {
    /// Reads `-12.50`; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let point = rest.iter().position(|byte| *byte == b'.');
        let scale = point.map_or(0, |point| rest.len() - point - 1);
        let digits: Vec<u8> = rest.iter().filter(|byte| **byte != b'.').map(|byte| byte.wrapping_sub(b'0')).collect();
        let good = !digits.is_empty()
            && digits.iter().all(|digit| *digit < 10)
            && digits.len() + usize::from(point.is_some()) == rest.len();
        good.then_some(Self { negative, digits, scale })
    }

    fn with_scale(&self, scale: usize) -> Vec<u8> {
        let mut digits = self.digits.clone();
        digits.resize(digits.len() + scale.saturating_sub(self.scale), 0);
        digits
    }

    fn aligned(&self, other: &Self) -> (Vec<u8>, Vec<u8>, usize) {
        let scale = self.scale.max(other.scale);
        let (mut one, mut two) = (self.with_scale(scale), other.with_scale(scale));
        let length = one.len().max(two.len());
        let pad = |digits: &mut Vec<u8>| drop(digits.splice(..0, std::iter::repeat_n(0, length - digits.len())));
        pad(&mut one);
        pad(&mut two);
        (one, two, scale)
    }

    /// The sum, with the greater scale.
    pub fn add(&self, other: &Self) -> Self {
        let (mut one, mut two, scale) = self.aligned(other);
        let mut negative = self.negative;
        if self.negative == other.negative {
            let mut carry = 0;
            for (a, b) in one.iter_mut().zip(&two).rev() {
                let sum = *a + b + carry;
                (*a, carry) = (sum % 10, sum / 10);
            }
            if carry > 0 {
                one.insert(0, carry);
            }
        } else {
            if one < two {
                std::mem::swap(&mut one, &mut two);
                negative = other.negative;
            }
            let mut borrow = 0;
            for (a, b) in one.iter_mut().zip(&two).rev() {
                let (difference, under) = match a.checked_sub(b + borrow) {
                    Some(difference) => (difference, 0),
                    None => (*a + 10 - b - borrow, 1),
                };
                (*a, borrow) = (difference, under);
            }
        }
        Self { negative, digits: one, scale }
    }

    /// The quotient by a whole number greater than 0, rounded half away from zero to `scale` digits.
    pub fn divide(&self, by: u128, scale: usize) -> Option<Self> {
        let mut quotient = Vec::new();
        let mut rest: u128 = 0;
        // One digit more, to round by.
        let wanted = self.digits.len() - self.scale.min(self.digits.len()) + scale + 1;
        for at in 0..wanted {
            rest = rest.checked_mul(10)? + u128::from(self.digits.get(at).copied().unwrap_or(0));
            quotient.push(u8::try_from(rest.checked_div(by)?).ok()?);
            rest %= by;
        }
        let last = quotient.pop()?;
        let mut carry = u8::from(last >= 5);
        for digit in quotient.iter_mut().rev() {
            let sum = *digit + carry;
            (*digit, carry) = (sum % 10, sum / 10);
        }
        if carry > 0 {
            quotient.insert(0, carry);
        }
        Some(Self { negative: self.negative, digits: quotient, scale })
    }

    /// As MySQL writes it.
    pub fn write(&self) -> Vec<u8> {
        let whole = self.digits.len().saturating_sub(self.scale);
        let (before, behind) = self.digits.split_at(whole);
        let zeros = before.iter().take_while(|digit| **digit == 0).count();
        let before = before.get(zeros..).unwrap_or_default();
        let mut out = Vec::with_capacity(self.digits.len() + 3);
        if self.negative && self.digits.iter().any(|digit| *digit != 0) {
            out.push(b'-');
        }
        if before.is_empty() {
            out.push(b'0');
        }
        out.extend(before.iter().map(|digit| digit + b'0'));
        if self.scale > 0 {
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', self.scale.saturating_sub(behind.len())));
            out.extend(behind.iter().map(|digit| digit + b'0'));
        }
        out
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two, _) = self.aligned(other);
        let zero = |digits: &[u8]| digits.iter().all(|digit| *digit == 0);
        match (self.negative && !zero(&one), other.negative && !zero(&two)) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => one.cmp(&two),
            (true, true) => two.cmp(&one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn text(decimal: &Decimal) -> String {
        String::from_utf8(decimal.write()).unwrap()
    }

    #[test]
    fn sums_and_quotients_are_exact() {
        for (one, two, sum) in [
            ("1.50", "2.5", "4.00"),
            ("-1.5", "1.50", "0.00"),
            ("0.05", "-0.1", "-0.05"),
            ("999", "1", "1000"),
            ("99999999999999999999999999999999999.99", "0.01", "100000000000000000000000000000000000.00"),
        ] {
            assert_eq!(text(&of(one).add(&of(two))), sum, "{one} + {two}");
        }
        for (number, by, scale, quotient) in [
            ("10", 4, 4, "2.5000"),
            ("1.00", 3, 6, "0.333333"),
            ("2", 3, 4, "0.6667"),
            ("-2", 3, 4, "-0.6667"),
            ("0", 3, 2, "0.00"),
            ("99.99995", 1, 4, "100.0000"),
        ] {
            assert_eq!(text(&of(number).divide(by, scale).unwrap()), quotient, "{number} / {by}");
        }
        assert!(of("-2.5") < of("-2.49") && of("-0.0") == of("-0.0") && of("10") > of("9.99"));
        for wrong in ["", "-", "1e5", "1.2.3", "x"] {
            assert_eq!(Decimal::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn they_are_as_with_whole_numbers(one in -1_000_000_000i64..1_000_000_000, two in -1_000_000_000i64..1_000_000_000, scale in 0usize..4) {
            let shown = |number: i64| {
                let unit = 10i64.pow(scale as u32);
                let sign = if number < 0 { "-" } else { "" };
                let number = number.abs();
                if scale == 0 { format!("{sign}{number}") } else { format!("{sign}{}.{:0scale$}", number / unit, number % unit) }
            };
            let (a, b) = (of(&shown(one)), of(&shown(two)));
            prop_assert_eq!(text(&a.add(&b)), shown(one + two));
            prop_assert_eq!(a.cmp(&b), one.cmp(&two));
        }
    }
}
