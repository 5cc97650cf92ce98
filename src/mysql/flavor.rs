//! Which server it is, and the statements that differ between versions.

use std::fmt;

/// Who makes the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Oracle's MySQL, and servers that say nothing else.
    Mysql,
    /// Percona Server: MySQL with additions.
    Percona,
    /// MariaDB: other GTIDs, other binlog events.
    MariaDb,
}

/// A server's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavor {
    /// Who makes it.
    pub vendor: Vendor,
    /// Major, minor and patch number.
    pub version: (u16, u16, u16),
}

/// The oldest version that has all the statements we use: `SHOW REPLICA STATUS` is the youngest of them.
pub const OLDEST: (u16, u16, u16) = (8, 0, 22);

impl Flavor {
    /// Reads `@@version` and `@@version_comment`; `None` if the former does not begin with a version number.
    pub fn parse(version: &str, comment: &str) -> Option<Self> {
        let lower = format!("{version} {comment}").to_lowercase();
        let vendor = if lower.contains("mariadb") {
            Vendor::MariaDb
        } else if lower.contains("percona") {
            Vendor::Percona
        } else {
            Vendor::Mysql
        };
        // MariaDB once hid behind this prefix from replicas that knew only MySQL's numbers.
        let version =
            if vendor == Vendor::MariaDb { version.strip_prefix("5.5.5-").unwrap_or(version) } else { version };
        let digits = version.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut numbers = digits.split('.').map(str::parse::<u16>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(Self { vendor, version: (major, minor, patch) })
    }

    /// Whether the data path works with this server.
    pub fn supported(&self) -> bool {
        self.vendor != Vendor::MariaDb && self.version >= OLDEST
    }

    /// The statement that shows the binlog's end and its filters: renamed in 8.2, the old name gone in 8.4.
    pub fn binlog_status_statement(&self) -> &'static str {
        if self.version >= (8, 2, 0) { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" }
    }

    /// Whether cascades of foreign keys are in the binlog as rows, unless `innodb_native_foreign_keys` is ON.
    pub fn logs_cascades(&self) -> bool {
        self.vendor != Vendor::MariaDb && self.version >= (9, 6, 0)
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendor = match self.vendor {
            Vendor::Mysql => "MySQL",
            Vendor::Percona => "Percona Server",
            Vendor::MariaDb => "MariaDB",
        };
        let (major, minor, patch) = self.version;
        write!(f, "{vendor} {major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_and_versions() {
        let show = |version, comment| Flavor::parse(version, comment).map(|f| (f.to_string(), f.supported()));
        assert_eq!(show("9.7.4-2", "(Debian)"), Some(("MySQL 9.7.4".into(), true)));
        assert_eq!(show("8.0.36-28", "Percona Server (GPL)"), Some(("Percona Server 8.0.36".into(), true)));
        assert_eq!(show("5.5.5-10.11.6-MariaDB-log", ""), Some(("MariaDB 10.11.6".into(), false)));
        assert_eq!(show("5.7.44", "MySQL Community Server"), Some(("MySQL 5.7.44".into(), false)));
        assert_eq!(show("unknown", ""), None);
        let old = Flavor::parse("8.0.36", "").unwrap();
        assert_eq!(old.binlog_status_statement(), "SHOW MASTER STATUS");
        assert!(!old.logs_cascades());
    }
}
