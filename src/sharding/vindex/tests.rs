use proptest::prelude::*;

use super::unicode::{UnicodeError, weigh};
use super::*;
use crate::model::KeyRange;

fn params(list: &[(&str, &str)]) -> Params {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn single(vindex: &str) -> Vindex {
    Vindex::new(vindex, &Params::new()).unwrap()
}

fn id(vindex: &Vindex, values: &[KeyValue<'_>]) -> Result<String, MapError> {
    let mut out = Vec::new();
    vindex.keyspace_id(values, &mut out)?;
    Ok(hex(&out))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn text(text: &str) -> KeyValue<'static> {
    KeyValue::Bytes(text.as_bytes().to_vec().into())
}

#[test]
fn vitess_answers_the_same() {
    for line in include_str!("tests/vitess.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [vindex, params, values, wanted] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let vindex = Vindex::new(vindex, &serde_json::from_str(params).unwrap()).unwrap();
        let value = |given: &str| match given.split_once(':').unwrap() {
            ("null", _) => KeyValue::Null,
            ("int", digits) => KeyValue::int(String::from_utf8(unhex(digits)).unwrap().parse().unwrap()),
            (_, bytes) => KeyValue::Bytes(unhex(bytes).into()),
        };
        let values: Vec<KeyValue<'_>> = values.split(',').map(value).collect();
        let mut out = Vec::new();
        if wanted.contains('-') {
            vindex.prefix(&values, &mut out).unwrap();
            assert_eq!(KeyRange::with_prefix(&out), wanted.parse().unwrap(), "{line}");
        } else {
            vindex.keyspace_id(&values, &mut out).unwrap();
            assert_eq!(hex(&out), wanted, "{line}");
        }
    }
}

#[test]
fn values_without_an_id_are_errors() {
    for vindex in ["hash", "numeric", "reverse_bits"] {
        assert_eq!(
            id(&single(vindex), &[KeyValue::Null]),
            Err(MapError::Null(single(vindex).function(0).unwrap().name()))
        );
        assert!(matches!(id(&single(vindex), &[text("1")]), Err(MapError::NotANumber(_))));
    }
    assert_eq!(id(&single("numeric"), &[KeyValue::int(-1)]), Err(MapError::Negative("numeric")));
    assert_eq!(id(&single("hash"), &[]), Err(MapError::Arity { columns: 1, values: 0 }));
    let loose = single("unicode_loose_md5");
    let invalid = KeyValue::Bytes(vec![0xff].into());
    assert!(id(&loose, &[invalid]).unwrap_err().to_string().contains("not valid UTF-8"));
    let region = Vindex::new("region_experimental", &params(&[("region_bytes", "1")])).unwrap();
    assert_eq!(id(&region, &[KeyValue::int(1), KeyValue::int(-1)]), Err(MapError::Negative("numeric")));
}

#[test]
fn types_and_parameters_are_taken_strictly() {
    let json = ("json", r#"{"1": 2}"#);
    for (vindex, given, why) in [
        ("hash", &[("from", "x")][..], "has no parameter `from`; it takes none"),
        ("hsah", &[], "there is no vindex type `hsah`; these are: binary, binary_md5, hash"),
        ("lookup_hash", &[], "lookup vindexes are not supported yet"),
        ("consistent_lookup_unique", &[], "lookup vindexes are not supported yet"),
        ("cfc", &[], "vindex type `cfc` is not supported"),
        ("region_experimental", &[], "region_bytes`: it is missing"),
        ("region_experimental", &[("region_bytes", "3")], "must be 1 or 2"),
        ("region_experimental", &[("region_bytes", "1"), ("x", "")], "no parameter `x`"),
        ("numeric_static_map", &[], "`json`: it is missing"),
        ("numeric_static_map", &[("json_path", "/x")], "put the file's content in `json`"),
        ("numeric_static_map", &[("json", r#"{"1": 2, "01": 3}"#)], "number 1 is there twice"),
        ("numeric_static_map", &[("json", r#"{"-1": 2}"#)], "not a number of 64 bits"),
        ("numeric_static_map", &[("json", r#"{"1": -2}"#)], "invalid value"),
        ("numeric_static_map", &[json, ("fallback_type", "null")], "null cannot be one"),
        ("numeric_static_map", &[json, ("fallback_type", "lookup")], "lookup vindexes"),
        ("multicol", &[], "`column_count`: it is missing"),
        ("multicol", &[("column_count", "9")], "a number from 1 to 8"),
        ("multicol", &[("column_count", "2"), ("column_bytes", "1,2,3")], "names 3 for 2 columns"),
        ("multicol", &[("column_count", "2"), ("column_bytes", "8")], "no more than 8"),
        ("multicol", &[("column_count", "2"), ("column_bytes", "7,2")], "no more than 8"),
        ("multicol", &[("column_count", "2"), ("column_bytes", "a")], "expected numbers up to 8"),
        ("multicol", &[("column_count", "2"), ("column_vindex", "hash,null")], "null cannot be one"),
        (
            "multicol",
            &[("column_count", "2"), ("column_vindex", "hash,multicol")],
            "there is no vindex type `multicol`",
        ),
        ("multicol", &[("column_count", "2"), json], "no parameter `json`"),
        ("multicol", &[("column_count", "2"), ("bytes", "1")], "no parameter `bytes`; it has column_count"),
    ] {
        let error = Vindex::new(vindex, &params(given)).unwrap_err().to_string();
        assert!(error.contains(why), "{vindex} {given:?}: {error}");
    }
    let mapped =
        [("column_count", "2"), ("column_vindex", "numeric_static_map"), ("json", r#"{"1": 18446744073709551615}"#)];
    let mapped = Vindex::new("multicol", &params(&mapped)).unwrap();
    assert_eq!(id(&mapped, &[KeyValue::int(1), KeyValue::int(1)]).unwrap(), "ffffffff166b40b4");
}

#[test]
fn strings_with_unsettled_weights_are_refused_by_name() {
    for (string, why) in [
        ("\u{378}", UnicodeError::Character('\u{378}')),     // not assigned
        ("\u{17000}", UnicodeError::Character('\u{17000}')), // an ideograph in newer releases of Go only
        ("\u{0F71}", UnicodeError::Character('\u{0F71}')),   // part of contractions of marks
        ("и\u{301}\u{306}", UnicodeError::Mark('\u{306}')),  // a contraction over another mark
        ("a\u{363}\u{364}", UnicodeError::Mark('\u{364}')),  // two marks whose order would count
    ] {
        assert_eq!(weigh(string.as_bytes(), &mut Vec::new()), Err(why), "{string:?}");
    }
}

proptest! {
    #[test]
    fn loose_strings_do_not_depend_on_case_or_trailing_spaces(word in "[a-zA-Z0-9äöüéñ ]{0,20}", spaces in 0..3usize) {
        let loose = single("unicode_loose_xxhash");
        let other = format!("{}{}", word.to_uppercase(), " ".repeat(spaces));
        prop_assert_eq!(id(&loose, &[text(&word)]).unwrap(), id(&loose, &[text(&other)]).unwrap());
    }

    #[test]
    fn any_string_is_weighed_or_refused(string in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = weigh(string.as_bytes(), &mut Vec::new());
        let _ = weigh(&bytes, &mut Vec::new());
    }

    #[test]
    fn numbers_keep_their_order_and_their_difference(a in any::<u64>(), b in any::<u64>()) {
        let of = |vindex: &str, number: u64| id(&single(vindex), &[KeyValue::int(number.into())]).unwrap();
        prop_assert_eq!(a.cmp(&b), of("numeric", a).cmp(&of("numeric", b)));
        prop_assert_eq!(a.reverse_bits().cmp(&b.reverse_bits()), of("reverse_bits", a).cmp(&of("reverse_bits", b)));
        prop_assert_eq!(a == b, of("hash", a) == of("hash", b), "DES can be undone");
    }
}
