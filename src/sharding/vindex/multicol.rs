//! Vindexes of several columns: each gives some bytes of the keyspace id, the first column the first ones.

use super::function::des;
use super::static_map::StaticMap;
use super::{Function, KeyValue, MapError, Params, VindexError};

/// The bytes of a keyspace id that columns share.
const BYTES: usize = 8;

/// `multicol`: the first bytes of each column's own keyspace id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multicol {
    /// Each column's function and how many bytes it gives.
    parts: Vec<(Function, usize)>,
}

impl Multicol {
    pub(super) fn new(params: &Params) -> Result<Self, VindexError> {
        let columns = count(params)?;
        let functions = functions(params, columns)?;
        Ok(Self { parts: functions.into_iter().zip(bytes(params, columns)?).collect() })
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.parts.len()
    }

    /// The function of a column.
    pub fn function(&self, index: usize) -> Option<&Function> {
        self.parts.get(index).map(|(function, _)| function)
    }

    pub(super) fn cost(&self) -> usize {
        self.parts.iter().map(|(function, _)| function.cost()).sum()
    }

    /// For all columns, or the first ones.
    pub(super) fn apply(&self, values: &[KeyValue<'_>], out: &mut Vec<u8>) -> Result<(), MapError> {
        let start = out.len();
        let (mut least, mut own) = (start, Vec::new());
        for ((function, bytes), value) in self.parts.iter().zip(values) {
            own.clear();
            function.apply(value, &mut own)?;
            // What an earlier column left short is filled up.
            out.resize(out.len().max(least), 0);
            out.extend(own.iter().take(*bytes));
            least += bytes;
        }
        Ok(())
    }
}

fn wrong(param: &'static str, why: impl Into<String>) -> VindexError {
    VindexError::Param { vindex: "multicol".into(), param, why: why.into() }
}

fn count(params: &Params) -> Result<usize, VindexError> {
    let text = params.get("column_count").ok_or_else(|| wrong("column_count", "it is missing"))?;
    let count = text.parse().ok().filter(|count| (1..=BYTES).contains(count));
    count.ok_or_else(|| wrong("column_count", format!("expected a number from 1 to 8, found `{text}`")))
}

/// What stands between commas; nothing where the parameter is missing or says less.
fn listed<'a>(params: &'a Params, param: &'static str, columns: usize) -> Result<Vec<&'a str>, VindexError> {
    let Some(text) = params.get(param) else { return Ok(vec![""; columns]) };
    let mut list: Vec<&str> = text.split(',').collect();
    if list.len() > columns {
        return Err(wrong(param, format!("it names {} for {columns} columns", list.len())));
    }
    list.resize(columns, "");
    Ok(list)
}

fn functions(params: &Params, columns: usize) -> Result<Vec<Function>, VindexError> {
    let own = ["column_count", "column_bytes", "column_vindex"];
    let mut left: Params = params
        .iter()
        .filter(|(param, _)| !own.contains(&param.as_str()))
        .map(|(p, v)| (p.clone(), v.clone()))
        .collect();
    let mut functions = Vec::with_capacity(columns);
    let map: Params = left.extract_if(.., |param, _| StaticMap::PARAMS.contains(&param.as_str())).collect();
    let (none, mut used) = (Params::new(), false);
    for name in listed(params, "column_vindex", columns)? {
        let name = Some(name.trim()).filter(|name| !name.is_empty()).unwrap_or("hash");
        let mapped = name == "numeric_static_map";
        used |= mapped;
        match Function::new(name, if mapped { &map } else { &none })? {
            Function::Null => return Err(wrong("column_vindex", "null cannot be one of several columns")),
            function => functions.push(function),
        }
    }
    let unused = map.keys().filter(|_| !used);
    match left.keys().chain(unused).next() {
        None => Ok(functions),
        Some(param) => {
            let (vindex, hint) = ("multicol".into(), format!("; it has {}", own.join(", ")));
            Err(VindexError::UnknownParam { vindex, param: param.clone(), hint })
        }
    }
}

/// How many bytes each column gives: what the parameter says, and an even share of the rest for those it does not name.
fn bytes(params: &Params, columns: usize) -> Result<Vec<usize>, VindexError> {
    const PARAM: &str = "column_bytes";
    let listed = listed(params, PARAM, columns)?;
    let mut named = Vec::with_capacity(columns);
    for text in listed {
        let number = || wrong(PARAM, format!("expected numbers up to 8 between commas, found `{text}`"));
        let bytes = (!text.is_empty()).then(|| text.parse().ok().filter(|bytes| *bytes <= BYTES).ok_or_else(number));
        named.push(bytes.transpose()?);
    }
    let taken: usize = named.iter().flatten().sum();
    let mut pending = named.iter().filter(|bytes| bytes.is_none()).count();
    let mut rest = BYTES.checked_sub(taken).filter(|rest| pending <= *rest);
    let mut share = || {
        let share = rest?.div_ceil(pending.max(1));
        (rest, pending) = (rest?.checked_sub(share), pending.saturating_sub(1));
        Some(share)
    };
    let too_many = || wrong(PARAM, "all columns together must leave each a byte and take no more than 8");
    if taken > BYTES {
        return Err(too_many());
    }
    named.into_iter().map(|bytes| bytes.or_else(&mut share).ok_or_else(too_many)).collect()
}

/// `region_experimental`: one or two bytes of the first column's number, then the hash of the second's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    bytes: usize,
}

impl Region {
    pub(super) fn new(params: &Params) -> Result<Self, VindexError> {
        let vindex = || "region_experimental".to_owned();
        if let Some(param) = params.keys().find(|param| *param != "region_bytes") {
            let (param, hint) = (param.clone(), "; it has region_bytes".into());
            return Err(VindexError::UnknownParam { vindex: vindex(), param, hint });
        }
        let wrong = |why: &str| VindexError::Param { vindex: vindex(), param: "region_bytes", why: why.into() };
        match params.get("region_bytes").map(String::as_str) {
            Some("1") => Ok(Self { bytes: 1 }),
            Some("2") => Ok(Self { bytes: 2 }),
            Some(_) => Err(wrong("it must be 1 or 2")),
            None => Err(wrong("it is missing")),
        }
    }

    /// For both columns, or the first. Of a larger region number the low bytes count, as in Vitess.
    pub(super) fn apply(&self, values: &[KeyValue<'_>], out: &mut Vec<u8>) -> Result<(), MapError> {
        // Vitess takes neither as a negative number, though it hashes such by themselves.
        let number = |value| Function::Numeric.number(value);
        let mut numbers = values.iter().map(number);
        if let Some(region) = numbers.next().transpose()? {
            out.extend(region.to_be_bytes().iter().skip(BYTES - self.bytes));
        }
        if let Some(id) = numbers.next().transpose()? {
            out.extend_from_slice(&des(id));
        }
        Ok(())
    }
}
