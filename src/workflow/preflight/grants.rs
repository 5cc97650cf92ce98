//! What `SHOW GRANTS` says, understood. information_schema is no substitute: managed servers show less there.

/// Where a privilege holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Global,
    /// A pattern with `%`, `_` and backslash escapes.
    Database(String),
    Table(String, String),
}

/// The privileges of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Grants {
    given: Vec<(String, Scope)>,
    /// Global privileges taken back for single schemas (`partial_revokes=ON`).
    revoked: Vec<(String, String)>,
    /// With `partial_revokes=ON`, `%` and `_` in a schema's name are plain characters.
    pub literal_names: bool,
}

impl Grants {
    /// Reads the lines. Privileges on single columns and on routines count for nothing.
    pub fn parse(lines: impl IntoIterator<Item = String>) -> Self {
        let mut grants = Self::default();
        for line in lines {
            let (revoke, rest) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
                (Some(rest), _) => (false, rest),
                (_, Some(rest)) => (true, rest),
                _ => continue,
            };
            // A role's own line has no ON.
            let Some((privileges, object)) = split_outside(rest, " ON ") else { continue };
            let Some(scope) = scope(object) else { continue };
            for privilege in privileges.split(',').map(|word| word.trim().to_uppercase()) {
                match &scope {
                    Scope::Database(name) if revoke => grants.revoked.push((privilege, unescape(name))),
                    scope => grants.given.push((privilege, scope.clone())),
                }
            }
        }
        grants
    }

    /// Whether a privilege holds everywhere.
    pub fn global(&self, privilege: &str) -> bool {
        self.given.iter().any(|(given, scope)| is(given, privilege) && *scope == Scope::Global)
    }

    /// Whether a privilege holds on all of a schema.
    pub fn on_database(&self, privilege: &str, database: &str) -> bool {
        self.given.iter().any(|(given, scope)| {
            is(given, privilege)
                && match scope {
                    Scope::Global => {
                        !self.revoked.iter().any(|(word, schema)| is(word, privilege) && schema == database)
                    }
                    Scope::Database(name) if self.literal_names => unescape(name) == database,
                    Scope::Database(pattern) => like(pattern.as_bytes(), database.as_bytes()),
                    Scope::Table(..) => false,
                }
        })
    }

    /// Whether a privilege holds on a table.
    pub fn on_table(&self, privilege: &str, database: &str, table: &str) -> bool {
        self.on_database(privilege, database)
            || self.given.iter().any(|(given, scope)| {
                is(given, privilege) && *scope == Scope::Table(database.to_owned(), table.to_owned())
            })
    }
}

fn is(given: &str, wanted: &str) -> bool {
    given == wanted || given == "ALL PRIVILEGES" || given == "ALL"
}

/// Splits at the first `separator` that is not within backquotes.
fn split_outside<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        quoted ^= byte == b'`';
        if !quoted && text.as_bytes()[at..].starts_with(separator.as_bytes()) {
            return Some((&text[..at], &text[at + separator.len()..]));
        }
    }
    None
}

fn scope(object: &str) -> Option<Scope> {
    let object = object.strip_prefix("TABLE ").unwrap_or(object);
    if object.starts_with("*.* ") {
        return Some(Scope::Global);
    }
    let (database, rest) = name(object)?;
    let rest = rest.strip_prefix('.')?;
    if rest.starts_with("* ") {
        return Some(Scope::Database(database));
    }
    let (table, _) = name(rest)?;
    Some(Scope::Table(unescape(&database), table))
}

/// A backquoted name at the start of `text`, and what follows.
fn name(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('`')?;
    let mut found = String::new();
    let mut rest = inner;
    loop {
        let (part, after) = rest.split_once('`')?;
        found.push_str(part);
        match after.strip_prefix('`') {
            Some(more) => {
                found.push('`');
                rest = more;
            }
            None => return Some((found, after)),
        }
    }
}

fn unescape(pattern: &str) -> String {
    pattern.replace("\\_", "_").replace("\\%", "%").replace("\\\\", "\\")
}

/// SQL's LIKE with backslash as the escape character.
pub(super) fn like(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'%', rest @ ..] => (0..=text.len()).any(|skip| like(rest, &text[skip..])),
        [b'\\', byte, rest @ ..] => text.first() == Some(byte) && like(rest, &text[1..]),
        [b'_', rest @ ..] => !text.is_empty() && like(rest, &text[1..]),
        [byte, rest @ ..] => text.first() == Some(byte) && like(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_real_server() {
        let grants = Grants::parse(
            [
                "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `u1`@`localhost`",
                "GRANT CONNECTION_ADMIN,XA_RECOVER_ADMIN ON *.* TO `u1`@`localhost`",
                "GRANT SELECT ON `x%`.* TO `u1`@`localhost`",
                "GRANT ALL PRIVILEGES ON `\\_shardlift`.* TO `u1`@`localhost` WITH GRANT OPTION",
                "GRANT SELECT (`a`), INSERT ON `x`.`k 3` TO `u1`@`localhost`",
                "GRANT EXECUTE ON PROCEDURE `x`.`p` TO `u1`@`localhost`",
                "GRANT `r1 ON `@`%` TO `u1`@`localhost`",
            ]
            .map(str::to_owned),
        );
        assert!(grants.global("REPLICATION SLAVE") && grants.global("XA_RECOVER_ADMIN") && !grants.global("SELECT"));
        assert!(grants.on_database("SELECT", "xy") && !grants.on_database("SELECT", "yx"));
        assert!(grants.on_database("TRIGGER", "_shardlift") && !grants.on_database("TRIGGER", "ashardlift"));
        assert!(grants.on_table("INSERT", "x", "k 3") && !grants.on_table("INSERT", "x", "k3"));
        assert!(!grants.on_table("EXECUTE", "x", "p"));
    }

    #[test]
    fn partial_revokes_take_back() {
        let lines = ["GRANT SELECT ON *.* TO `u`@`%`", "REVOKE SELECT ON `a_b`.* FROM `u`@`%`"].map(str::to_owned);
        let grants = Grants { literal_names: true, ..Grants::parse(lines) };
        assert!(grants.on_database("SELECT", "axb") && !grants.on_database("SELECT", "a_b"));
    }
}
