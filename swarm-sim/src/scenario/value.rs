//! Values with their units and bounds. Each is checked where it is read.

use core::fmt;
use core::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A share of a whole, in parts of [`Share::WHOLE`]; written "12.5 %".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    /// Parts that make the whole.
    pub const WHOLE: u64 = 1_000_000_000;

    /// Nothing.
    pub const NONE: Self = Self(0);

    /// So many percent, at most 100.
    #[cfg(test)]
    pub(crate) fn percent(percent: u64) -> Self {
        Self(percent.min(100) * (Self::WHOLE / 100))
    }

    /// So many parts of [`Self::WHOLE`], at most all.
    pub const fn from_parts(parts: u64) -> Self {
        Self(if parts < Self::WHOLE { parts } else { Self::WHOLE })
    }

    /// Parts of [`Self::WHOLE`].
    pub const fn parts(self) -> u64 {
        self.0
    }

    /// That share of `count`, to the nearest whole number, halves up.
    pub fn of(self, count: usize) -> usize {
        let whole = u128::from(Self::WHOLE);
        let parts = u128::from(self.0) * count as u128;
        usize::try_from((parts + whole / 2) / whole).unwrap_or(count)
    }
}

/// A decimal number and a unit: the number in billionths of the unit named.
fn number_and_unit(text: &str) -> Option<(u128, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || whole.len() > 15 || part.len() > 9 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = format!("{part:0<9}").parse().ok()?;
    Some((whole * 1_000_000_000 + part, unit.trim()))
}

/// Reads a string by a function that says what it expects.
fn from_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    struct Text<F>(&'static str, F);

    impl<T, F: Fn(&str) -> Option<T>> Visitor<'_> for Text<F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).ok_or_else(|| E::custom(format!("expected {}, found {text:?}", self.0)))
        }
    }

    deserializer.deserialize_str(Text(expected, read))
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a share from \"0 %\" to \"100 %\"", |text| {
            let (billionths, unit) = number_and_unit(text)?;
            let parts = u64::try_from(billionths / 100).ok()?;
            (unit == "%" && parts <= Self::WHOLE).then_some(Self(parts))
        })
    }
}

/// The longest time that a scenario may name: ten years.
const TIME_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

fn time(text: &str) -> Option<Duration> {
    let (billionths, unit) = number_and_unit(text)?;
    let nanos: u128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let nanos = u64::try_from(billionths * nanos / 1_000_000_000).ok()?;
    Some(Duration::from_nanos(nanos)).filter(|time| *time <= TIME_MAX)
}

/// A time that may be zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delay(pub(super) Duration);

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str =
            "a time of at most ten years such as \"50 ms\" (ns, us, ms, s, min, h, d)";
        from_text(deserializer, EXPECTED, |text| time(text).map(Self))
    }
}

/// A time above zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period(pub(super) Duration);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str =
            "a time above zero, of at most ten years, such as \"50 ms\" (ns, us, ms, s, min, h, d)";
        from_text(deserializer, EXPECTED, |text| time(text).filter(|t| !t.is_zero()).map(Self))
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) usize);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a size such as \"400 B\" or \"4 KiB\"", |text| {
            let (billionths, unit) = number_and_unit(text)?;
            let factor = match unit {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                _ => return None,
            };
            usize::try_from(billionths * factor / 1_000_000_000).ok().map(Self)
        })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole<const MIN: u32, const MAX: u32>;

        impl<const MIN: u32, const MAX: u32> Visitor<'_> for Whole<MIN, MAX> {
            type Value = u32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<u32, E> {
                let fits = |value: &u32| (MIN..=MAX).contains(value);
                u32::try_from(value).ok().filter(fits).ok_or_else(|| {
                    E::custom(format!("expected a whole number from {MIN} to {MAX}, found {value}"))
                })
            }
        }

        deserializer.deserialize_i64(Whole::<MIN, MAX>).map(Self)
    }
}

