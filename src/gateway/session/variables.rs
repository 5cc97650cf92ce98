//! User variables follow their session when it goes on on another tablet.
//!
//! They are read where they were set last and set on the connection that needs them, each with its type, character set and
//! collation. Invariant: a statement that reads or sets a variable finds all of the session's on its connection.

use crate::gateway::backend::Checkout;
use crate::gateway::client::SqlError;
use crate::gateway::sql::quote_identifier;

use super::Session;
use super::ready::NotSent;

/// Variables asked for in one statement.
const AT_ONCE: usize = 100;
/// Columns for each: type, bytes, character set, collation.
const COLUMNS: usize = 4;

impl Session {
    /// Brings the session's user variables to `checkout`, if another of its connections has them.
    pub(super) async fn carry_variables(&mut self, checkout: &mut Checkout) -> Result<(), NotSent> {
        let here = checkout.key().tablet();
        if self.keep.variables.is_empty() || self.variables_at.as_ref().is_none_or(|at| at == here) {
            self.variables_at = Some(here.clone());
            return Ok(());
        }
        let there = self.held.iter_mut().find(|held| Some(held.key().tablet()) == self.variables_at.as_ref());
        let Some(there) = there else {
            return Err(NotSent::Told(SqlError::new(
                1105,
                b"HY000",
                "the connection with the session's user variables is gone",
            )));
        };
        let names: Vec<&String> = self.keep.variables.iter().collect();
        for names in names.chunks(AT_ONCE) {
            let names: Vec<String> =
                names.iter().map(|name| String::from_utf8_lossy(&quote_identifier(name)).into_owned()).collect();
            let columns: Vec<String> = names
                .iter()
                .map(|name| {
                    format!(
                        "JSON_TYPE(JSON_EXTRACT(JSON_ARRAY(@{name}), '$[0]')), HEX(CAST(@{name} AS BINARY)), \
                         CHARSET(@{name}), COLLATION(@{name})"
                    )
                })
                .collect();
            let row = there.backend.row(format!("SELECT {}", columns.join(", ")).as_bytes()).await?;
            let text =
                |value: &Option<Vec<u8>>| value.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let set: Vec<String> = names
                .iter()
                .zip(row.chunks(COLUMNS))
                .map(|(name, row)| {
                    let [kind, hex, charset, collation] = row else { return format!("@{name} = NULL") };
                    let [kind, hex, charset, collation] =
                        [kind, hex, charset, collation].map(text).map(Option::unwrap_or_default);
                    format!("@{name} = {}", literal(&kind, &hex, &charset, &collation))
                })
                .collect();
            checkout.backend.execute(format!("SET {}", set.join(", ")).as_bytes()).await?;
        }
        self.variables_at = Some(checkout.key().tablet().clone());
        Ok(())
    }
}

/// A value as an expression: its JSON type, its bytes in hexadecimal, its character set and collation.
fn literal(kind: &str, hex: &str, charset: &str, collation: &str) -> String {
    let digits = || {
        let byte = |at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).map(char::from);
        (0..hex.len()).step_by(2).filter_map(byte).collect::<String>()
    };
    match kind {
        "" | "NULL" => "NULL".into(),
        "INTEGER" | "UNSIGNED INTEGER" | "DECIMAL" => digits(),
        "DOUBLE" => {
            let digits = digits();
            if digits.contains(['e', 'E']) { digits } else { format!("{digits}e0") }
        }
        _ if charset == "binary" => format!("_binary X'{hex}'"),
        _ => format!("_{charset} X'{hex}' COLLATE {collation}"),
    }
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn values_keep_their_type() {
        assert_eq!(literal("NULL", "", "binary", "binary"), "NULL");
        assert_eq!(literal("INTEGER", "2D37", "binary", "binary"), "-7");
        assert_eq!(literal("DOUBLE", "312E35", "binary", "binary"), "1.5e0");
        assert_eq!(literal("STRING", "61", "latin1", "latin1_bin"), "_latin1 X'61' COLLATE latin1_bin");
        assert_eq!(literal("BLOB", "", "binary", "binary"), "_binary X''");
    }
}
