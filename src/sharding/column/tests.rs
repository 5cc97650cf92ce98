use proptest::prelude::*;

use super::*;
use crate::sharding::vindex::{Params, Vindex};

fn int(width: u8, unsigned: bool) -> KeyType {
    KeyType::of(&ColumnKind::Int { width, unsigned }).unwrap()
}

fn text(charset: &str, collation: &str, data_type: &str, max_chars: u64) -> KeyType {
    let kind = ColumnKind::Text { charset: charset.into(), collation: collation.into() };
    KeyType::of(&kind).unwrap().declared(data_type, max_chars)
}

fn varchar(max_chars: u64) -> KeyType {
    text("utf8mb4", "utf8mb4_0900_ai_ci", "varchar", max_chars)
}

fn function(name: &str) -> Function {
    let Vindex::Single(function) = Vindex::new(name, &Params::new()).unwrap() else { panic!("{name}") };
    function
}

#[test]
fn each_type_is_accepted_or_refused_by_name() {
    let text = |charset: &str| ColumnKind::Text { charset: charset.into(), collation: format!("{charset}_bin") };
    for (kind, why) in [
        (ColumnKind::Decimal, "DECIMAL"),
        (ColumnKind::Float, "FLOAT"),
        (ColumnKind::Double, "DOUBLE"),
        (ColumnKind::Bit, "BIT"),
        (ColumnKind::Time, "TIME"),
        (ColumnKind::Datetime, "DATETIME"),
        (ColumnKind::Timestamp, "TIMESTAMP: its text depends on the session's time zone"),
        (ColumnKind::Enum, "ENUM"),
        (ColumnKind::Set, "SET"),
        (ColumnKind::Json, "JSON"),
        (ColumnKind::Geometry, "spatial"),
        (ColumnKind::Vector, "VECTOR"),
        (text("sjis"), "character set sjis (collation sjis_bin): only utf8mb4, utf8mb3, ascii, latin1"),
    ] {
        let error = KeyType::of(&kind).unwrap_err().to_string();
        assert!(error.contains(why), "{kind:?}: {error}");
    }
    let types: Vec<KeyType> = [
        ColumnKind::Int { width: 8, unsigned: true },
        ColumnKind::Year,
        ColumnKind::Date,
        text("latin1"),
        ColumnKind::Binary { fixed: Some(16) },
    ]
    .iter()
    .map(|kind| KeyType::of(kind).unwrap())
    .collect();
    // integer, YEAR, DATE, text, binary
    for (name, taken) in [
        ("hash", "yynnn"),
        ("numeric", "yynnn"),
        ("reverse_bits", "yynnn"),
        ("xxhash", "yyyyy"),
        ("binary", "yyyyy"),
        ("binary_md5", "yyyyy"),
        ("unicode_loose_md5", "yyyyn"),
        ("unicode_loose_xxhash", "yyyyn"),
        ("null", "yyyyy"),
    ] {
        let found: String =
            types.iter().map(|one| if one.check(&function(name)).is_ok() { 'y' } else { 'n' }).collect();
        assert_eq!(found, taken, "{name}");
    }
    let error = types[3].check(&function("hash")).unwrap_err().to_string();
    assert_eq!(error, "vindex type `hash` cannot be over text: it takes whole numbers");
}

#[test]
fn text_of_any_charset_comes_to_the_same_utf8() {
    let utf8 = KeyType::of(&ColumnKind::Text { charset: "utf8mb4".into(), collation: "utf8mb4_bin".into() }).unwrap();
    let latin1 = KeyType::of(&ColumnKind::Text { charset: "latin1".into(), collation: "latin1_bin".into() }).unwrap();
    let ascii = KeyType::of(&ColumnKind::Text { charset: "ascii".into(), collation: "ascii_bin".into() }).unwrap();
    assert_eq!(latin1.stored(Some(b"M\xfcller \x80\x81")), utf8.stored(Some("Müller €\u{81}".as_bytes())));
    assert_eq!(ascii.stored(Some(b"abc")), utf8.stored(Some(b"abc")));
    assert_eq!(ascii.stored(Some(b"\xfc")), Err(Misfit("it is not ASCII")));
    assert_eq!(ascii.stored(None), Ok(KeyValue::Null));
}

