//! Which shard a customer's rows belong to: XXH64 with seed 0 of the id's decimal digits, little-endian, as its public
//! specification has it for inputs shorter than 32 bytes. It shares nothing with the product.

const P: [u64; 5] =
    [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5];

fn xxh64(input: &[u8]) -> u64 {
    assert!(input.len() < 32);
    let mut hash = P[4].wrapping_add(input.len() as u64);
    let mut rest = input;
    while let Some((lane, more)) = rest.split_first_chunk::<8>() {
        let mixed = u64::from_le_bytes(*lane).wrapping_mul(P[1]).rotate_left(31).wrapping_mul(P[0]);
        hash = (hash ^ mixed).rotate_left(27).wrapping_mul(P[0]).wrapping_add(P[3]);
        rest = more;
    }
    if let Some((lane, more)) = rest.split_first_chunk::<4>() {
        hash ^= u64::from(u32::from_le_bytes(*lane)).wrapping_mul(P[0]);
        hash = hash.rotate_left(23).wrapping_mul(P[1]).wrapping_add(P[2]);
        rest = more;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P[4])).rotate_left(11).wrapping_mul(P[0]);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P[1]);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P[2]);
    hash ^ (hash >> 32)
}

/// The first byte of a customer's keyspace id.
pub fn first_byte(customer: i64) -> u8 {
    first_byte_of(customer.to_string().as_bytes())
}

/// The first byte of the keyspace id of what a column shows.
pub fn first_byte_of(shown: &[u8]) -> u8 {
    xxh64(shown).to_le_bytes()[0]
}

/// Whether a shard of this name has a customer's rows.
pub fn has(shard: &str, customer: i64) -> bool {
    covers(shard, first_byte(customer))
}

/// Whether a shard of this name has the keyspace ids that begin with this byte; its bounds are of one byte, or none.
pub fn covers(shard: &str, id: u8) -> bool {
    let (from, to) = if shard == "0" { ("", "") } else { shard.split_once('-').unwrap() };
    let bound = |hex: &str| u8::from_str_radix(hex, 16).ok();
    bound(from).is_none_or(|from| from <= id) && bound(to).is_none_or(|to| id < to)
}

#[test]
fn it_is_vitess_xxhash() {
    // Vectors of Vitess's own tests (research/vitess.md §5.1).
    assert_eq!(xxh64(b"1").to_le_bytes(), [0xd4, 0x64, 0x05, 0x36, 0x76, 0x12, 0xb4, 0xb7]);
    assert_eq!(xxh64(b"test1").to_le_bytes(), [0xd0, 0x1a, 0xb7, 0xe4, 0xd6, 0x97, 0x8f, 0x0b]);
    assert_eq!(xxh64(b"-1").to_le_bytes(), [0xd8, 0xe2, 0xa6, 0xa7, 0xc8, 0xc7, 0x62, 0x3d]);
    // As computed by hand for the shipped example: 8 and 10 are the first customers of -80.
    let low: Vec<i64> = (1..=10).filter(|customer| has("-80", *customer)).collect();
    assert_eq!(low, [8, 10]);
}
