//! The extension fields of a command, and the typed headers that are read from and written to them.
//!
//! On the wire every value is text. Requests of some clients bring JSON numbers and booleans, which
//! arrive here as their text; responses are always written as strings, because C++ drops anything else and Go
//! fails on it.

use std::borrow::Cow;

use crate::DecodeError;

/// The most fields a command may bring.
pub const MAX_FIELDS: usize = 256;

/// An ordered list of key and value. Commands have a dozen at most, so a scan beats hashing.
///
/// The order means nothing, and equality does not look at it.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(Cow<'static, str>, String)>);

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`, replacing what was there.
    pub fn insert(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((key, value)),
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// Keys and values in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl Eq for Fields {}

/// A typed header: what a request or a response carries beside its body.
pub trait Header: Sized {
    /// Reads the header from a command's fields. Unknown fields are left alone; numbers and booleans that are
    /// missing read as 0 and `false`, as they do in Java.
    ///
    /// # Errors
    /// A text field that the request cannot do without is missing, or a field holds a value of another type.
    fn read(fields: &Fields) -> Result<Self, DecodeError>;

    /// Writes the header into a command's fields; absent options are left out.
    fn write(&self, fields: &mut Fields);
}

/// The header of commands that have none.
impl Header for () {
    fn read(_: &Fields) -> Result<Self, DecodeError> {
        Ok(())
    }

    fn write(&self, _: &mut Fields) {}
}

/// A type that a header field can have.
pub trait Field: Sized {
    /// Reads the field's text; `None` when the field is absent.
    ///
    /// # Errors
    /// The text is not of this type, or the field is absent and has no default.
    fn from_text(name: &'static str, text: Option<&str>) -> Result<Self, DecodeError>;

    /// The text to write; `None` leaves the field out.
    fn to_text(&self) -> Option<String>;
}

impl Field for String {
    fn from_text(name: &'static str, text: Option<&str>) -> Result<Self, DecodeError> {
        text.map(str::to_owned).ok_or(DecodeError::MissingField(name))
    }

    fn to_text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Field for bool {
    /// Java's `Boolean.parseBoolean`: `true` in any case is true, anything else (C++'s `1` too) is false.
    fn from_text(_: &'static str, text: Option<&str>) -> Result<Self, DecodeError> {
        Ok(text.is_some_and(|text| text.eq_ignore_ascii_case("true")))
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! number_field {
    ($($type:ty => $expected:literal),+) => {$(
        impl Field for $type {
            fn from_text(name: &'static str, text: Option<&str>) -> Result<Self, DecodeError> {
                match text {
                    None | Some("") => Ok(0),
                    Some(text) => text.trim().parse().map_err(|_| DecodeError::wrong_type(name, $expected, text)),
                }
            }

            fn to_text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+};
}

number_field!(i32 => "a 32-bit integer", i64 => "a 64-bit integer");

impl<T: Field> Field for Option<T> {
    fn from_text(name: &'static str, text: Option<&str>) -> Result<Self, DecodeError> {
        match text {
            None => Ok(None),
            text => T::from_text(name, text).map(Some),
        }
    }

    fn to_text(&self) -> Option<String> {
        self.as_ref().and_then(T::to_text)
    }
}

/// Declares header structs: one line a field, its Rust type and its name on the wire.
macro_rules! headers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $wire:literal,)* })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* #[doc = concat!("\n\nOn the wire: `", $wire, "`.")] pub $field: $type,)*
        }

        impl $crate::fields::Header for $name {
            fn read(fields: &$crate::fields::Fields) -> Result<Self, $crate::DecodeError> {
                let _ = fields;
                Ok(Self {
                    $($field: <$type as $crate::fields::Field>::from_text($wire, fields.get($wire))?,)*
                })
            }

            fn write(&self, fields: &mut $crate::fields::Fields) {
                let _ = &fields;
                $(if let Some(text) = $crate::fields::Field::to_text(&self.$field) {
                    fields.insert($wire, text);
                })*
            }
        }
    )+};
}

pub(crate) use headers;

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes public structs")]
mod tests {
    use super::*;

    headers! {
        /// A header with one field of each kind.
        Sample {
            /// Needed.
            topic: String = "topic",
            /// A number.
            queue_id: i32 = "queueId",
            /// A switch.
            batch: bool = "batch",
            /// Optional.
            brand: Option<String> = "bname",
        }
    }

    fn fields(pairs: &[(&'static str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (key, value) in pairs {
            fields.insert(*key, *value);
        }
        fields
    }

    #[test]
    fn missing_numbers_are_zero_and_missing_texts_are_errors() {
        let header = Sample::read(&fields(&[("topic", "t")])).unwrap();
        assert_eq!(header, Sample { topic: "t".into(), ..Sample::default() });
        assert_eq!(Sample::read(&Fields::new()).unwrap_err(), DecodeError::MissingField("topic"));
    }

    #[test]
    fn booleans_are_read_as_java_reads_them() {
        for (text, value) in [("true", true), ("TRUE", true), ("1", false), ("", false), ("yes", false)] {
            assert_eq!(
                Sample::read(&fields(&[("topic", "t"), ("batch", text)])).unwrap().batch,
                value,
                "{text}"
            );
        }
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let error = Sample::read(&fields(&[("topic", "t"), ("queueId", "0x1")])).unwrap_err();
        assert_eq!(error.to_string(), "header field `queueId` should be a 32-bit integer, not `0x1`");
    }

    #[test]
    fn what_is_written_reads_back() {
        let header = Sample { topic: "t".into(), queue_id: -3, batch: true, brand: Some("b".into()) };
        let mut written = Fields::new();
        header.write(&mut written);
        assert_eq!(Sample::read(&written).unwrap(), header);
    }
}
