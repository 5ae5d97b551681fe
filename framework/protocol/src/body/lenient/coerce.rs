//! Taking a value for what was asked for, as fastjson does: numbers and booleans as text, text as numbers and
//! booleans, and `null` as nothing: 0, false, empty.
//!
//! It wraps a deserializer and everything that comes out of it, so that no tree is built: what a body holds beside
//! the members that are read costs no memory.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor, value},
};

/// A deserializer, or a seed, or what goes over a list or a map, inside of which values are coerced.
pub(super) struct Coerced<T>(pub(super) T);

/// What a type asks for.
#[derive(Clone, Copy)]
enum Wanted {
    Anything,
    Number,
    Bool,
    Text,
    List,
    Map,
}

macro_rules! coerced {
    ($($method:ident => $wanted:ident),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_any(As { wanted: Wanted::$wanted, visitor })
        }
    )+};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Coerced<D> {
    type Error = D::Error;

    coerced! {
        deserialize_any => Anything,
        deserialize_bool => Bool,
        deserialize_i8 => Number,
        deserialize_i16 => Number,
        deserialize_i32 => Number,
        deserialize_i64 => Number,
        deserialize_u8 => Number,
        deserialize_u16 => Number,
        deserialize_u32 => Number,
        deserialize_u64 => Number,
        deserialize_f32 => Number,
        deserialize_f64 => Number,
        deserialize_char => Text,
        deserialize_str => Text,
        deserialize_string => Text,
        deserialize_bytes => Text,
        deserialize_byte_buf => Text,
        deserialize_unit => Anything,
        deserialize_seq => List,
        deserialize_map => Map,
        deserialize_identifier => Anything,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(As { wanted: Wanted::Anything, visitor })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }
}

/// Hands a value on as what is wanted.
struct As<V> {
    wanted: Wanted,
    visitor: V,
}

macro_rules! number {
    ($method:ident: $type:ty) => {
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            match self.wanted {
                Wanted::Text => self.visitor.visit_string(value.to_string()),
                Wanted::Bool => self.visitor.visit_bool(value != <$type>::default()),
                _ => self.visitor.$method(value),
            }
        }
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for As<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    number!(visit_i64: i64);
    number!(visit_u64: u64);
    number!(visit_f64: f64);

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<V::Value, E> {
        match self.wanted {
            Wanted::Text => self.visitor.visit_string(value.to_string()),
            Wanted::Number => self.visitor.visit_i64(value.into()),
            _ => self.visitor.visit_bool(value),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        match self.wanted {
            Wanted::Number => {
                let digits = text.trim();
                if let Ok(number) = digits.parse() {
                    return self.visitor.visit_i64(number);
                }
                match digits.parse() {
                    Ok(number) => self.visitor.visit_f64(number),
                    Err(_) if digits.is_empty() => self.visitor.visit_i64(0),
                    Err(_) => self.visitor.visit_str(text),
                }
            }
            Wanted::Bool => self.visitor.visit_bool(text.eq_ignore_ascii_case("true")),
            _ => self.visitor.visit_str(text),
        }
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<V::Value, E> {
        match self.wanted {
            Wanted::Number | Wanted::Bool => self.visit_str(text),
            _ => self.visitor.visit_borrowed_str(text),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        match self.wanted {
            Wanted::Anything => self.visitor.visit_unit(),
            Wanted::Number => self.visitor.visit_i64(0),
            Wanted::Bool => self.visitor.visit_bool(false),
            Wanted::Text => self.visitor.visit_str(""),
            Wanted::List => {
                self.visitor.visit_seq(value::SeqDeserializer::<_, E>::new(std::iter::empty::<()>()))
            }
            Wanted::Map => {
                self.visitor.visit_map(value::MapDeserializer::<_, E>::new(std::iter::empty::<((), ())>()))
            }
        }
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Coerced(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Coerced(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Coerced(entries))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Coerced<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Coerced(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Coerced<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Coerced(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Coerced<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(Coerced(seed))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Coerced(seed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use crate::body::{Heartbeat, IdMap, TopicConfig, lenient::read};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        number: i32,
        fraction: f64,
        switch: bool,
        text: String,
        list: Vec<i64>,
        map: BTreeMap<String, String>,
        inner: Option<Box<Sample>>,
    }

    fn sample(text: &str) -> Sample {
        read("sample", text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn values_are_taken_for_what_is_wanted() {
        let expected = Sample {
            number: 7,
            fraction: 1.5,
            switch: true,
            text: "8".into(),
            list: vec![1, 2],
            map: BTreeMap::from([("0".into(), "1".into())]),
            inner: Some(Box::new(Sample { number: -1, ..Sample::default() })),
        };
        for text in [
            r#"{"number":7,"fraction":1.5,"switch":true,"text":"8","list":[1,2],"map":{"0":"1"},"inner":{"number":-1}}"#,
            r#"{"number":"7","fraction":"1.5","switch":"True","text":8,"list":["1","2"],"map":{0:1},"inner":{"number":"-1"}}"#,
            r#"{"number":" 7 ","fraction":"1.5","switch":1,"text":8,"list":["1",2],"map":{0:1},"inner":{number:"-1","list":null}}"#,
        ] {
            assert_eq!(sample(text), expected, "{text}");
        }
    }

    #[test]
    fn null_is_nothing() {
        let nulls = r#"{"number":null,"fraction":null,"switch":null,"text":null,"list":null,"map":null,"inner":null}"#;
        assert_eq!(sample(nulls), Sample::default());
        assert_eq!(read::<Heartbeat>("body", b"null").unwrap(), Heartbeat::default());
        let heartbeat = r#"{"clientID":"a@b","consumerDataSet":null,"producerDataSet":[{"groupName":null}]}"#;
        let heartbeat: Heartbeat = read("body", heartbeat.as_bytes()).unwrap();
        assert_eq!((heartbeat.client_id.as_str(), heartbeat.producer_data_set.len()), ("a@b", 1));
    }

    #[test]
    fn numeric_keys_are_numbers_whether_quoted_or_not() {
        let ids: IdMap<String> = read("ids", br#"{0:"a","1":2}"#).unwrap();
        assert_eq!(ids.0, BTreeMap::from([(0, "a".into()), (1, "2".into())]));
    }

    #[test]
    fn what_cannot_be_taken_for_it_is_an_error() {
        for text in [
            r#"{"number":"x"}"#,
            r#"{"number":"1.5"}"#,
            r#"{"number":"99999999999"}"#,
            r#"{"number":[]}"#,
            r#"{"text":{}}"#,
            r#"{"list":"1,2"}"#,
            r#"{"inner":3}"#,
        ] {
            assert!(read::<Sample>("sample", text.as_bytes()).is_err(), "{text}");
        }
        let topic: TopicConfig =
            read("topic", br#"{"perm":"6","order":"false","unknown":[{"a":{0:1}}]}"#).unwrap();
        assert_eq!((topic.perm, topic.order), (6, false));
    }

    #[test]
    fn free_values_stay_as_they_are() {
        let text = r#"{"a":[1,"1",null,true,{"b":1.5}]}"#;
        assert_eq!(
            read::<Value>("value", text.as_bytes()).unwrap(),
            json!({"a":[1,"1",null,true,{"b":1.5}]})
        );
    }
}
