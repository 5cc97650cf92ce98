//! A session's system variables as the server reports them, and how another connection is brought to them. Pure.
//!
//! The server reports a variable in the OK packet of the statement that changed it, as the text SHOW VARIABLES has. Tried on
//! 9.7.4 with all 628 variables: a number set back must not be quoted, everything else may be, and the text read back is
//! then the same. What the report hides, and how it is made good here:
//!
//! - **Collations.** SET NAMES, SET CHARACTER SET and `SET character_set_x` report character sets only, though they set
//!   `collation_x` too; `SET collation_x` reports the collation only, though it sets the character set. Since a collation
//!   implies its character set, only collations are kept; where only the character set was reported, the collation is
//!   [unknown](Settings::unknown) until it was read back.
//! - **`timestamp`.** DEFAULT is reported as the present time, just like a time that stands still. It is unknown too.
//! - **NULL** is reported as the empty text.
//! - `insert_id`, `rand_seed1`, `rand_seed2` and the like are used up by the next statement or cannot be read at all:
//!   [`Settings::absorb`] says so, and the session must keep its connection.
//! - **Nothing is reported** of SET TRANSACTION and `SET @@transaction_…` (both for the next transaction only), SET ROLE,
//!   user variables (but for the bare fact of a change), LOCK TABLES, GET_LOCK, and of `collation_database` changed by USE.
//!   After an error, and at the end of rows without DEPRECATE_EOF, the report comes with the next OK packet.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

/// Never part of a session's settings: the number of the statement, and what the gateway must have of its own on servers.
const NOT_SETTINGS: [&str; 4] =
    ["statement_id", "session_track_system_variables", "session_track_schema", "session_track_state_change"];
/// Used up by a statement, or not readable: they cannot be carried to another connection.
const NOT_CARRIED: [&str; 6] =
    ["identity", "insert_id", "last_insert_id", "pseudo_thread_id", "rand_seed1", "rand_seed2"];
/// Empty means NULL for these.
const NULLABLE: [&str; 4] =
    ["character_set_results", "external_table_storage_engine", "innodb_ft_user_stopword_table", "innodb_tmpdir"];
/// Each character set variable with the collation variable that goes with it.
const CHARACTER_SETS: [(&str, &str); 3] = [
    ("character_set_connection", "collation_connection"),
    ("character_set_database", "collation_database"),
    ("character_set_server", "collation_server"),
];
const TIMESTAMP: &str = "timestamp";
const GTID_NEXT: &str = "gtid_next";
/// What a prepared statement's text means depends on these.
const READING: [&str; 4] = ["character_set_client", "character_set_connection", "collation_connection", "sql_mode"];

/// System variables that a session has set, by name. Cheap to clone and to compare with its clones.
#[derive(Debug, Clone, Default, Eq)]
pub struct Settings {
    variables: Arc<BTreeMap<String, String>>,
    /// Whether `timestamp` stands still has yet to be found out.
    timestamp_open: bool,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.variables, &other.variables) || self.variables == other.variables;
        same && self.timestamp_open == other.timestamp_open
    }
}

impl Settings {
    /// A variable's text, if the session has set it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// True when the session has set nothing.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// As if a variable had not been set.
    pub fn forget(&mut self, name: &str) {
        if self.variables.contains_key(name) {
            Arc::make_mut(&mut self.variables).remove(name);
        }
    }

    /// Takes in reported changes. False if one of them cannot be carried to another connection.
    pub fn absorb(&mut self, changed: &[(String, String)]) -> bool {
        let mut carried = true;
        for (name, value) in changed {
            let name = name.as_str();
            if NOT_CARRIED.contains(&name) || name == GTID_NEXT && value != "AUTOMATIC" {
                carried = false;
            }
            if NOT_SETTINGS.contains(&name) || NOT_CARRIED.contains(&name) || name == GTID_NEXT {
                continue;
            }
            self.timestamp_open |= name == TIMESTAMP;
            let settings = Arc::make_mut(&mut self.variables);
            if let Some((set, collation)) = CHARACTER_SETS.iter().find(|pair| pair.0 == name || pair.1 == name) {
                settings.remove(*set);
                // Reported together, both are final, and the collation says more.
                if name == *set && changed.iter().any(|(other, _)| other == collation) {
                    continue;
                }
                settings.remove(*collation);
            }
            settings.insert(name.to_owned(), value.clone());
        }
        carried
    }

    /// The query that finds out what the report left open, if it did: one column for each variable.
    /// [`Settings::learn`] takes its row.
    pub fn unknown(&self) -> Option<String> {
        let mut columns: Vec<String> = Vec::new();
        for (_, collation) in self.open_collations() {
            columns.push(format!("@@{collation}"));
        }
        if let Some(value) = self.get(TIMESTAMP).filter(|_| self.timestamp_open) {
            columns.push(format!("@@timestamp = {}", literal(TIMESTAMP, value)));
        }
        (!columns.is_empty()).then(|| format!("SELECT {}", columns.join(", ")))
    }

    /// Takes in the row of [`Settings::unknown`].
    pub fn learn(&mut self, row: &[Option<Vec<u8>>]) {
        let mut row = row.iter();
        for (set, collation) in self.open_collations().collect::<Vec<_>>() {
            if let Some(Some(value)) = row.next() {
                let settings = Arc::make_mut(&mut self.variables);
                settings.remove(set);
                settings.insert(collation.to_owned(), String::from_utf8_lossy(value).into_owned());
            }
        }
        if std::mem::take(&mut self.timestamp_open) && row.next().is_none_or(|value| value.as_deref() != Some(b"1")) {
            Arc::make_mut(&mut self.variables).remove(TIMESTAMP);
        }
    }

