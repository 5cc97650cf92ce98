//! Patience: how often the same error has come without anything moving in between.

/// Errors of one kind in a row.
#[derive(Debug, Default)]
pub struct Strikes {
    kind: String,
    /// The first of them, in words.
    pub first: String,
    count: u32,
    mark: (String, u64),
}

impl Strikes {
    /// How often an error of this kind has come in a row with the progress at `mark`.
    pub fn count(&mut self, kind: &str, message: &str, mark: (String, u64)) -> u32 {
        if self.kind != kind || self.mark != mark {
            *self = Self { kind: kind.to_string(), first: message.to_string(), count: 0, mark };
        }
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_other_errors_begin_anew() {
        let mut strikes = Strikes::default();
        let mark = |rows| ("p".to_string(), rows);
        assert_eq!(strikes.count("a", "first", mark(1)), 1);
        assert_eq!(strikes.count("a", "second", mark(1)), 2);
        assert_eq!(strikes.first, "first");
        assert_eq!(strikes.count("a", "third", mark(2)), 1);
        assert_eq!(strikes.count("b", "other", mark(2)), 1);
    }
}
