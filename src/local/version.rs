//! Reading `mysqld --version`.

use std::fmt;

/// Version of a MySQL server program. Ordered by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// 8 in 8.4.2.
    pub major: u16,
    /// 4 in 8.4.2.
    pub minor: u16,
    /// 2 in 8.4.2.
    pub patch: u16,
    /// What follows `Ver `: number, build and distribution, for telling builds apart.
    pub text: String,
}

impl ServerVersion {
    /// Reads the line `…mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))`. The error says why the program is no use.
    pub fn parse(line: &str) -> Result<Self, String> {
        let unknown = || format!("`--version` says `{}`, which is not a MySQL version", line.trim());
        let text = line.split_once("Ver ").map(|(_, rest)| rest.trim().to_owned()).ok_or_else(unknown)?;
        if text.contains("MariaDB") {
            return Err(format!("it is MariaDB ({text}); MySQL 8.0 or newer is needed"));
        }
        let digits = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut numbers = digits.split('.').map(str::parse);
        let mut next = || numbers.next().and_then(Result::ok).ok_or_else(unknown);
        let version = Self { major: next()?, minor: next()?, patch: next()?, text };
        if version.major < 8 {
            return Err(format!("it is version {version}; MySQL 8.0 or newer is needed"));
        }
        Ok(version)
    }

    /// The build as a file name: two builds that may differ in their system tables never share it.
    pub(super) fn file_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        self.text
            .chars()
            .map(plain)
            .collect::<String>()
            .split('-')
            .filter(|s| !s.is_empty())
            .collect::<Vec<_>>()
            .join("-")
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_and_percona_are_read() {
        let debian = ServerVersion::parse("/x/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))\n").unwrap();
        assert_eq!((debian.major, debian.minor, debian.patch), (9, 7, 4));
        assert_eq!(debian.file_name(), "9.7.4-2-for-Linux-on-x86-64-Debian");
        let percona = ServerVersion::parse("mysqld  Ver 8.0.35-27 for Linux on x86_64 (Percona Server (GPL))").unwrap();
        assert_eq!(percona.to_string(), "8.0.35");
        assert!(percona < debian);
    }

    #[test]
    fn others_are_refused_with_their_reason() {
        let maria = "mysqld  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)";
        assert!(ServerVersion::parse(maria).unwrap_err().contains("MariaDB"));
        assert!(ServerVersion::parse("mysqld  Ver 5.7.44 for Linux").unwrap_err().contains("8.0 or newer"));
        assert!(ServerVersion::parse("hello").unwrap_err().contains("not a MySQL version"));
        assert!(ServerVersion::parse("mysqld Ver 8.").is_err());
    }
}
