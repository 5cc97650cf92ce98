//! Password hashes as MySQL's `caching_sha2_password` stores them, and proofs of passwords. Pure.
//!
//! Stored is `$A$005$` (`A`: SHA-256; rounds in hexadecimal thousands), 20 bytes of salt, 43 characters of digest: Drepper's
//! SHA-256 crypt with a longer salt than crypt(3) allows. Once a password was seen, SHA256(SHA256(password)) is enough to
//! check a proof against a challenge. Invariant: nothing here prints a hash, and comparing takes the same time whatever
//! the bytes.
//!
//! Sources: "Unix crypt using SHA-256 and SHA-512" (Drepper); MySQL Internals, "caching_sha2_password".

use std::fmt;

use rand::Rng;
use sha2::{Digest, Sha256};

use super::greeting::NONCE;

const SALT: usize = 20;
const DIGEST: usize = 43;
const PREFIX: &[u8] = b"$A$";
/// Rounds that a hash counts by.
const THOUSAND: u32 = 1000;
/// MySQL's default, in thousands.
const USUAL_ROUNDS: u16 = 5;
/// The longest password checked, as mysqld's: the work grows with the square of the length.
pub const LONGEST: usize = 256;
/// The characters of the digest, each for six bits.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A stored password hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// In thousands, 1 to 0xFFF.
    rounds: u16,
    salt: [u8; SALT],
    digest: [u8; DIGEST],
}

/// SHA256(SHA256(password)): proves proofs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verifier([u8; 32]);

impl PasswordHash {
    /// Reads `mysql.user.authentication_string`, as it is or as `HEX()` gives it. The error says what is wrong with it,
    /// never what it is.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        const FORM: &str = "it is not of the form $A$005$<20 bytes of salt><43 characters>, nor HEX() of that";
        if !text.starts_with(PREFIX) {
            let digits = text.strip_prefix(b"0x").unwrap_or(text);
            let bytes = unhex(digits).filter(|bytes| bytes.starts_with(PREFIX)).ok_or(FORM)?;
            return Self::parse(&bytes);
        }
        let rest = text.strip_prefix(PREFIX).ok_or(FORM)?;
        let (rounds, rest) = rest.split_first_chunk::<3>().ok_or(FORM)?;
        let (salt, digest) = rest.strip_prefix(b"$").and_then(|rest| rest.split_first_chunk::<SALT>()).ok_or(FORM)?;
        let digest: [u8; DIGEST] = digest.try_into().map_err(|_| FORM)?;
        if !digest.iter().all(|character| ALPHABET.contains(character)) {
            return Err(FORM);
        }
        let rounds = rounds.iter().try_fold(0, |sum, &digit| Some(sum << 4 | u16::from(hex_digit(digit)?)));
        match rounds {
            None | Some(0) => Err("its number of rounds is not three hexadecimal digits above 000"),
            Some(rounds) => Ok(PasswordHash { rounds, salt: *salt, digest }),
        }
    }

    /// Hashes a password with a fresh salt and MySQL's usual number of rounds (some milliseconds of work).
    pub fn new(password: &[u8]) -> Self {
        let mut rng = rand::rng();
        let salt = std::array::from_fn(|_| ALPHABET[rng.random_range(0..ALPHABET.len())]);
        let digest = digest(password, &salt, u32::from(USUAL_ROUNDS) * THOUSAND);
        PasswordHash { rounds: USUAL_ROUNDS, salt, digest }
    }

    /// A hash that no password fits and that takes as long to check as `like` does.
    pub(super) fn decoy(like: Option<&PasswordHash>) -> Self {
        let rounds = like.map_or(USUAL_ROUNDS, |hash| hash.rounds);
        PasswordHash { rounds, salt: rand::random(), digest: [0; DIGEST] }
    }

    /// How much work [`PasswordHash::fits`] is.
    pub(super) fn rounds(&self) -> u16 {
        self.rounds
    }

    /// Whether this is the hash of `password`. Milliseconds of work: not for an async thread.
    pub fn fits(&self, password: &[u8]) -> bool {
        password.len() <= LONGEST
            && same(&digest(password, &self.salt, u32::from(self.rounds) * THOUSAND), &self.digest)
    }

    /// What `SELECT HEX(authentication_string)` would give.
    pub fn to_hex(&self) -> String {
        let head = format!("{}{:03X}$", String::from_utf8_lossy(PREFIX), self.rounds);
        let bytes = head.as_bytes().iter().chain(&self.salt).chain(&self.digest);
        bytes.map(|byte| format!("{byte:02X}")).collect()
    }
}

impl Verifier {
    /// Of a password.
    pub fn new(password: &[u8]) -> Self {
        Verifier(Sha256::digest(Sha256::digest(password)).into())
    }

    /// One that nothing can prove.
    pub(super) fn decoy() -> Self {
        Verifier(rand::random())
    }

    /// Whether `proof` was made for the challenge by one who knows the password:
    /// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce).
    pub fn accepts(&self, nonce: &[u8; NONCE], proof: &[u8]) -> bool {
        let Ok(mut hashed) = <[u8; 32]>::try_from(proof) else { return false };
        let mask = Sha256::new_with_prefix(self.0).chain_update(nonce).finalize();
        hashed.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        same(&Sha256::digest(hashed), &self.0)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(***)")
    }
}

