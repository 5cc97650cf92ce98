//! A table's definition without AUTO_INCREMENT, for a table whose rows are spread over shards: each shard would number for
//! itself. Pure.

/// `create`, the answer of SHOW CREATE TABLE, without the attribute of the column and the counter of the table. Names,
/// literals and comments are left alone.
pub fn without_auto_increment(create: &str) -> String {
    const WORD: &str = " AUTO_INCREMENT";
    let mut kept = String::with_capacity(create.len());
    let mut rest = create;
    while let Some(next) = rest.chars().next() {
        if matches!(next, '`' | '\'' | '"') {
            let end = quoted(rest, next);
            kept.push_str(rest.get(..end).unwrap_or(rest));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        if let Some(after) = rest.strip_prefix(WORD) {
            let counter = after.strip_prefix('=').map(|digits| digits.trim_start_matches(|c: char| c.is_ascii_digit()));
            let ends = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            if let Some(after) = counter.or(Some(after)).filter(|after| ends(after)) {
                rest = after;
                continue;
            }
        }
        kept.push(next);
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
    }
    kept
}

/// Where the quoted text that `text` begins with ends.
fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            characters.next();
        } else if c == quote {
            // A doubled one goes on as the next quoted text, which is as good.
            return at + c.len_utf8();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_attribute_and_the_counter_go() {
        let create = "CREATE TABLE `t AUTO_INCREMENT` (\n  `id` bigint NOT NULL AUTO_INCREMENT COMMENT 'an AUTO_INCREMENT, it''s \\' AUTO_INCREMENT',\n  \
             `AUTO_INCREMENT` int DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 COMMENT=' AUTO_INCREMENT=5'";
        let wanted = "CREATE TABLE `t AUTO_INCREMENT` (\n  `id` bigint NOT NULL COMMENT 'an AUTO_INCREMENT, it''s \\' AUTO_INCREMENT',\n  \
             `AUTO_INCREMENT` int DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT=' AUTO_INCREMENT=5'";
        assert_eq!(without_auto_increment(create), wanted);
        assert_eq!(without_auto_increment(wanted), wanted);
        assert_eq!(without_auto_increment("`id` int NOT NULL AUTO_INCREMENT,"), "`id` int NOT NULL,");
    }
}
