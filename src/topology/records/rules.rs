//! Routing rules: one record a workflow, and one for those an operator wrote.

use super::Record;
use crate::model::routing::{RuleSet, TableMove};

/// At [`crate::topology::paths::operator_rules`].
impl Record for RuleSet {
    const KIND: &'static str = "set of routing rules";
    const VERSION: u32 = 1;
}

/// At [`crate::topology::paths::workflow_rules`].
impl Record for TableMove {
    const KIND: &'static str = "workflow's routing rules";
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflows_rules_are_one_small_record() {
        let stored =
            br#"{"source":"commerce","switched":["REPLICA"],"tables":["corder"],"target":"customer","version":1}"#;
        let rules = TableMove::decode(stored).unwrap();
        assert_eq!(rules.encode().unwrap(), stored);
        assert!(TableMove::decode(&RuleSet::default().encode().unwrap()).is_err());
    }
}
