//! Decimal numbers as they were written, so that 0.3 holds exactly three times 0.1.

/// A decimal number that is not negative: `digits` × 10^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: u128,
    exponent: i32,
    bits: u64,
}

/// Significant digits: so many that products with a count of up to 10^12 fit 128 bits.
const DIGITS_MAX: usize = 25;

/// Exponents beyond this are beyond floating point as well.
const EXPONENT_MAX: i32 = 400;

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { digits: 0, exponent: 0, bits: 0 };

    /// Compares with 1, exactly.
    pub fn cmp_one(self) -> core::cmp::Ordering {
        match u32::try_from(-self.exponent) {
            Ok(places) => match 10u128.checked_pow(places) {
                Some(one) => self.digits.cmp(&one),
                None => core::cmp::Ordering::Less,
            },
            Err(_) => core::cmp::Ordering::Greater,
        }
    }

    /// Reads `12`, `0.5`, `.5`, `1e-300`. `None` for anything else, for a negative number, for more than 25
    /// significant digits, and for what floating point cannot hold: too large, or not zero but too small.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{part}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kept = all.trim_start_matches('0').trim_end_matches('0');
        let dropped = all.len() - all.trim_end_matches('0').len();
        if kept.len() > DIGITS_MAX {
            return None;
        }
        if kept.is_empty() {
            return Some(Self::ZERO);
        }
        let shift = i32::try_from(dropped).ok()? - i32::try_from(part.len()).ok()?;
        let exponent = exponent.checked_add(shift)?;
        if exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let digits = kept.parse().ok()?;
        let value: f64 = format!("{digits}e{exponent}").parse().ok()?;
        let fits = value.is_finite() && value > 0.0;
        fits.then_some(Self { digits, exponent, bits: value.to_bits() })
    }

    /// The nearest floating-point number.
    pub const fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// The number as a count, if it is whole and below 2⁶⁴.
    pub fn whole(self) -> Option<u64> {
        if self.digits == 0 {
            return Some(0);
        }
        let power = 10u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        u64::try_from(self.digits.checked_mul(power)?).ok()
    }

    /// 1 − self without the rounding of self; for numbers up to 1.
    pub fn complement(self) -> f64 {
        let Ok(places) = u32::try_from(-self.exponent) else { return 1.0 - self.value() };
        match 10u128.checked_pow(places) {
            Some(one) => one.saturating_sub(self.digits) as f64 / one as f64,
            None => 1.0 - self.value(),
        }
    }

    /// ⌊self / other⌋, exactly; `None` for a division by zero and from 2⁶³ on.
    pub fn times(self, other: Self) -> Option<u64> {
        if other.digits == 0 {
            return None;
        }
        let (mut quotient, mut rest) = (self.digits / other.digits, self.digits % other.digits);
        let shift = self.exponent - other.exponent;
        for _ in 0..shift.max(0) {
            quotient = quotient.checked_mul(10)? + rest * 10 / other.digits;
            rest = rest * 10 % other.digits;
            if quotient > 1 << 63 {
                return None;
            }
        }
        for _ in 0..(-shift).max(0) {
            quotient /= 10;
        }
        u64::try_from(quotient).ok().filter(|quotient| *quotient < 1 << 63)
    }

    /// The whole number nearest to `count` × self, halves up; for a self up to 1 and a count up to
    /// 10^12.
    pub fn nearest_of(self, count: u64) -> u64 {
        let Ok(places) = u32::try_from(-self.exponent) else {
            return self.whole().unwrap_or(u64::MAX).saturating_mul(count);
        };
        let Some(one) = 10u128.checked_pow(places) else { return 0 };
        // Twice the product and one half more; both sides stay below 2¹²⁸.
        let product = u128::from(count) * self.digits;
        let (whole, rest) = (product / one, product % one);
        let up = u128::from(rest >= one - rest);
        u64::try_from(whole + up).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn division_counts_as_on_paper() {
        for (a, b, times) in [
            ("0.3", "0.1", 3),
            ("0.7", "0.1", 7),
            ("1e3", "0.001", 1_000_000),
            ("0.29999999999999999", "0.1", 2),
            ("10", "3", 3),
            ("0", "3", 0),
            ("1", "1e30", 0),
            ("3e-300", "1e-300", 3),
        ] {
            assert_eq!(of(a).times(of(b)), Some(times), "{a} / {b}");
        }
        assert_eq!(of("1").times(of("0")), None);
        assert_eq!(of("1").times(of("1e-300")), None);
    }

    #[test]
    fn halves_round_up() {
        for (share, count, nearest) in [
            ("0.5", 5, 3),
            ("0.25", 10, 3),
            ("0.35", 10, 4),
            ("0.249", 10, 2),
            ("1", 7, 7),
            ("1e-300", 9, 0),
        ] {
            assert_eq!(of(share).nearest_of(count), nearest, "{share} of {count}");
        }
    }

    #[test]
    fn only_plain_decimals_are_read() {
        for text in [
            "", ".", "-1", "+1", "nan", "inf", "1e", "1_0", "0x1", "1e999", "1e-999", " 1", "1.2.3",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(
            (of("1e3").whole(), of("1.50").whole(), of("2.0").whole()),
            (Some(1000), None, Some(2))
        );
        assert_eq!(of("0.999999999999999999").complement(), 1e-18);
        assert_eq!((of(".5").value(), of("1e-300").value(), of("0.1").value()), (0.5, 1e-300, 0.1));
    }
}
