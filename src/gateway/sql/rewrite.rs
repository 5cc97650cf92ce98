//! Changes a statement's text by splicing: every byte that is not replaced stays as the client wrote it.

use std::ops::Range;

/// Bytes to put in the place of a span; an empty span inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Range<usize>,
    pub with: Vec<u8>,
}

/// The text with all edits made. They may come in any order and are sorted by place. Equal edits count once; one that
/// overlaps another before it or reaches beyond the text is left out, which names found by [`super::analyze`] never do.
pub fn splice(sql: &[u8], edits: &mut Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    edits.dedup();
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut text = Vec::with_capacity(sql.len() + added);
    let mut done = 0;
    for edit in edits.iter() {
        let (Some(kept), true) = (sql.get(done..edit.span.start), edit.span.start <= edit.span.end) else { continue };
        if edit.span.end > sql.len() {
            continue;
        }
        text.extend_from_slice(kept);
        text.extend_from_slice(&edit.with);
        done = edit.span.end;
    }
    text.extend_from_slice(sql.get(done..).unwrap_or_default());
    text
}

/// An identifier within backticks, whatever the sql_mode.
pub fn quote_identifier(name: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    quoted.push(b'`');
    for &byte in name.as_bytes() {
        if byte == b'`' {
            quoted.push(b'`');
        }
        quoted.push(byte);
    }
    quoted.push(b'`');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Edit, quote_identifier, splice};
    use crate::gateway::sql::{SqlMode, analyze};

    #[test]
    fn databases_are_replaced_in_place() {
        let sql = b"SELECT a.t.c /* a.t */ FROM a.t JOIN `a`.u";
        let found = analyze(sql, SqlMode::default());
        let names = found.tables.into_iter().filter_map(|table| table.database);
        let names = names.chain(found.qualifiers.into_iter().map(|qualifier| qualifier.database));
        let mut edits: Vec<_> = names.map(|name| Edit { span: name.span, with: quote_identifier("b`c") }).collect();
        let text = String::from_utf8(splice(sql, &mut edits)).unwrap();
        assert_eq!(text, "SELECT `b``c`.t.c /* a.t */ FROM `b``c`.t JOIN `b``c`.u");
    }

    proptest! {
        #[test]
        fn any_edits_are_survived(
            sql in "[a-z ]{0,40}",
            spans in proptest::collection::vec((0_usize..50, 0_usize..50), 0..8),
        ) {
            let edit = |&(start, end): &(usize, usize)| Edit { span: start..end, with: b"X".to_vec() };
            let mut edits: Vec<_> = spans.iter().map(edit).collect();
            let text = splice(sql.as_bytes(), &mut edits);
            prop_assert!(text.len() <= sql.len() + spans.len());
            prop_assert_eq!(splice(sql.as_bytes(), &mut Vec::new()), sql.as_bytes());
        }
    }
}
