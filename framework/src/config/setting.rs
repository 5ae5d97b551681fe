//! Values of settings: from YAML, where they have a type, and from variables and arguments, where they are text.

use std::time::Duration;

use figment::value::{Num, Value};

use crate::listener::spec::{Model, Start};

/// A type that a setting can have.
pub(crate) trait Setting: Sized {
    /// What it is called in messages.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_number(_: i128) -> Option<Self> {
        None
    }

    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    /// Reads a value, or says what was found instead.
    fn from_value(value: &Value) -> Result<Self, String> {
        let read = match value {
            Value::String(_, text) => Self::from_text(text.trim()),
            Value::Char(_, c) => Self::from_text(c.encode_utf8(&mut [0; 4])),
            Value::Bool(_, value) => Self::from_bool(*value),
            Value::Num(_, number) => whole(*number).and_then(Self::from_number),
            Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
        };
        read.ok_or_else(|| {
            let found = match value {
                Value::Num(_, number) => number.to_actual(),
                other => other.to_actual(),
            };
            let wrong = match value {
                Value::Empty(..) | Value::Dict(..) | Value::Array(..) => "type",
                _ => "value",
            };
            format!("invalid {wrong}: found {found}, expected {}", Self::EXPECTED)
        })
    }
}

fn whole(number: Num) -> Option<i128> {
    number.to_i128().or_else(|| number.to_u128().and_then(|number| i128::try_from(number).ok()))
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn from_number(number: i128) -> Option<Self> {
        Some(number.to_string())
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

macro_rules! whole_numbers {
    ($($ty:ident: $expected:literal),*) => {$(
        impl Setting for $ty {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn from_number(number: i128) -> Option<Self> {
                number.try_into().ok()
            }
        }
    )*};
}

whole_numbers! {
    u16: "a number from 0 to 65535",
    u32: "a whole number, 0 or more"
}

/// A whole number that is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AtLeastOne(pub(crate) u32);

impl Setting for AtLeastOne {
    const EXPECTED: &'static str = "a whole number, 1 or more";

    fn from_text(text: &str) -> Option<Self> {
        Self::from_number(text.parse().ok()?)
    }

    fn from_number(number: i128) -> Option<Self> {
        u32::try_from(number).ok().filter(|number| *number > 0).map(Self)
    }
}

/// A size in bytes: `4MiB`, `512KB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

impl Setting for Size {
    const EXPECTED: &'static str = "a size such as `4MiB`, or a number of bytes";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        // As in Spring, the decimal spellings mean the binary sizes.
        let factor: usize = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return None,
        };
        usize::try_from(number).ok()?.checked_mul(factor).map(Self)
    }

    fn from_number(number: i128) -> Option<Self> {
        number.try_into().ok().map(Self)
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a time such as `3s`, or a number of milliseconds";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let scale = |by: u64| number.checked_mul(by);
        match unit {
            "" | "ms" => Some(Self::from_millis(number)),
            "us" => Some(Self::from_micros(number)),
            "s" => Some(Self::from_secs(number)),
            "m" | "min" => scale(60).map(Self::from_secs),
            "h" => scale(3_600).map(Self::from_secs),
            "d" => scale(86_400).map(Self::from_secs),
            _ => None,
        }
    }

    fn from_number(number: i128) -> Option<Self> {
        u64::try_from(number).ok().map(Self::from_millis)
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

impl Setting for Model {
    const EXPECTED: &'static str = "`clustering` or `broadcasting`";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "clustering" => Some(Self::Clustering),
            "broadcasting" => Some(Self::Broadcasting),
            _ => None,
        }
    }
}

impl Setting for Start {
    const EXPECTED: &'static str = "`last` or `first`";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().replace('-', "_").as_str() {
            "last" | "consume_from_last_offset" => Some(Self::Last),
            "first" | "consume_from_first_offset" => Some(Self::First),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units_or_are_plain_numbers() {
        let time = |value: Value| Duration::from_value(&value).ok();
        assert_eq!(time(Value::from("3s")), Some(Duration::from_secs(3)));
        assert_eq!(time(Value::from("3000")), Some(Duration::from_secs(3)));
        assert_eq!(time(Value::from(3000)), Some(Duration::from_secs(3)));
        assert_eq!(time(Value::from("90 min")), Some(Duration::from_secs(5_400)));
        assert_eq!(time(Value::from("3 parsecs")), None);
        assert_eq!(time(Value::from(-1)), None);
        assert_eq!(Size::from_value(&Value::from("4MiB")), Ok(Size(4_194_304)));
        assert_eq!(Size::from_value(&Value::from("99999999999G")).ok(), None);
    }

    #[test]
    fn a_wrong_value_says_what_was_found_and_expected() {
        assert_eq!(
            u32::from_value(&Value::from(vec![1])).unwrap_err(),
            "invalid type: found sequence, expected a whole number, 0 or more"
        );
        assert_eq!(
            bool::from_value(&Value::from("maybe")).unwrap_err(),
            "invalid value: found string \"maybe\", expected `true` or `false`"
        );
        assert_eq!(
            AtLeastOne::from_value(&Value::from(0)).unwrap_err(),
            "invalid value: found signed int `0`, expected a whole number, 1 or more"
        );
    }
}
