//! `numeric_static_map`: numbers that have another number as their keyspace id.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};

use super::{Function, KeyValue, MapError, Params, VindexError};

const VINDEX: &str = "numeric_static_map";

/// The table, and the function for numbers that are not in it: their own 64 bits where it names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticMap {
    numbers: BTreeMap<u64, u64>,
    fallback: Option<Box<Function>>,
}

impl StaticMap {
    /// Its parameters' names.
    pub(super) const PARAMS: [&'static str; 3] = ["json", "json_path", "fallback_type"];

    pub(super) fn new(params: &Params) -> Result<Self, VindexError> {
        if let Some(param) = params.keys().find(|param| !Self::PARAMS.contains(&param.as_str())) {
            let (vindex, param) = (VINDEX.into(), param.clone());
            return Err(VindexError::UnknownParam { vindex, param, hint: "; it has json and fallback_type".into() });
        }
        let wrong = |param, why: String| VindexError::Param { vindex: VINDEX.into(), param, why };
        if params.contains_key("json_path") {
            let why = "a path would have to lead to the same file on every host; put the file's content in `json`";
            return Err(wrong("json_path", why.into()));
        }
        let text = params.get("json").ok_or_else(|| wrong("json", "it is missing".into()))?;
        let numbers = parse(text).map_err(|why| wrong("json", why))?;
        let fallback = params.get("fallback_type").map(|name| {
            let function = Function::new(name, &Params::new()).map_err(|e| wrong("fallback_type", e.to_string()))?;
            match function {
                // Not one of those whose hash Vitess can take by itself.
                Function::Null => Err(wrong("fallback_type", "null cannot be one".into())),
                function => Ok(Box::new(function)),
            }
        });
        Ok(Self { numbers, fallback: fallback.transpose()? })
    }

    pub(super) fn apply(&self, number: u64, value: &KeyValue<'_>, out: &mut Vec<u8>) -> Result<(), MapError> {
        match (self.numbers.get(&number), &self.fallback) {
            (None, Some(fallback)) => fallback.apply(value, out),
            (mapped, _) => {
                out.extend_from_slice(&mapped.copied().unwrap_or(number).to_be_bytes());
                Ok(())
            }
        }
    }
}

fn parse(text: &str) -> Result<BTreeMap<u64, u64>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let numbers = reader.deserialize_map(Numbers).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(numbers)
}

/// Reads `{"1": 2}`; a number that is named twice is an error.
struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = BTreeMap<u64, u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers, such as {\"1\": 2}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error;
        let mut numbers = BTreeMap::new();
        while let Some((key, to)) = map.next_entry::<String, u64>()? {
            let digits = key.bytes().all(|byte| byte.is_ascii_digit());
            let from = key.parse::<u64>().ok().filter(|_| digits);
            let from = from.ok_or_else(|| A::Error::custom(format_args!("key `{key}` is not a number of 64 bits")))?;
            if numbers.insert(from, to).is_some() {
                return Err(A::Error::custom(format_args!("number {from} is there twice")));
            }
        }
        Ok(numbers)
    }
}
