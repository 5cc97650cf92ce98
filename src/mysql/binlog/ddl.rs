//! Which tables a DDL statement touches.
//!
//! "Touches" is about rows and structure of stored tables: views, routines, accounts and the like are nothing to us. Where the
//! text cannot be followed to its end the answer is [`Scope::Unknown`], never a shorter list.

use crate::model::FenceTrigger;

use super::query::Statement;
use super::tokens::{Token, Tokens};

/// What a DDL statement touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// No stored table.
    Nothing,
    /// These tables, as (database, table).
    Tables(Vec<(String, String)>),
    /// Every table of a database.
    Database(String),
    /// Possibly anything.
    Unknown,
}

impl Scope {
    /// Whether the statement may concern this table. Case is ignored: `lower_case_table_names` is the server's secret.
    pub fn touches(&self, database: &str, table: &str) -> bool {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        match self {
            Scope::Nothing => false,
            Scope::Tables(names) => names.iter().any(|(d, t)| same(d, database) && same(t, table)),
            Scope::Database(name) => same(name, database),
            Scope::Unknown => true,
        }
    }
}

/// Classifies a statement that is neither transaction control nor plain DML.
pub fn classify(tokens: Tokens<'_>, database: &str) -> Statement {
    let tokens: Vec<Token<'_>> = tokens.collect();
    if tokens.contains(&Token::Unfinished) {
        return Statement::Ddl { scope: Scope::Unknown, starts_transaction: false };
    }
    let mut reader = Reader { tokens: &tokens, at: 0, database };
    let creates = reader.word("CREATE") && {
        reader.word("TEMPORARY");
        reader.word("TABLE")
    };
    if creates {
        if let [.., start, transaction] = tokens.as_slice()
            && is_word(start, "START")
            && is_word(transaction, "TRANSACTION")
        {
            return Statement::Ddl { scope: scope(&tokens, database), starts_transaction: true };
        }
        // `CREATE TABLE … SELECT` logged as text: the SELECT may call what writes to other tables.
        if tokens[reader.at..].iter().any(|token| is_word(token, "SELECT") || is_word(token, "TABLE")) {
            return Statement::Dml;
        }
    }
    Statement::Ddl { scope: scope(&tokens, database), starts_transaction: false }
}

fn is_word(token: &Token<'_>, word: &str) -> bool {
    matches!(token, Token::Word(text) if text.eq_ignore_ascii_case(word))
}

fn scope(tokens: &[Token<'_>], database: &str) -> Scope {
    let mut reader = Reader { tokens, at: 0, database };
    let Some(verb) = reader.any_word() else { return Scope::Unknown };
    let found = match verb.as_str() {
        "CREATE" => reader.create(),
        "ALTER" => reader.alter(),
        "DROP" => reader.drop_(),
        "RENAME" if reader.word("USER") => Some(Scope::Nothing),
        "RENAME" => (reader.word("TABLE") || reader.word("TABLES")).then(|| reader.names(&["TO"])).flatten(),
        "TRUNCATE" => {
            reader.word("TABLE");
            reader.name().map(|name| Scope::Tables(vec![name]))
        }
        // None changes what a SELECT on an InnoDB table returns.
        "ANALYZE" | "OPTIMIZE" | "REPAIR" | "CHECK" | "FLUSH" | "GRANT" | "REVOKE" | "SET" | "INSTALL"
        | "UNINSTALL" => Some(Scope::Nothing),
        _ => None,
    };
    found.unwrap_or(Scope::Unknown)
}

/// Whether a trigger of this name on the table in `scope` is a fence's: it changes no row, and arming a fence must not look
/// like DDL of the user's.
fn is_fence(trigger: &str, scope: &Scope) -> bool {
    let name = trigger.parse::<FenceTrigger>();
    matches!((name, scope), (Ok(name), Scope::Tables(tables)) if tables.iter().all(|(_, table)| name.is_on(table)))
}

/// Reads a statement from left to right.
struct Reader<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    database: &'t str,
}