    /// Another database became the default one, and with it its character set.
    pub fn database_changed(&mut self) {
        if ["character_set_database", "collation_database"].iter().any(|name| self.get(name).is_some()) {
            let settings = Arc::make_mut(&mut self.variables);
            settings.retain(|name, _| name != "character_set_database" && name != "collation_database");
        }
    }

    fn open_collations(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        CHARACTER_SETS.into_iter().filter(|(set, _)| self.variables.contains_key(*set))
    }

    /// True when SET alone leads to `wanted`: every variable set here is set there too.
    pub fn within(&self, wanted: &Settings) -> bool {
        self.variables.keys().all(|name| name == TIMESTAMP || wanted.variables.contains_key(name))
    }

    /// The statement that leads from here to `wanted`, of which this is [within](Settings::within); `None` where nothing
    /// differs. It is ASCII and means the same in every sql_mode and character set.
    pub fn statement(&self, wanted: &Settings) -> Option<String> {
        let mut sql = String::new();
        for (name, value) in wanted.variables.iter().filter(|(name, value)| self.variables.get(*name) != Some(value)) {
            let separator = if sql.is_empty() { "SET " } else { ", " };
            // Writing to a String does not fail.
            let _ = write!(sql, "{separator}`{}` = {}", name.replace('`', "``"), literal(name, value));
        }
        // The one variable whose DEFAULT is sure to be a new connection's value.
        if self.get(TIMESTAMP).is_some() && wanted.get(TIMESTAMP).is_none() {
            sql.push_str(if sql.is_empty() { "SET timestamp = DEFAULT" } else { ", timestamp = DEFAULT" });
        }
        (!sql.is_empty()).then_some(sql)
    }

    /// What the meaning of a statement's text depends on.
    pub fn reading(&self) -> String {
        READING.iter().filter_map(|name| self.get(name)).collect::<Vec<_>>().join("\n")
    }
}

/// A reported value as an expression.
fn literal(name: &str, value: &str) -> String {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if number {
        value.to_owned()
    } else if value.is_empty() && NULLABLE.contains(&name) {
        "NULL".to_owned()
    } else if value.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-+:.,=/@*".contains(&b)) {
        format!("'{value}'")
    } else {
        value.bytes().fold("_utf8mb4 0x".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02X}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        assert!(settings.absorb(&changed(pairs)));
        settings
    }

    #[test]
    fn statements_quote_as_the_server_wants_it() {
        let wanted = settings(&[
            ("sql_mode", ""),
            ("long_query_time", "1.500000"),
            ("optimizer_trace_offset", "-5"),
            ("character_set_results", ""),
            ("time_zone", "+02:00"),
            ("innodb_tmpdir", "/t'\\"),
            ("autocommit", "OFF"),
            ("statement_id", "7"),
        ]);
        assert_eq!(
            Settings::default().statement(&wanted).unwrap(),
            "SET `autocommit` = 'OFF', `character_set_results` = NULL, `innodb_tmpdir` = _utf8mb4 0x2F74275C, \
             `long_query_time` = 1.500000, `optimizer_trace_offset` = -5, `sql_mode` = '', `time_zone` = '+02:00'"
        );
        assert_eq!(wanted.statement(&wanted.clone()), None);
        let less = settings(&[("sql_mode", "ANSI")]);
        assert!(less.within(&wanted) && !wanted.within(&less));
    }

    #[test]
    fn collations_are_read_back_where_only_the_character_set_is_reported() {
        let mut names = settings(&[("character_set_client", "latin1"), ("character_set_connection", "latin1")]);
        assert_eq!(names.unknown().unwrap(), "SELECT @@collation_connection");
        names.learn(&[Some(b"latin1_bin".to_vec())]);
        assert_eq!(names, settings(&[("character_set_client", "latin1"), ("collation_connection", "latin1_bin")]));
        assert_eq!(names.unknown(), None);
        assert!(names.absorb(&changed(&[("collation_connection", "utf8mb4_bin")])));
        assert_eq!((names.unknown(), names.get("collation_connection")), (None, Some("utf8mb4_bin")));
        let both = [("collation_server", "latin1_bin"), ("character_set_server", "latin1")];
        assert_eq!(settings(&both).unknown(), None);
        assert_eq!(settings(&[both[1], both[0]]), settings(&both));
    }

    #[test]
    fn a_timestamp_is_kept_only_if_it_stands_still() {
        for (row, kept) in [(Some(b"1".to_vec()), true), (Some(b"0".to_vec()), false), (None, false)] {
            let mut set = settings(&[("timestamp", "1234567890.500000")]);
            assert_eq!(set.unknown().unwrap(), "SELECT @@timestamp = 1234567890.500000");
            set.learn(&[row]);
            assert_eq!(set.unknown(), None);
            let statement = Settings::default().statement(&set);
            assert_eq!(statement.as_deref(), kept.then_some("SET `timestamp` = 1234567890.500000"));
        }
    }

    #[test]
    fn what_a_statement_uses_up_is_not_carried() {
        for (name, value) in [("insert_id", "7"), ("rand_seed1", "0"), ("gtid_next", "x:1")] {
            let mut set = Settings::default();
            assert!(!set.absorb(&changed(&[(name, value)])));
            assert!(set.is_empty());
        }
        assert!(settings(&[("gtid_next", "AUTOMATIC"), ("session_track_schema", "OFF")]).is_empty());
    }
}
