//! Bounds-checked reading of binlog bytes.
//!
//! Invariant: no read panics and none allocates, whatever the bytes are; a length that lies is [`Malformed`].

/// Bytes that are not what they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

const SHORT: Malformed = Malformed("the bytes end too early");

/// A place in a byte slice. All integers are little-endian unless a name says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (now, rest) = self.rest.split_at_checked(n).ok_or(SHORT)?;
        self.rest = rest;
        Ok(now)
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (now, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*now)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// An integer of `width` bytes, 0 to 8.
    #[inline]
    pub fn uint(&mut self, width: usize) -> Result<u64, Malformed> {
        self.take(width).map(le)
    }

    /// A length-encoded integer (MySQL's `net_store_length`); NULL's marker is not one.
    pub fn lenenc(&mut self) -> Result<u64, Malformed> {
        match self.u8()? {
            short @ 0..=0xFA => Ok(u64::from(short)),
            0xFC => self.uint(2),
            0xFD => self.uint(3),
            0xFE => self.u64(),
            0xFB | 0xFF => Err(Malformed("a length is not one")),
        }
    }

    /// A length-encoded integer that counts bytes or entries in memory.
    pub fn lenenc_usize(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.lenenc()?).map_err(|_| SHORT)
    }

    /// The bytes that a length-encoded integer announces.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.lenenc_usize()?;
        self.take(len)
    }
}

/// Up to 8 little-endian bytes as a number.
#[inline]
pub fn le(bytes: &[u8]) -> u64 {
    // The widths that tables are full of come without a loop.
    match *bytes {
        [a] => return u64::from(a),
        [a, b] => return u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => return u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => return u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => {}
    }
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Up to 8 big-endian bytes as a number.
#[inline]
pub fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_lie_are_errors() {
        let mut cursor = Cursor::new(&[0xFC, 0x05, 0x00, 1, 2]);
        assert_eq!(cursor.lenenc_bytes(), Err(SHORT));
        assert_eq!(Cursor::new(&[0xFE, 0xFF, 0xFF]).lenenc(), Err(SHORT));
        assert!(Cursor::new(&[0xFF]).lenenc().is_err());
        assert_eq!(Cursor::new(&[1, 2, 3]).uint(3), Ok(0x03_02_01));
        assert_eq!(be(&[1, 2, 3]), 0x01_02_03);
    }
}
