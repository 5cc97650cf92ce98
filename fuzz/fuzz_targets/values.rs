//! A column's value of any bytes in a row image, with any type code and metadata; JSON comes out as JSON, numbers as numbers.
//!
//! The first three bytes are the type code and its metadata.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use shardlift::mysql::binlog::cursor::Cursor;
use shardlift::mysql::binlog::form::Form;
use shardlift::mysql::binlog::json;
use shardlift::mysql::quote::holds_decimal;

fuzz_target!(|input: &[u8]| {
    let Some((&[code, low, high], image)) = input.split_first_chunk() else { return };
    if code == 0 {
        let mut text = Vec::new();
        if json::render(&mut text, image).is_ok() {
            assert_json(&text);
        }
        return;
    }
    let Some(form) = Form::of(code, u16::from_le_bytes([low, high])) else { return };
    let mut cursor = Cursor::new(image);
    for _ in 0..16 {
        let Ok(raw) = form.value(&mut cursor) else { return };
        let mut text = Vec::new();
        if form.render(raw, &mut text).is_err() {
            continue;
        }
        match form {
            Form::Json(_) => assert_json(&text),
            Form::Bytes { .. } => assert!(text.starts_with(raw)),
            Form::Bit(_) => assert_eq!(text, raw),
            Form::Int { unsigned: false, .. } => drop(as_text(&text).parse::<i64>().unwrap()),
            Form::Int { .. } | Form::Enum(_) | Form::Set(_) => drop(as_text(&text).parse::<u64>().unwrap()),
            Form::Float | Form::Double => assert!(as_text(&text).parse::<f64>().unwrap().is_finite()),
            Form::Decimal { precision, scale, .. } => {
                let text = as_text(&text).trim_start_matches('-');
                let (whole, part) = text.split_once('.').unwrap_or((text, ""));
                assert!(whole.len() <= usize::from(precision - scale).max(1) && part.len() == usize::from(scale));
                assert!(whole.bytes().chain(part.bytes()).all(|digit| digit.is_ascii_digit()), "{text}");
            }
            _ => assert!(as_text(&text).bytes().all(|byte| byte.is_ascii_digit() || b"-: .".contains(&byte))),
        }
    }
});

fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn assert_json(text: &[u8]) {
    let _ = holds_decimal(text);
    // Strings are bytes as they were stored.
    let lossy = String::from_utf8_lossy(text);
    serde_json::from_str::<IgnoredAny>(&lossy).unwrap_or_else(|error| panic!("{error}: {lossy}"));
}
