//! Members that a version of RocketMQ newer than this crate has put into a configuration: they are not understood, but
//! they come back when the configuration is written, so that going through this broker loses nothing.

use std::collections::BTreeMap;

/// Members by name, as they came.
pub type More = BTreeMap<String, serde_json::Value>;

/// Reads and writes a struct that derives serde's traits with `remote = "Self"`, with everything else in its `more`.
macro_rules! kept {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.more.is_empty() {
                    return Self::serialize(self, serializer);
                }
                let known = Self::serialize(self, serde_json::value::Serializer);
                let mut all = known.map_err(serde::ser::Error::custom)?;
                if let Some(members) = all.as_object_mut() {
                    members.extend(self.more.clone());
                }
                serde::Serialize::serialize(&all, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let all: crate::body::kept::More = serde::Deserialize::deserialize(deserializer)?;
                let value = serde_json::Value::Object(all.into_iter().collect());
                let mut read = Self::deserialize(crate::body::lenient::coerced(&value))
                    .map_err(serde::de::Error::custom)?;
                let known = Self::serialize(&read, serde_json::value::Serializer);
                let known = known.map_err(serde::de::Error::custom)?;
                if let serde_json::Value::Object(all) = value {
                    let new = |name: &String| known.get(name).is_none();
                    read.more =
                        all.into_iter().filter(|(name, value)| new(name) && !value.is_null()).collect();
                }
                Ok(read)
            }
        }
    };
}

pub(crate) use kept;
