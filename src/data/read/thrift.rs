//! Thrift's compact protocol, as far as Parquet's own descriptions of a file need it. Nothing is reserved for what bytes claim.

/// Deeper than any value of the format is nested.
const DEEPEST: usize = 64;

/// The type of what ends a struct.
pub const STOP: u8 = 0;
/// The type of a number of 32 bits.
pub const I32: u8 = 5;
/// The type of bytes.
pub const BINARY: u8 = 8;
/// The type of a list.
pub const LIST: u8 = 9;
/// The type of a struct.
pub const STRUCT: u8 = 12;

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What is left of some bytes.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Starts with the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    /// The number of bytes that are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// A whole number.
    pub fn number(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Passes over a struct whose fields have the types that `fits` wants of their ids. The library reads what it knows without a
    /// look at its type, so that another type would lead it astray.
    pub fn pass_struct(&mut self, fits: impl Fn(i64, u8) -> bool) -> Option<()> {
        self.fields(fits, 1)
    }

    fn fields(&mut self, fits: impl Fn(i64, u8) -> bool, depth: usize) -> Option<()> {
        let mut id = 0;
        loop {
            let (kind, next) = self.field(id)?;
            id = next;
            match kind {
                STOP => return Some(()),
                kind if fits(id, kind) => self.skip(kind, depth)?,
                _ => return None,
            }
        }
    }

    /// The type and the id of a field after one with the id `last`.
    pub fn field(&mut self, last: i64) -> Option<(u8, i64)> {
        let byte = self.byte()?;
        let (kind, step) = (byte & 15, i64::from(byte >> 4));
        if kind == STOP {
            return Some((STOP, last));
        }
        let id = if step == 0 { self.number()? } else { last.checked_add(step)? };
        Some((kind, id))
    }

    /// The type and the number of a list's elements.
    pub fn list(&mut self) -> Option<(u8, u64)> {
        let byte = self.byte()?;
        let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        // Every element takes a byte at least.
        (count <= self.0.len() as u64).then_some((byte & 15, count))
    }

    /// Passes over the value of a field. What is read here has no list before or within what is looked for, and the library passes
    /// over some lists in its own way; so a list is a damage.
    pub fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            // A field's type says whether it is true.
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            STRUCT if depth < DEEPEST => self.fields(|_, _| true, depth + 1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_are_passed_over_and_lists_are_refused() {
        // { 1: i32 = 1, 2: "ab", 3: true, 4: { 1: double } }, then the rest.
        let bytes = [0x15, 2, 0x18, 2, b'a', b'b', 0x11, 0x1c, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        let mut input = Input::new(&bytes);
        assert_eq!((input.skip(STRUCT, 0), input.left()), (Some(()), 1));
        for list in [LIST, 10, 11] {
            assert_eq!(Input::new(&[0x11, 0, 0, 0]).skip(list, 0), None, "{list}");
        }
        assert_eq!(Input::new(&[0x1c; 100]).skip(STRUCT, 0), None, "too deep");
    }
}
