//! Collation weights of the `unicode_loose` vindexes: strings that differ only in case, accents or trailing spaces weigh
//! the same.
//!
//! Vitess hashes the primary weights of CLDR 23 (Unicode 6.2) as its copy of `golang.org/x/text/collate` gives them. They
//! are kept here in the tables of `unicode/`, which `unicode/extract` has read out of that code (its README names
//! their origin and licence). What Vitess does with combining marks that are out of order, or that a contraction reaches
//! over other marks for, is not done here: such a string is refused.
//!
//! Invariant: whatever is weighed weighs what it does in Vitess; all else is refused by name, and never guessed.

/// Records of characters: code and number of weights (top byte); then flags (top byte) and the weight, or the place of the
/// weights in [`SEQUENCES`] where there is not exactly one.
const CHARACTERS: &[u8] = include_bytes!("unicode/characters.bin");
/// Records of contractions: two or three characters (the third may be 0), number of weights, weight or place as above.
const CONTRACTIONS: &[u8] = include_bytes!("unicode/contractions.bin");
/// Records of characters without an entry: the first, the last, and [`IDEOGRAPHS`] or [`OTHERS`].
const IMPLICIT: &[u8] = include_bytes!("unicode/implicit.bin");
/// Weights.
const SEQUENCES: &[u8] = include_bytes!("unicode/sequences.bin");

const IDEOGRAPHS: u32 = 1;
const OTHERS: u32 = 2;

/// A combining mark.
const MARK: u8 = 0x80;
/// A contraction may begin with it.
const STARTER: u8 = 0x40;
/// A mark with a weight: the order of marks matters.
const WEIGHTED_MARK: u8 = 0x20;
/// A starter that a mark may be part of the contraction of, even behind other marks.
const ATTRACTS: u8 = 0x10;
/// Its contractions, or its decomposition, have weighted marks.
const REJECT: u8 = 0x08;

/// Why a string is not weighed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnicodeError {
    /// Not text.
    #[error("it is not valid UTF-8")]
    NotUtf8,
    /// A character whose weight differs between releases of Vitess, or cannot be told without its neighbours.
    #[error("character U+{:04X} has no weight that is the same in every release of Vitess", u32::from(*.0))]
    Character(char),
    /// Marks that Vitess would bring into another order or take into a contraction.
    #[error("the combining mark U+{:04X} stands where its weight depends on the marks around it", u32::from(*.0))]
    Mark(char),
}

/// Appends the weights of `text`, trailing spaces left out, to `out`.
pub fn weigh(text: &[u8], out: &mut Vec<u8>) -> Result<(), UnicodeError> {
    let text = str::from_utf8(text).map_err(|_| UnicodeError::NotUtf8)?;
    let mut rest = text.trim_end_matches(' ').chars();
    let mut marked = false;
    while let Some(c) = rest.next() {
        let Some(entry) = entry(c) else {
            marked = false;
            push_implicit(c, out)?;
            continue;
        };
        if entry.is(REJECT) {
            return Err(UnicodeError::Character(c));
        }
        marked &= entry.is(MARK);
        if entry.is(WEIGHTED_MARK) && std::mem::replace(&mut marked, true) {
            return Err(UnicodeError::Mark(c));
        }
        let mut weights = entry.weights;
        if entry.is(STARTER) {
            if let Some((suffix, contracted)) = contraction(c, rest.clone()) {
                weights = contracted;
                rest.by_ref().take(suffix).for_each(drop);
            }
            if entry.is(ATTRACTS) {
                let marks = rest.clone().take_while(|next| self::entry(*next).is_some_and(|next| next.is(MARK)));
                if let Some(mark) = marks.into_iter().find(|mark| attracts(c, *mark)) {
                    return Err(UnicodeError::Mark(mark));
                }
            }
        }
        weights.push(out);
    }
    Ok(())
}

/// A character's record.
#[derive(Clone, Copy)]
struct Entry {
    flags: u8,
    weights: Weights,
}

