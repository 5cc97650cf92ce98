//! Character sets whose text can be turned into UTF-8 and back without loss, as MySQL does it.

use std::borrow::Cow;

/// A character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// `utf8mb4`.
    Utf8mb4,
    /// `utf8mb3`, formerly `utf8`: no characters above U+FFFF.
    Utf8mb3,
    /// `ascii`.
    Ascii,
    /// `latin1`: Windows code page 1252, its five unused codes as the control characters of ISO 8859-1.
    Latin1,
}

/// The characters 0x80 to 0x9F of `latin1` (mysql-server/strings/ctype-latin1.cc, `cs_to_uni`).
const LATIN1_HIGH: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}', '\u{2030}',
    '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201C}',
    '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}', '\u{203A}', '\u{153}', '\u{9D}',
    '\u{17E}', '\u{178}',
];

impl Charset {
    /// Their names.
    pub const NAMES: [&'static str; 4] = ["utf8mb4", "utf8mb3", "ascii", "latin1"];

    /// A character set by MySQL's name, if it is one of these.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "utf8mb4" => Some(Self::Utf8mb4),
            "utf8mb3" | "utf8" => Some(Self::Utf8mb3),
            "ascii" => Some(Self::Ascii),
            "latin1" => Some(Self::Latin1),
            _ => None,
        }
    }

    /// Text of this character set in UTF-8; `None` where it is not such text (bytes above 0x7F in `ascii`). Text in UTF-8
    /// is not looked at: the server has checked it.
    pub fn to_utf8<'a>(self, text: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Utf8mb4 | Self::Utf8mb3 => Some(Cow::Borrowed(text)),
            _ if text.is_ascii() => Some(Cow::Borrowed(text)),
            Self::Ascii => None,
            Self::Latin1 => {
                let character = |byte: &u8| match *byte {
                    high @ 0x80..=0x9F => LATIN1_HIGH[usize::from(high - 0x80)],
                    other => char::from(other),
                };
                Some(Cow::Owned(text.iter().map(character).collect::<String>().into_bytes()))
            }
        }
    }

    /// Whether a column of this character set can hold a text.
    pub fn holds(self, text: &str) -> bool {
        text.chars().all(|c| match self {
            Self::Utf8mb4 => true,
            Self::Utf8mb3 => u32::from(c) <= 0xFFFF,
            Self::Ascii => c.is_ascii(),
            Self::Latin1 => c.is_ascii() || ('\u{A0}'..='\u{FF}').contains(&c) || LATIN1_HIGH.contains(&c),
        })
    }
}
