//! The names of databases in a statement's text: the client's are keyspaces, the server's are schemas.

use std::ops::Range;

use super::place::shown_database;
use super::{Router, Statement, Tablet, show_tables};
use crate::gateway::sql::{Edit, Kind, Name, Qualified, Show, quote_identifier};
use crate::gateway::view::is_system_schema;

impl Router<'_> {
    /// What must change in the text for it to mean on `tablet` what the client means. The tablet's connections have its
    /// schema as their default, so that what is not qualified needs nothing.
    pub(super) fn edits(&self, statement: &Statement, sql: &[u8], tablet: &Tablet) -> Vec<Edit> {
        let schema = tablet.record.database.as_str();
        let home = self.target.keyspace.as_ref().map(|name| name.as_str());
        if let Kind::Show(Show::Tables { full, extended: false, database, filter }) = &statement.kind
            && let Some(shown) = database.as_ref().map(|name| name.text.as_str()).or(home)
            && (is_system_schema(shown) && database.is_none() || !is_system_schema(shown) && shown != schema)
        {
            let schema = if is_system_schema(shown) { shown } else { schema };
            return vec![show_tables::rewrite(sql, *full, shown, schema, filter.as_ref())];
        }
        let translated = |name: &Name| {
            let differs = !is_system_schema(&name.text) && name.text != schema;
            differs.then(|| Edit { span: name.span.clone(), with: quote_identifier(schema) })
        };
        let mut edits: Vec<Edit> = Vec::new();
        for table in &statement.tables {
            match (&table.database, home) {
                (Some(database), _) => edits.extend(translated(database)),
                (None, Some(home)) if is_system_schema(home) => {
                    let start = table.table.span.start;
                    let mut with = quote_identifier(home);
                    with.push(b'.');
                    edits.push(Edit { span: start..start, with });
                }
                (None, _) => {}
            }
        }
        for qualifier in &statement.qualifiers {
            let known = match qualifier.what {
                Qualified::Routine | Qualified::Database => true,
                // It repeats what stands before a table; what does not is an error for the server to find.
                Qualified::Column | Qualified::Table => self.is_called_so(statement, &qualifier.database.text),
            };
            edits.extend(known.then(|| translated(&qualifier.database)).flatten());
        }
        edits.extend(shown_database(statement).and_then(translated));
        // The server would tell its schema, or another keyspace's than the session's.
        if home != Some(schema) {
            let told = home.map_or("NULL".into(), |home| format!("'{home}'"));
            let told = |span: &Range<usize>| {
                let name = sql.get(span.clone()).unwrap_or_default();
                let with = match is_first_column(sql, span) {
                    // With the function's own name and type.
                    true => {
                        let name = quote_identifier(&String::from_utf8_lossy(name));
                        [format!("CAST({told} AS CHAR(64)) AS ").as_bytes(), &name].concat()
                    }
                    false => told.clone().into_bytes(),
                };
                Edit { span: span.clone(), with }
            };
            edits.extend(statement.uses.database_function.iter().map(told));
        }
        edits.sort_by_key(|edit| edit.span.start);
        edits.dedup();
        edits
    }

    /// Whether this is the name of a keyspace, or one the statement calls a table by.
    fn is_called_so(&self, statement: &Statement, database: &str) -> bool {
        let by_table =
            || statement.tables.iter().any(|table| table.database.as_ref().is_some_and(|name| name.text == database));
        self.view.keyspace(database).is_some() || by_table()
    }
}

/// Whether what stands there is the first column selected, with nothing but columns behind it, as drivers ask for their
/// database.
fn is_first_column(sql: &[u8], span: &Range<usize>) -> bool {
    let before = sql.get(..span.start).unwrap_or_default().trim_ascii();
    let after = sql.get(span.end..).unwrap_or_default().trim_ascii();
    before.eq_ignore_ascii_case(b"SELECT") && matches!(after, b"" | b";" | [b',', ..])
}
