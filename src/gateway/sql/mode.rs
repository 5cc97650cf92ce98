//! The parts of `@@sql_mode` that change how a statement's text is cut into tokens, or which row gets a number.

/// What must be known of a session's `sql_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlMode {
    /// `ANSI_QUOTES`: `"x"` is an identifier, not a string.
    pub ansi_quotes: bool,
    /// `NO_BACKSLASH_ESCAPES`: a backslash within a string is an ordinary byte.
    pub no_backslash_escapes: bool,
    /// `NO_AUTO_VALUE_ON_ZERO`: 0 in an AUTO_INCREMENT column is 0, and asks for no number.
    pub zero_is_zero: bool,
}

impl SqlMode {
    /// Reads the text of `@@sql_mode`: names parted by commas, in any case. A name it does not know changes nothing.
    pub fn parse(value: &str) -> Self {
        let mut mode = Self::default();
        for name in value.split(',').map(str::trim) {
            // Servers spell combinations out, but a text taken from a client's `SET` may hold the bare `ANSI`.
            mode.ansi_quotes |= name.eq_ignore_ascii_case("ANSI_QUOTES") || name.eq_ignore_ascii_case("ANSI");
            mode.no_backslash_escapes |= name.eq_ignore_ascii_case("NO_BACKSLASH_ESCAPES");
            mode.zero_is_zero |= name.eq_ignore_ascii_case("NO_AUTO_VALUE_ON_ZERO");
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use super::SqlMode;

    #[test]
    fn names_are_found_in_the_list() {
        assert_eq!(SqlMode::parse("ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES"), SqlMode::default());
        assert_eq!(SqlMode::parse(""), SqlMode::default());
        let both = SqlMode { ansi_quotes: true, no_backslash_escapes: true, ..SqlMode::default() };
        assert_eq!(SqlMode::parse("ansi_quotes, NO_BACKSLASH_ESCAPES"), both);
        assert!(SqlMode::parse("NO_ZERO_DATE,NO_AUTO_VALUE_ON_ZERO").zero_is_zero);
        assert!(SqlMode::parse("REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI").ansi_quotes);
    }
}
