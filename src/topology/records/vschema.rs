//! VSchemas: one record a keyspace that has one.

use super::Record;
use crate::model::VSchema;

/// At [`crate::topology::paths::vschema`].
impl Record for VSchema {
    const KIND: &'static str = "VSchema";
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vschema_reads_back() {
        let text = r#"{"sharded":true,"vindexes":{"h":{"type":"hash"}},"tables":{"t":{"pinned":"80"}}}"#;
        let vschema: VSchema = serde_json::from_str(text).unwrap();
        assert_eq!(VSchema::decode(&vschema.encode().unwrap()), Ok(vschema));
    }
}
