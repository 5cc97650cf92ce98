//! Tables that a completed workflow has left: `_<table>_old`. Pure.

use crate::model::TableName;

/// The longest name MySQL takes, characters.
const LONGEST: usize = 64;

/// What an old table is renamed to; Vitess's form.
pub fn old_name(table: &TableName) -> String {
    let kept: String = table.as_str().chars().take(LONGEST - "__old".len()).collect();
    format!("_{kept}_old")
}

/// Whether a table of this name is what a workflow has left of one of `tables`.
pub fn is_leftover(name: &str, tables: &[TableName]) -> bool {
    tables.iter().any(|table| old_name(table) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_fit() {
        let corder: TableName = "corder".parse().unwrap();
        assert_eq!(old_name(&corder), "_corder_old");
        assert!(is_leftover("_corder_old", std::slice::from_ref(&corder)) && !is_leftover("_other_old", &[corder]));
        assert_eq!(old_name(&"x".repeat(64).parse().unwrap()).chars().count(), 64);
    }
}
