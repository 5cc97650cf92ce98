//! The types of a prepared statement's parameters, which a client sends once and then leaves out. Pure.
//!
//! A statement may have to be prepared anew on another connection, which has never seen the types; so they are kept here
//! and put back where they are missing. Layout: MySQL Internals, COM_STMT_EXECUTE.

use crate::mysql::wire::reply::lenenc;

/// Bytes of the iteration count.
const ITERATIONS: usize = 4;
/// Set in the flags of an execution that says how many parameters it has.
const COUNT_AVAILABLE: u8 = 0x08;

/// The packet does not hold what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Looks at `rest`, the packet after its flags, of a statement with `parameters`. `attributes`: whether the connection has
/// query attributes. Returns what to send instead if the types in `known` must be put in; keeps those it finds there.
pub fn complete(
    flags: u8,
    rest: &[u8],
    parameters: u16,
    attributes: bool,
    known: &mut Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Malformed> {
    let mut at = ITERATIONS;
    let mut count = usize::from(parameters);
    if attributes && flags & COUNT_AVAILABLE != 0 {
        let (told, after) = rest.get(at..).and_then(lenenc).ok_or(Malformed)?;
        count = usize::try_from(told).map_err(|_| Malformed)?;
        at = rest.len() - after.len();
    }
    if count == 0 {
        return Ok(None);
    }
    at += count.div_ceil(8);
    let types_at = at + 1;
    match rest.get(at) {
        Some(1) => {
            let types = rest.get(types_at..).ok_or(Malformed)?;
            let length = if attributes { named(types, count)? } else { 2 * count };
            *known = Some(types.get(..length).ok_or(Malformed)?.to_vec());
            Ok(None)
        }
        // Names may differ from one execution to the next; a client with attributes sends its types each time.
        Some(0) if count == usize::from(parameters) => {
            let Some(types) = known else { return Ok(None) };
            let mut whole = Vec::with_capacity(rest.len() + types.len());
            whole.extend_from_slice(&rest[..at]);
            whole.push(1);
            whole.extend_from_slice(types);
            whole.extend_from_slice(&rest[types_at..]);
            Ok(Some(whole))
        }
        Some(_) => Ok(None),
        None => Err(Malformed),
    }
}

/// Bytes of `count` types with names.
fn named(types: &[u8], count: usize) -> Result<usize, Malformed> {
    let mut rest = types;
    for _ in 0..count {
        let (length, after) = rest.get(2..).and_then(lenenc).ok_or(Malformed)?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        rest = after.get(length..).ok_or(Malformed)?;
    }
    Ok(types.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: &[u8] = b"\x01\0\0\0\x00\x01\x08\x00\xfd\x00VALUES";

    #[test]
    fn types_are_kept_and_put_back() {
        let mut known = None;
        assert_eq!(complete(0, FIRST, 2, false, &mut known), Ok(None));
        assert_eq!(known.as_deref(), Some(&b"\x08\x00\xfd\x00"[..]));
        let again = complete(0, b"\x01\0\0\0\x00\x00VALUES", 2, false, &mut known).unwrap();
        assert_eq!(again.as_deref(), Some(FIRST));
        assert_eq!(complete(0, b"\x01\0\0\0", 0, false, &mut known), Ok(None));
        assert_eq!(complete(0, b"\x01\0\0\0", 1, false, &mut known), Err(Malformed));
    }

    #[test]
    fn attributes_carry_a_count_and_names() {
        let mut known = None;
        let rest = b"\x01\0\0\0\x02\x00\x01\x08\x00\x00\xfd\x00\x03abcVALUES";
        assert_eq!(complete(COUNT_AVAILABLE, rest, 2, true, &mut known), Ok(None));
        assert_eq!(known.as_deref(), Some(&b"\x08\x00\x00\xfd\x00\x03abc"[..]));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(flags: u8, rest in prop::collection::vec(any::<u8>(), 0..60), parameters: u16, attributes: bool) {
            let _ = complete(flags, &rest, parameters, attributes, &mut Some(vec![1, 2]));
        }
    }
}
