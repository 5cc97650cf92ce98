//! MySQL's LIKE: `%` for any run of characters, `_` for one, `\` before a character that stands for itself.

/// A pattern, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Like(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Run,
    One,
    Just(char),
}

fn folded(c: char) -> char {
    // The one character of the lower case, where it is one: as good as the server's default collation for names.
    c.to_lowercase().next().unwrap_or(c)
}

impl Like {
    /// The pattern of this text.
    pub fn new(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '%' => Piece::Run,
                '_' => Piece::One,
                // At the end it stands for itself.
                '\\' => Piece::Just(folded(chars.next().unwrap_or('\\'))),
                other => Piece::Just(folded(other)),
            });
        }
        pieces.dedup_by(|a, b| *a == Piece::Run && *b == Piece::Run);
        Self(pieces)
    }

    /// What matches everything.
    pub fn any() -> Self {
        Self(vec![Piece::Run])
    }

    /// Whether all of `text` matches, whatever its case. Takes time in proportion to both lengths' product at most.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().map(folded).collect();
        let (mut at, mut piece) = (0, 0);
        // Where to go on if what follows the last run does not match: one character later.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(piece), text.get(at)) {
                (Some(Piece::Run), _) => {
                    retry = Some((at, piece));
                    piece += 1;
                    continue;
                }
                (Some(Piece::One), Some(_)) => {
                    (at, piece) = (at + 1, piece + 1);
                    continue;
                }
                (Some(Piece::Just(wanted)), Some(found)) if wanted == found => {
                    (at, piece) = (at + 1, piece + 1);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            match retry {
                Some((from, run)) if from < text.len() => {
                    retry = Some((from + 1, run));
                    (at, piece) = (from + 1, run + 1);
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_in_mysql() {
        for (pattern, text, matches) in [
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("customer", "Customer", true),
            ("cust%", "customer", true),
            ("%er", "customer", true),
            ("%ust%me%", "customer", true),
            ("%x%", "customer", false),
            ("c_stomer", "customer", true),
            ("c_stomer", "cstomer", false),
            (r"a\_b", "a_b", true),
            (r"a\_b", "axb", false),
            (r"100\%", "100%", true),
            (r"a\\b", r"a\b", true),
            (r"a\", r"a\", true),
            ("commerce/%", "commerce/0", true),
            ("É%", "école", true),
            ("a%a%a%a%b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(Like::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }

    /// The definition, without a thought for time.
    fn plain(pattern: &[Piece], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((Piece::Run, rest)), _) => {
                plain(rest, text) || text.split_first().is_some_and(|(_, later)| plain(pattern, later))
            }
            (Some((Piece::One, rest)), Some((_, later))) => plain(rest, later),
            (Some((Piece::Just(wanted), rest)), Some((found, later))) => wanted == found && plain(rest, later),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_keeps_to_the_definition(pattern in r"[ab%_\\]{0,8}", text in r"[ab\\%]{0,8}") {
            let like = Like::new(&pattern);
            let chars: Vec<char> = text.chars().collect();
            prop_assert_eq!(like.matches(&text), plain(&like.0, &chars));
        }

        #[test]
        fn a_text_with_all_escaped_matches_itself(text in ".{0,20}") {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert!(Like::new(&escaped).matches(&text));
        }
    }
}