impl Entry {
    fn is(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The weights a record stands for.
#[derive(Clone, Copy)]
struct Weights {
    count: u32,
    /// The only weight, or the place of the first.
    place: u32,
}

impl Weights {
    fn push(self, out: &mut Vec<u8>) {
        if self.count == 1 {
            return push(self.place, out);
        }
        let (all, _) = SEQUENCES.as_chunks::<4>();
        let from = self.place as usize;
        for weight in all.iter().skip(from).take(self.count as usize) {
            push(u32::from_le_bytes(*weight), out);
        }
    }
}

/// Appends one weight as Vitess hashes it: two bytes, or three led by a set bit.
fn push(weight: u32, out: &mut Vec<u8>) {
    let [_, top, high, low] = weight.to_be_bytes();
    if weight <= 0x7FFF {
        out.extend_from_slice(&[high, low]);
    } else {
        out.extend_from_slice(&[top | 0x80, high, low]);
    }
}

fn entry(c: char) -> Option<Entry> {
    let (records, _) = CHARACTERS.as_chunks::<8>();
    let code = |record: &[u8; 8]| u32::from_le_bytes([record[0], record[1], record[2], 0]);
    // The first of them stand at the place their code says.
    let near = records.get(c as usize).filter(|record| code(record) == u32::from(c));
    let record = match near {
        Some(record) => record,
        None => records.get(records.binary_search_by_key(&u32::from(c), code).ok()?)?,
    };
    let [_, _, _, count, a, b, c, flags] = *record;
    Some(Entry { flags, weights: Weights { count: count.into(), place: u32::from_le_bytes([a, b, c, 0]) } })
}

/// The longest contraction that begins with `first` and goes on with the beginning of `rest`: how many characters it takes
/// of that, and its weights.
fn contraction(first: char, mut rest: std::str::Chars<'_>) -> Option<(usize, Weights)> {
    let (second, third) = (rest.next()?, rest.next());
    let find = |third: u32| {
        let wanted = [u32::from(second), third];
        contractions(first).find(|(suffix, _)| *suffix == wanted).map(|(_, weights)| weights)
    };
    let long = third.and_then(|third| find(third.into())).map(|weights| (2, weights));
    long.or_else(|| find(0).map(|weights| (1, weights)))
}

/// Whether a contraction that begins with `first` has `mark` in it.
fn attracts(first: char, mark: char) -> bool {
    contractions(first).any(|(suffix, _)| suffix.contains(&mark.into()))
}

/// The contractions that begin with `first`: what follows it, and the weights.
fn contractions(first: char) -> impl Iterator<Item = ([u32; 2], Weights)> {
    let word =
        |record: &[u8; 20], at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let (records, _) = CONTRACTIONS.as_chunks::<20>();
    let from = records.partition_point(|record| word(record, 0) < u32::from(first));
    let own = records.iter().skip(from).take_while(move |record| word(record, 0) == u32::from(first));
    own.map(move |record| {
        ([word(record, 4), word(record, 8)], Weights { count: word(record, 12), place: word(record, 16) })
    })
}

/// Appends the weight of a character without an entry: it follows from its code.
fn push_implicit(c: char, out: &mut Vec<u8>) -> Result<(), UnicodeError> {
    let code = u32::from(c);
    if let Some(syllable) = code.checked_sub(0xAC00).filter(|syllable| *syllable < 11172) {
        let (vowel, trail) = (syllable / 28 % 21, syllable % 28);
        let jamo = [0x1100 + syllable / 588, 0x1161 + vowel, 0x11A7 + trail];
        for letter in jamo.into_iter().take(if trail == 0 { 2 } else { 3 }) {
            let entry = char::from_u32(letter).and_then(entry).ok_or(UnicodeError::Character(c))?;
            entry.weights.push(out);
        }
        return Ok(());
    }
    let (records, _) = IMPLICIT.as_chunks::<12>();
    let word =
        |record: &[u8; 12], at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let above = records.partition_point(|record| word(record, 0) <= code);
    let record = above.checked_sub(1).and_then(|at| records.get(at)).filter(|record| code <= word(record, 4));
    let common = matches!(code, 0x4E00..=0x9FFF | 0xF900..=0xFAFF);
    let offset = match record.map(|record| word(record, 8)) {
        Some(IDEOGRAPHS) if common => 0x1_0000,
        Some(IDEOGRAPHS) => 0x2_0000,
        Some(OTHERS) => 0x5_0000,
        _ => return Err(UnicodeError::Character(c)),
    };
    push(code + offset, out);
    Ok(())
}