impl Reader<'_> {
    /// Takes `word` if it stands here.
    fn word(&mut self, word: &str) -> bool {
        let here = self.tokens.get(self.at).is_some_and(|token| is_word(token, word));
        self.at += usize::from(here);
        here
    }

    /// Takes all of `words` if they stand here.
    fn words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let here = words.iter().all(|word| self.word(word));
        if !here {
            self.at = start;
        }
        here
    }

    fn sign(&mut self, sign: char) -> bool {
        let here = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(here);
        here
    }

    fn any_word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.tokens.get(self.at) else { return None };
        self.at += 1;
        Some(word.to_ascii_uppercase())
    }

    fn identifier(&mut self) -> Option<String> {
        let name = match self.tokens.get(self.at)? {
            Token::Word(name) => (*name).to_owned(),
            Token::Quoted(name) => name.clone().into_owned(),
            Token::Text | Token::Sign(_) | Token::Unfinished => return None,
        };
        self.at += 1;
        Some(name)
    }

    /// A name, qualified or not, as (database, name).
    fn name(&mut self) -> Option<(String, String)> {
        let first = self.identifier()?;
        if self.sign('.') {
            return Some((first, self.identifier()?));
        }
        Some((self.database.to_owned(), first))
    }

    /// Names separated by commas or one of `between`, up to the end or a last RESTRICT or CASCADE.
    fn names(&mut self, between: &[&str]) -> Option<Scope> {
        let mut names = vec![self.name()?];
        while self.sign(',') || between.iter().any(|word| self.word(word)) {
            names.push(self.name()?);
        }
        let _ = self.word("RESTRICT") || self.word("CASCADE");
        self.sign(';');
        (self.at == self.tokens.len()).then_some(Scope::Tables(names))
    }

    fn create(&mut self) -> Option<Scope> {
        if self.words(&["TEMPORARY", "TABLE"]) {
            return Some(Scope::Nothing);
        }
        if self.word("TABLE") {
            self.words(&["IF", "NOT", "EXISTS"]);
            return self.name().map(|name| Scope::Tables(vec![name]));
        }
        let _ = self.words(&["OR", "REPLACE"]);
        let indexes = ["UNIQUE", "FULLTEXT", "SPATIAL"].iter().any(|kind| self.words(&[kind, "INDEX"]));
        if indexes || self.word("INDEX") {
            return self.on_table();
        }
        self.definer();
        if self.word("TRIGGER") {
            self.words(&["IF", "NOT", "EXISTS"]);
            let (_, trigger) = self.name()?;
            let scope = self.on_table()?;
            return Some(if is_fence(&trigger, &scope) { Scope::Nothing } else { scope });
        }
        self.no_table()
    }

    fn alter(&mut self) -> Option<Scope> {
        if !self.word("TABLE") {
            self.definer();
            return self.no_table();
        }
        let table = self.name()?;
        let own_database = table.0.clone();
        let mut names = vec![table];
        while self.at < self.tokens.len() {
            if self.words(&["WITH", "TABLE"]) {
                // EXCHANGE PARTITION: the other table's rows change without a row event.
                names.push(self.name()?);
            } else if self.word("RENAME") {
                let part = ["COLUMN", "INDEX", "KEY"].iter().any(|part| self.word(part));
                if !part {
                    let _ = self.word("TO") || self.word("AS") || self.sign('=');
                    // Versions differ in which database an unqualified name falls into, so both count.
                    let (to_database, to) = self.name()?;
                    if to_database != own_database && to_database == self.database {
                        names.push((own_database.clone(), to.clone()));
                    }
                    names.push((to_database, to));
                }
            } else {
                self.at += 1;
            }
        }
        Some(Scope::Tables(names))
    }

    fn drop_(&mut self) -> Option<Scope> {
        if self.words(&["TEMPORARY", "TABLE"]) || self.words(&["TEMPORARY", "TABLES"]) {
            return Some(Scope::Nothing);
        }
        if self.word("TABLE") || self.word("TABLES") {
            self.words(&["IF", "EXISTS"]);
            return self.names(&[]);
        }
        if self.word("INDEX") {
            return self.on_table();
        }
        if self.word("DATABASE") || self.word("SCHEMA") {
            self.words(&["IF", "EXISTS"]);
            return self.identifier().map(Scope::Database);
        }
        if self.word("TRIGGER") {
            // Neither rows nor structure change.
            return Some(Scope::Nothing);
        }
        self.no_table()
    }

    /// The table behind the first ON.
    fn on_table(&mut self) -> Option<Scope> {
        while self.at < self.tokens.len() {
            if self.word("ON") {
                return self.name().map(|name| Scope::Tables(vec![name]));
            }
            self.at += 1;
        }
        None
    }

    /// Skips `ALGORITHM = x`, `DEFINER = user@host`, `SQL SECURITY x`.
    fn definer(&mut self) {
        loop {
            if self.words(&["SQL", "SECURITY"]) || (self.word("ALGORITHM") && self.sign('=')) {
                self.at += 1;
            } else if self.word("DEFINER") && self.sign('=') {
                // 'user'@'host' in any quotes, or CURRENT_USER with or without parentheses.
                self.at += 1;
                if self.sign('@') {
                    self.at += 1;
                }
                let _ = self.sign('(') && self.sign(')');
            } else {
                return;
            }
        }
    }

    /// Objects that are not stored tables.
    fn no_table(&mut self) -> Option<Scope> {
        const NO_TABLE: [&str; 20] = [
            "VIEW",
            "PROCEDURE",
            "FUNCTION",
            "EVENT",
            "USER",
            "ROLE",
            "SERVER",
            "DATABASE",
            "SCHEMA",
            "TABLESPACE",
            "UNDO",
            "LOGFILE",
            "RESOURCE",
            "SPATIAL",
            "AGGREGATE",
            "INSTANCE",
            "LIBRARY",
            "PREPARE",
            "LOADABLE",
            "OR",
        ];
        let object = self.any_word()?;
        NO_TABLE.contains(&object.as_str()).then_some(Scope::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> Scope {
        match classify(Tokens::new(sql, false, false), "db") {
            Statement::Ddl { scope, .. } => scope,
            other => panic!("{sql}: {other:?}"),
        }
    }

    fn tables(names: &[(&str, &str)]) -> Scope {
        Scope::Tables(names.iter().map(|(d, t)| ((*d).into(), (*t).into())).collect())
    }

    #[test]
    fn tables_are_named() {
        for (sql, names) in [
            ("CREATE TABLE IF NOT EXISTS t (a int)", &[("db", "t")][..]),
            ("create table `d``x`.`t y` like u", &[("d`x", "t y")]),
            ("ALTER TABLE t ADD COLUMN a int", &[("db", "t")]),
            ("ALTER TABLE d2.t RENAME TO u", &[("d2", "t"), ("d2", "u"), ("db", "u")]),
            ("ALTER TABLE t RENAME d2.u, ADD b int", &[("db", "t"), ("d2", "u")]),
            ("ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX i TO j", &[("db", "t")]),
            ("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u", &[("db", "t"), ("db", "u")]),
            ("DROP TABLE IF EXISTS `a`,d.`b` /* generated by server */", &[("db", "a"), ("d", "b")]),
            ("DROP TABLE a CASCADE", &[("db", "a")]),
            ("RENAME TABLE a TO d.b, c TO a", &[("db", "a"), ("d", "b"), ("db", "c"), ("db", "a")]),
            ("TRUNCATE t", &[("db", "t")]),
            ("TRUNCATE TABLE `d`.`t`", &[("d", "t")]),
            ("CREATE UNIQUE INDEX i USING BTREE ON t (a)", &[("db", "t")]),
            ("CREATE SPATIAL INDEX i ON d.t (a)", &[("d", "t")]),
            ("DROP INDEX `on` ON t", &[("db", "t")]),
            ("CREATE DEFINER=`root`@`%` TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a = 1", &[("db", "t")]),
            // Not the fence's: another form, another table.
            (
                "CREATE TRIGGER shardlift_fence_ins_e3b98a4da31a127d BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
                &[("db", "t")],
            ),
            (
                "CREATE TRIGGER shardlift_fence_1_ins_e3b98a4da31a127d BEFORE INSERT ON u FOR EACH ROW SET @a = 1",
                &[("db", "u")],
            ),
            ("CREATE DEFINER=CURRENT_USER() TRIGGER tr AFTER UPDATE ON d.t FOR EACH ROW BEGIN END", &[("d", "t")]),
        ] {
            assert_eq!(of(sql), tables(names), "{sql}");
        }
    }

    #[test]
    fn what_touches_no_table_is_nothing() {
        for sql in [
            "CREATE TRIGGER `shardlift_fence_1_ins_e3b98a4da31a127d` BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
            "CREATE DEFINER=`r`@`h` TRIGGER `db`.`shardlift_fence_9_del_e3b98a4da31a127d` BEFORE DELETE ON `d`.`t` \
             FOR EACH ROW SET @a = 1",
            "DROP TRIGGER IF EXISTS `db`.`shardlift_fence_1_ins_e3b98a4da31a127d`",
            "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`",
            "CREATE TEMPORARY TABLE t (a int)",
            "CREATE ALGORITHM=UNDEFINED DEFINER=`r`@`h` SQL SECURITY DEFINER VIEW v AS SELECT 1",
            "CREATE OR REPLACE VIEW v AS SELECT * FROM t",
            "CREATE DEFINER=`r`@`h` PROCEDURE p() DELETE FROM t",
            "CREATE USER 'a'@'b'",
            "GRANT ALL ON *.* TO a",
            "CREATE DATABASE d2",
            "ANALYZE TABLE t",
            "SET PASSWORD FOR 'a'@'b'='x'",
            "CREATE SPATIAL REFERENCE SYSTEM 4120 NAME 'x'",
        ] {
            assert_eq!(of(sql), Scope::Nothing, "{sql}");
        }
    }

    #[test]
    fn the_rest_may_be_anything() {
        assert_eq!(of("DROP DATABASE IF EXISTS `D`"), Scope::Database("D".into()));
        assert!(of("DROP DATABASE d").touches("D", "t"));
        for sql in ["FROBNICATE t", "DROP TABLE a b", "DROP TABLE 'a'", "ALTER TABLE", "CREATE INDEX i"] {
            assert_eq!(of(sql), Scope::Unknown, "{sql}");
        }
        assert!(of("DROP TABLE `a").touches("any", "thing"));
        assert!(of("DROP TABLE T").touches("db", "t"));
        assert!(!of("DROP TABLE T").touches("db2", "t"));
    }

    #[test]
    fn atomic_create_select_begins_a_transaction() {
        let create = "CREATE TABLE `u` (\n  `a` int\n) START TRANSACTION";
        assert_eq!(
            classify(Tokens::new(create, false, false), "db"),
            Statement::Ddl { scope: tables(&[("db", "u")]), starts_transaction: true }
        );
    }
}