/// The shape of a gamma distribution, from 0.1 to 1000.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape(pub(super) f64);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0.1 to 1000")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
                if (0.1..=1000.0).contains(&value) {
                    return Ok(value);
                }
                Err(E::custom(format!("expected a number from 0.1 to 1000, found {value}")))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
                self.visit_f64(value as f64)
            }
        }

        deserializer.deserialize_any(Number).map(Self)
    }
}

/// A number from a millionth to a million.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positive(pub(super) f64);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0.000001 to 1000000")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
                if (1e-6..=1e6).contains(&value) {
                    return Ok(value);
                }
                Err(E::custom(format!("expected a number from 0.000001 to 1000000, found {value}")))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
                self.visit_f64(value as f64)
            }
        }

        deserializer.deserialize_any(Number).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_need_a_unit() {
        assert_eq!(time("50 ms"), Some(Duration::from_millis(50)));
        assert_eq!(time("0.1 s"), Some(Duration::from_millis(100)));
        assert_eq!(time("1.5min"), Some(Duration::from_secs(90)));
        assert_eq!(time("14 d"), Some(Duration::from_secs(14 * 86_400)));
        for wrong in ["50", "ms", "-1 s", "1 %", "1.2.3 s", ". s", "1. s", "4000 d", "1e3 s", ""] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn share_of_a_count_is_rounded_to_the_nearest() {
        let percent = Share::percent;
        assert_eq!(percent(20).of(60), 12);
        assert_eq!(percent(50).of(5), 3);
        assert_eq!(percent(0).of(5), 0);
        assert_eq!(percent(100).of(7), 7);
    }

    /// What a key `x` with this value becomes, or the sentence that refuses it.
    fn read<T: for<'de> Deserialize<'de>>(value: &str) -> Result<T, String> {
        #[derive(serde::Deserialize)]
        struct File<T> {
            x: T,
        }
        let file: Result<File<T>, _> = toml::from_str(&format!("x = {value}"));
        file.map(|file| file.x).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn every_unit_is_what_its_name_says() {
        let nanos = |text: &str| time(text).map(|time| time.as_nanos());
        let units = [("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000)];
        for (unit, length) in units {
            assert_eq!(nanos(&format!("3 {unit}")), Some(3 * length), "{unit}");
        }
        let longer = ["1 min", "1 h", "1 d"].map(nanos);
        assert_eq!(longer, [60, 3600, 86_400].map(|seconds| Some(seconds * 1_000_000_000)));
        let bytes = |text| read::<Bytes>(text).ok().map(|bytes| bytes.0);
        assert_eq!(bytes("\"7 B\""), Some(7));
        assert_eq!(bytes("\"3 KiB\""), Some(3 << 10));
        assert_eq!(bytes("\"1.5 MiB\""), Some(3 << 19));
        let parts = |text| read::<Share>(text).ok().map(Share::parts);
        assert_eq!(parts("\"12.5 %\""), Some(Share::WHOLE / 8));
    }

    #[test]
    fn values_are_taken_up_to_their_ends_and_not_beyond() {
        assert_eq!(time("3650 d"), Some(TIME_MAX));
        assert_eq!((time("3650.000000001 d"), time("1.1234567890 s")), (None, None));
        assert!(time("1.123456789 s").is_some() && time("000000000000001 s").is_some());
        assert_eq!(time("0000000000000001 s"), None);
        assert_eq!(read::<Share>("\"100 %\"").map(Share::parts), Ok(Share::WHOLE));
        assert!(read::<Share>("\"100.0000001 %\"").is_err());
        assert_eq!(Share::from_parts(Share::WHOLE + 1).parts(), Share::WHOLE);
        let shape = |text| read::<Shape>(text).map(|shape| shape.0).ok();
        assert_eq!([shape("0.1"), shape("1000")], [Some(0.1), Some(1000.0)]);
        assert_eq!([shape("0.0999"), shape("1000.1"), shape("nan")], [None; 3]);
        let positive = |text| read::<Positive>(text).map(|positive| positive.0).ok();
        assert_eq!([positive("1e-6"), positive("1000000")], [Some(1e-6), Some(1e6)]);
        assert_eq!([positive("9e-7"), positive("1000001"), positive("inf")], [None; 3]);
    }
}
