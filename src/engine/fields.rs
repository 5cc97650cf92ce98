//! Small results as typed fields.

use crate::mysql::wire::Value;

use super::error::EngineError;

/// A field as text.
pub fn text(value: &Value) -> Option<String> {
    value.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// A field parsed; `None` for NULL, an error where it is something else than `T` writes.
pub fn parsed<T: std::str::FromStr>(value: &Value, what: &'static str) -> Result<Option<T>, EngineError> {
    match text(value) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| EngineError::Sidecar(what)),
    }
}