/// Drepper's steps 1 to 22.
fn digest(password: &[u8], salt: &[u8; SALT], rounds: u32) -> [u8; DIGEST] {
    let b = Sha256::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut a = Sha256::new().chain_update(password).chain_update(salt);
    repeated(&b, password.len()).for_each(|part| a.update(part));
    let mut bits = password.len();
    while bits > 0 {
        a.update(if bits & 1 == 1 { b.as_slice() } else { password });
        bits >>= 1;
    }
    let a = a.finalize();
    let of_password = (0..password.len()).fold(Sha256::new(), |hash, _| hash.chain_update(password)).finalize();
    let of_salt = (0..16 + u16::from(a[0])).fold(Sha256::new(), |hash, _| hash.chain_update(salt)).finalize();
    let p: Vec<u8> = repeated(&of_password, password.len()).flatten().copied().collect();
    let s: Vec<u8> = repeated(&of_salt, SALT).flatten().copied().collect();
    let mut c = a;
    for round in 0..rounds {
        let odd = round & 1 == 1;
        let mut hash = Sha256::new();
        hash.update(if odd { p.as_slice() } else { c.as_slice() });
        if round % 3 != 0 {
            hash.update(&s);
        }
        if round % 7 != 0 {
            hash.update(&p);
        }
        hash.update(if odd { c.as_slice() } else { p.as_slice() });
        c = hash.finalize();
    }
    encode(&c.into())
}

/// `len` bytes of `block` over and over.
fn repeated(block: &[u8], len: usize) -> impl Iterator<Item = &[u8]> {
    let whole = len / block.len();
    std::iter::repeat_n(block, whole).chain(std::iter::once(&block[..len - whole * block.len()]))
}

/// The digest in crypt(3)'s own base 64 and byte order: triples of bytes that rotate, four characters each, low bits first.
fn encode(bytes: &[u8; 32]) -> [u8; DIGEST] {
    let mut characters = [0; DIGEST];
    let (mut x, mut y, mut z) = (0, 10, 20);
    for (group, out) in characters.chunks_mut(4).enumerate() {
        let mut bits = match group {
            10 => u32::from(bytes[31]) << 8 | u32::from(bytes[30]),
            _ => u32::from(bytes[x]) << 16 | u32::from(bytes[y]) << 8 | u32::from(bytes[z]),
        };
        (x, y, z) = (z + 1, x + 1, y + 1);
        for character in out {
            *character = ALPHABET[(bits & 0x3F) as usize];
            bits >>= 6;
        }
    }
    characters
}

/// Compares in a time that does not tell where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && std::hint::black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

fn hex_digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| Some(hex_digit(high)? << 4 | hex_digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::scramble::scramble_sha256;
    use proptest::prelude::*;

    #[test]
    fn hashes_of_a_real_server_fit_their_passwords() {
        // HEX(authentication_string) of mysql.user on MySQL 9.7.4; the third with caching_sha2_password_digest_rounds=7000.
        let long = "pässwörd, longer than thirty-two bytes so that more blocks are needed";
        let known = [
            (
                "hunter2",
                "244124303041245F6B1B6916542E6D636C3A5F47432E2547523D7567344E6755795554784A4643633436676E45724D46643243562E2F\
                 4D4A6B7A6B4F6358575844304D643232",
            ),
            (
                long,
                "24412430304124532B55540479583759553C4A485936090F49463E4D61354E736D7A566A436466534B425767386546343932326351454C\
                 644B77656B634E7369733948525044",
            ),
            (
                "x",
                "244124303037240E34173F73567C2F774A5C5E426853401064132C5844794632305543496E493330565172346C5645424D714E664D54\
                 653235416F4A4C44704F41717A444B2E",
            ),
        ];
        for (password, stored) in known {
            let hash = PasswordHash::parse(stored.as_bytes()).unwrap();
            assert!(hash.fits(password.as_bytes()), "{password}");
            assert!(!hash.fits(password.as_bytes().split_at(password.len() - 1).0));
            assert_eq!(hash.to_hex(), stored);
        }
    }

    #[test]
    fn hashes_read_back_and_leak_nothing() {
        let hash = PasswordHash::new(b"hunter2");
        assert!(hash.fits(b"hunter2") && !hash.fits(b"hunter3") && !hash.fits(&[b'x'; LONGEST + 1]));
        assert_eq!(PasswordHash::parse(hash.to_hex().as_bytes()), Ok(hash.clone()));
        assert_eq!(PasswordHash::parse(format!("0x{}", hash.to_hex().to_lowercase()).as_bytes()), Ok(hash.clone()));
        assert_eq!(format!("{hash:?}"), "PasswordHash(***)");
        assert!(!PasswordHash::decoy(Some(&hash)).fits(b""));
        let raw = unhex(hash.to_hex().as_bytes()).unwrap();
        assert_eq!(PasswordHash::parse(&raw), Ok(hash));
        for wrong in [&raw[1..], &raw[..69], b"", b"$A$", b"*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"] {
            assert!(PasswordHash::parse(wrong).is_err());
        }
        let mut none = raw.clone();
        none[3..6].copy_from_slice(b"000");
        assert!(PasswordHash::parse(&none).is_err());
    }

    proptest! {
        #[test]
        fn proofs_are_accepted_only_for_their_challenge(password in ".{1,40}", nonce in any::<[u8; 20]>()) {
            let verifier = Verifier::new(password.as_bytes());
            let proof = scramble_sha256(&nonce, password.as_bytes()).unwrap();
            prop_assert!(verifier.accepts(&nonce, &proof));
            prop_assert!(!verifier.accepts(&nonce, &proof[1..]));
            prop_assert!(!Verifier::decoy().accepts(&nonce, &proof));
            let mut other = nonce;
            other[0] ^= 1;
            prop_assert!(!verifier.accepts(&other, &proof));
        }

        #[test]
        fn no_text_makes_us_panic(text in prop::collection::vec(any::<u8>(), 0..160), hex in "[0-9A-Fa-f]{0,150}") {
            let _ = PasswordHash::parse(&text);
            let _ = PasswordHash::parse(hex.as_bytes());
            let _ = Verifier::new(b"x").accepts(&[1; 20], &text);
        }
    }
}
