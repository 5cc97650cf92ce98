//! Whether a transaction on a closed side is a stranger's. Pure.

use crate::engine::sidecar;
use crate::model::TableName;
use crate::mysql::binlog::outline::Outline;
use crate::workflow::fence::Fence;

/// What is guarded: the moved tables of one shard.
#[derive(Debug, Clone)]
pub struct Judge {
    database: String,
    tables: Vec<TableName>,
    /// What the streams' own DDL begins with.
    own: String,
    /// Whether the server tells names of different case apart.
    exact: bool,
}

impl Judge {
    /// For the tables of `fence`, on a server with this `lower_case_table_names`.
    pub fn new(fence: &Fence, lower_case_table_names: u64) -> Self {
        Self {
            database: fence.side.database.to_string(),
            tables: fence.tables.clone(),
            own: sidecar::own_ddl(&fence.key.uid),
            exact: lower_case_table_names == 0,
        }
    }

    /// What the transaction did that only the workflow's streams may do; `None` if nothing.
    pub fn stranger(&self, outline: &Outline) -> Option<String> {
        if let Some(text) = &outline.obscure {
            return Some(format!("may have changed rows of any table, for it was logged as text: {text}"));
        }
        let changed = outline.ddl.iter().find(|(text, scope)| {
            let touched = self.tables.iter().any(|table| scope.touches(&self.database, table.as_str()));
            touched && !text.starts_with(&self.own)
        });
        if let Some((text, _)) = changed {
            return Some(format!("ran DDL: {text}"));
        }
        let mut written =
            self.tables.iter().filter(|table| outline.tables.iter().any(|named| self.names(named, table)));
        let first = written.next()?;
        if outline.tables.iter().any(|(database, table)| sidecar::is_own(database, table)) {
            return None;
        }
        let more = written.count();
        let more = if more > 0 { format!(" and of {more} more") } else { String::new() };
        Some(format!("wrote rows of table {first}{more}"))
    }

    fn names(&self, (database, table): &(String, String), moved: &TableName) -> bool {
        let same = |a: &str, b: &str| if self.exact { a == b } else { a.to_lowercase() == b.to_lowercase() };
        same(database, &self.database) && same(table, moved.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::binlog::Scope;

    fn judge() -> Judge {
        let own = sidecar::own_ddl(&uuid::Uuid::nil());
        let tables = vec!["t".parse().unwrap(), "u".parse().unwrap()];
        Judge { database: "shop".into(), tables, own, exact: true }
    }

    fn outline(tables: &[(&str, &str)]) -> Outline {
        Outline {
            gtid: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1".parse().unwrap(),
            tables: tables.iter().map(|(database, table)| ((*database).into(), (*table).into())).collect(),
            ddl: Vec::new(),
            obscure: None,
        }
    }

    #[test]
    fn rows_without_a_mark_are_a_strangers() {
        let said = |tables| judge().stranger(&outline(tables));
        assert_eq!(said(&[("shop", "other"), ("elsewhere", "t"), ("shop", "T")]), None);
        assert_eq!(said(&[("shop", "t"), ("_shardlift", "stream")]), None);
        assert_eq!(said(&[("shop", "t"), ("_shardlift", "lane")]), None);
        assert!(said(&[("shop", "u")]).unwrap().contains("table u"));
        // What guards others does not vouch for rows.
        assert!(said(&[("shop", "t"), ("shop", "u"), ("_shardlift", "fence")]).unwrap().contains("1 more"));
        assert!(Judge { exact: false, ..judge() }.stranger(&outline(&[("SHOP", "T")])).is_some());
    }

    #[test]
    fn ddl_of_others_is_a_strangers() {
        let said = |text: &str, scope| {
            let mut outline = outline(&[]);
            outline.ddl.push((text.into(), scope));
            judge().stranger(&outline)
        };
        let t = || Scope::Tables(vec![("shop".into(), "t".into())]);
        assert!(said("TRUNCATE t", t()).unwrap().contains("TRUNCATE t"));
        assert!(said("DROP DATABASE shop", Scope::Database("shop".into())).is_some());
        assert!(said("FROBNICATE", Scope::Unknown).is_some());
        assert_eq!(said("CREATE TRIGGER shardlift_fence_…", Scope::Nothing), None);
        assert_eq!(said(&format!("{}TRUNCATE t", sidecar::own_ddl(&uuid::Uuid::nil())), t()), None);
        assert!(said(&format!("{}TRUNCATE t", sidecar::own_ddl(&uuid::Uuid::max())), t()).is_some());
        let text = Outline { obscure: Some("UPDATE t SET a = 1".into()), ..outline(&[]) };
        assert!(judge().stranger(&text).unwrap().contains("UPDATE t"));
    }
}
