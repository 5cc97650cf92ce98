//! The MySQL accounts a local server gets, and the statements that make them.

use std::fmt;

use mysql_async::Value;

/// What an application may do: rows and tables anywhere, nothing that gets past `super_read_only` or another account.
const APPLICATION: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER, EVENT, \
    CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, CREATE TEMPORARY TABLES, LOCK TABLES";

/// A MySQL account, valid from any host.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// As between `GRANT` and `ON *.*`. `ALL` includes every dynamic privilege and comes with GRANT OPTION.
    pub privileges: String,
}

impl Account {
    /// An account that may do everything, as the engine needs: copy, replicate, fence, create, see every connection.
    pub fn engine(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into(), privileges: "ALL".into() }
    }

    /// An application's account: DML and DDL on everything, no administration.
    pub fn application(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into(), privileges: APPLICATION.into() }
    }

    /// Statements that make the account so, whatever it was before.
    fn statements(&self) -> [String; 3] {
        let name = Value::from(&self.user).as_sql(false);
        let password = Value::from(&self.password).as_sql(false);
        let option = if self.privileges.eq_ignore_ascii_case("ALL") { " WITH GRANT OPTION" } else { "" };
        [
            format!("CREATE USER IF NOT EXISTS {name}@'%';"),
            format!("ALTER USER {name}@'%' IDENTIFIED BY {password};"),
            format!("GRANT {} ON *.* TO {name}@'%'{option};", self.privileges),
        ]
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("privileges", &self.privileges)
            .finish_non_exhaustive()
    }
}

/// The `init_file` of a server's first start; it runs before the server listens. One statement per line, as mysqld wants.
///
/// Nothing is written to the binlog, for it would be an errant GTID on a replica. The admin comes last: it can log in
/// only if everything before it succeeded.
pub(super) fn init_file(admin: &Account, others: &[Account], replica: bool) -> String {
    let mut lines = vec!["SET SESSION sql_log_bin = 0;".to_owned()];
    lines.extend(others.iter().flat_map(Account::statements));
    lines.push("ALTER USER 'root'@'localhost' ACCOUNT LOCK;".into());
    lines.extend(admin.statements());
    if replica {
        lines.push("SET GLOBAL super_read_only = ON;".into());
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_quoted_on_one_line_and_never_shown() {
        let account = Account::engine("o'b", "a'b\\c\nd");
        assert_eq!(account.statements()[1], r"ALTER USER 'o\'b'@'%' IDENTIFIED BY 'a\'b\\c\nd';");
        assert!(!format!("{account:?}").contains("b\\"));
        assert!(init_file(&account, &[], true).lines().all(|line| line.ends_with(';')));
    }
}