#[test]
fn stored_values_must_be_of_their_type() {
    assert_eq!(int(1, false).stored(Some(b"-128")), Ok(KeyValue::int(-128)));
    assert_eq!(int(8, true).stored(Some(b"18446744073709551615")), Ok(KeyValue::int(u64::MAX.into())));
    for bad in [&b"128"[..], b"", b"1.0", b"x", b"\xff"] {
        assert!(int(1, false).stored(Some(bad)).is_err(), "{bad:?}");
    }
    let binary = KeyType::Binary { fixed: Some(3) };
    assert!(binary.stored(Some(b"ab\0")).is_ok() && binary.stored(Some(b"ab")).is_err());
}

#[test]
fn values_in_statements_become_what_is_stored() {
    use Literal::{Bytes, Int, Text};
    use Purpose::{Compare, Store};
    let binary = KeyType::Binary { fixed: Some(4) };
    let char3 = text("utf8mb4", "utf8mb4_bin", "char", 3);
    let latin1 = text("latin1", "latin1_bin", "varchar", 9);
    let (bigint, year, date) = (int(8, false), KeyType::Year, KeyType::Date);
    for (key_type, literal, purpose, stored) in [
        (&bigint, Int(-5), Store, Some(&b"-5"[..])),
        (&bigint, Text("5"), Compare, Some(b"5")),
        (&bigint, Text("05"), Store, None),
        (&bigint, Text("5 "), Store, None),
        (&bigint, Text("-0"), Store, None),
        (&bigint, Text("9007199254740993"), Store, Some(b"9007199254740993")),
        (&bigint, Text("9007199254740993"), Compare, None),
        (&bigint, Int(1 << 63), Store, None),
        (&bigint, Bytes(b"5"), Store, None),
        (&year, Int(2024), Store, Some(b"2024")),
        (&year, Int(70), Store, None),
        (&year, Text("0000"), Store, None),
        (&date, Text("2024-02-29"), Compare, Some(b"2024-02-29")),
        (&date, Text("2023-02-29"), Store, None),
        (&date, Text("2024-2-29"), Compare, None),
        (&date, Int(20240229), Compare, None),
        (&char3, Text("a  "), Store, Some(b"a")),
        (&char3, Text("é    "), Compare, Some("é".as_bytes())),
        (&char3, Text("abcd"), Store, None),
        (&varchar(3), Text("a  "), Store, Some(b"a  ")),
        (&varchar(3), Text("ab    "), Store, Some(b"ab ")),
        (&varchar(3), Text("ab    "), Compare, None),
        (&varchar(3), Text("abcd"), Store, None),
        (&varchar(3), Int(12), Store, Some(b"12")),
        (&varchar(3), Int(12), Compare, None),
        (&latin1, Text("ü€"), Store, Some(b"\xfc\x80")),
        (&latin1, Text("й"), Store, None),
        (&binary, Text("ab"), Store, Some(b"ab\0\0")),
        (&binary, Bytes(b"ab\0\0"), Compare, Some(b"ab\0\0")),
        (&binary, Bytes(b"abcde"), Store, None),
        (&KeyType::Binary { fixed: None }, Text("ab"), Store, Some(b"ab")),
    ] {
        let found = key_type.literal(literal, purpose);
        let wanted = stored.map(|bytes| key_type.stored(Some(bytes)).unwrap());
        assert_eq!(found.clone().ok(), wanted, "{key_type:?} {literal:?} {purpose:?}: {found:?}");
        if let Some(wanted) = wanted {
            assert_eq!(found.unwrap().bytes(), wanted.bytes());
        }
    }
}

#[test]
fn where_equality_does_not_tell_the_shard_is_known() {
    let exact = text("utf8mb4", "utf8mb4_0900_bin", "varchar", 10);
    let elsewhere = |key_type: &KeyType, name: &str| key_type.equals_elsewhere(&function(name)).is_some();
    assert!(elsewhere(&varchar(10), "xxhash") && !elsewhere(&exact, "xxhash"));
    assert!(!elsewhere(&int(8, true), "xxhash") && !elsewhere(&varchar(10), "null"));
}

proptest! {
    #[test]
    fn latin1_goes_there_and_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let utf8 = Charset::Latin1.to_utf8(&bytes).unwrap().into_owned();
        let text = String::from_utf8(utf8).unwrap();
        prop_assert!(Charset::Latin1.holds(&text) && text.chars().count() == bytes.len());
    }
}
