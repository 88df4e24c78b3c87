//! Objects as compact JSON text.

use serde::Serialize;
use serde::ser::{self, Error as _, Impossible, Serializer};
use serde_json::Error;

use crate::raw;

/// Appends a value as compact JSON, as `serde_json::to_vec` writes what Kubernetes' types are made of. It takes half
/// the time: names of fields are known to need no escapes, and texts are looked through for such eight bytes at a time.
///
/// # Errors
/// What Kubernetes' types have none of: maps by anything but texts, enum variants with several fields, integers of 128
/// bits. The text is incomplete then.
pub fn encode<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    value.serialize(Writer(out))
}

/// As [`encode`], a text of its own.
///
/// # Errors
/// As [`encode`].
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    encode(&mut out, value)?;
    Ok(out)
}

/// Appends to a text: one value, or the members or items of what is open.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    /// Nothing else ends with an opening bracket: behind one there is no comma.
    fn comma(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    fn name(&mut self, name: &str) {
        self.0.reserve(name.len() + 4);
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn close(self, bracket: u8) -> Result<(), Error> {
        self.0.push(bracket);
        Ok(())
    }
}

fn no_such_variant<T>() -> Result<T, Error> {
    Err(Error::custom("a variant with several fields"))
}

macro_rules! numbers {
    ($($method:ident: $type:ty),+) => {$(
        fn $method(self, number: $type) -> Result<(), Error> {
            serde_json::to_writer(self.0, &number)
        }
    )+};
}

macro_rules! arrays {
    ($($shape:ident: $method:ident),+) => {$(
        impl ser::$shape for Writer<'_> {
            type Ok = ();
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.comma();
                encode(self.0, value)
            }
            fn end(self) -> Result<(), Error> {
                self.close(b']')
            }
        }
    )+};
}

impl Serializer for Writer<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, flag: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if flag { b"true" } else { b"false" });
        Ok(())
    }
    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64
    }
    fn serialize_char(self, character: char) -> Result<(), Error> {
        self.serialize_str(character.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        raw::push_text(self.0, text);
        Ok(())
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.collect_seq(bytes)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut object = self.serialize_map(Some(1))?;
        object.name(variant);
        encode(object.0, value)?;
        object.close(b'}')
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        self.0.push(b'[');
        Ok(self)
    }
    fn serialize_tuple(self, len: usize) -> Result<Self, Error> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self, Error> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        no_such_variant()
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        self.0.push(b'{');
        Ok(self)
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Self, Error> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        no_such_variant()
    }
}

arrays! { SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field }

impl ser::SerializeMap for Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.comma();
        let start = self.0.len();
        encode(self.0, key)?;
        if self.0.get(start) == Some(&b'"') { Ok(()) } else { Err(Error::custom("key must be a string")) }
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.0.push(b':');
        encode(self.0, value)
    }
    fn end(self) -> Result<(), Error> {
        self.close(b'}')
    }
}

impl ser::SerializeStruct for Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.name(name);
        encode(self.0, value)
    }
    fn end(self) -> Result<(), Error> {
        self.close(b'}')
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Secret};
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn encoded<T: Serialize>(value: &T) -> String {
        String::from_utf8(to_vec(value).unwrap()).unwrap()
    }

    #[derive(Serialize)]
    enum Variant {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
    }

    #[test]
    fn every_shape_is_written_as_serde_json_writes_it() {
        fn same<T: Serialize>(value: T) {
            assert_eq!(encoded(&value), serde_json::to_string(&value).unwrap());
        }
        same((-1_i8, 300_u16, i64::MIN, u64::MAX, 1.5_f32, 1e300, f64::NAN, 'ä', "", ()));
        same((true, Some(false), None::<u8>, Vec::<u8>::new(), vec![vec![1], vec![]], [Variant::Unit]));
        same((Variant::Newtype(7), BTreeMap::<String, u8>::new(), BTreeMap::from([("a\"b", 1), ("c", 2)])));
        same((IntOrString::Int(80), IntOrString::String("http".into())));
        let data = BTreeMap::from([("key".to_owned(), k8s_openapi::ByteString(vec![0, 255, 7]))]);
        same(Secret { data: Some(data), ..Secret::default() });
        let containers = vec![Container { name: "a\\\u{1}".into(), ..Container::default() }; 2];
        let pod = Pod { spec: Some(PodSpec { containers, ..PodSpec::default() }), ..Pod::default() };
        same(pod);
    }

    #[test]
    fn what_kubernetes_types_have_none_of_is_refused() {
        assert!(to_vec(&BTreeMap::from([(Some(true), 1)])).is_err());
        assert!(to_vec(&BTreeMap::from([(1, 1)])).is_err());
        assert!(to_vec(&Variant::Tuple(1, 2)).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7fä€]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_written_as_serde_json_writes_it(value in value()) {
            prop_assert_eq!(encoded(&value), serde_json::to_string(&value).unwrap());
        }
    }
}
