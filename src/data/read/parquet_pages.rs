//! What the pages of a Parquet file say of themselves, looked at before the library believes it: the library reserves memory for as
//! many values as a dictionary claims to have, and passes over as many elements as a list in a header claims. (`PageHeader` of the
//! format's parquet.thrift.)

use super::thrift::{I32, Input, STOP, STRUCT};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// More values than any dictionary of texts has; the library keeps 32 bytes for each.
const MOST_VALUES: i64 = (1 << 30) / 32;
/// Bytes in which most headers fit, and the most that one may have.
const WINDOWS: [u64; 4] = [1 << 10, 1 << 16, 1 << 20, 16 << 20];

/// What a page says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    /// Bytes of the header.
    length: u64,
    /// Bytes of the page after it, as they are in the file, and unpacked.
    sizes: [i64; 2],
    /// Values of a dictionary, where it is one.
    dictionary: Option<i64>,
}

/// Fails where a page of one of these column chunks (first byte, number of bytes) cannot be.
pub fn check(file: &mut File, chunks: impl IntoIterator<Item = (u64, u64)>) -> std::io::Result<Result<(), String>> {
    for (first, length) in chunks {
        let (mut at, end) = (first, first.saturating_add(length));
        while at < end {
            let Some(header) = read(file, at)? else { return Ok(Err(format!("byte {at} begins no page"))) };
            let [packed, unpacked] = header.sizes;
            // A value takes a byte at least.
            if let Some(values) = header.dictionary.filter(|values| !(0..=unpacked.min(MOST_VALUES)).contains(values)) {
                return Ok(Err(format!("a dictionary of {unpacked} bytes claims {values} values")));
            }
            let Ok(packed) = u64::try_from(packed) else { return Ok(Err(format!("a page of {packed} bytes"))) };
            at = at.saturating_add(header.length).saturating_add(packed);
        }
    }
    Ok(Ok(()))
}

/// The header at a place. It may end after its chunk, whose length some writers have counted without it.
fn read(file: &mut File, at: u64) -> std::io::Result<Option<Header>> {
    for window in WINDOWS {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&*file).take(window).read_to_end(&mut bytes)?;
        let found = header(&bytes);
        if found.is_some() || (bytes.len() as u64) < window {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The header that these bytes begin with. Every known field has to have its type: the library does not look at it.
fn header(bytes: &[u8]) -> Option<Header> {
    let (mut input, mut header, mut id) = (Input::new(bytes), Header::default(), 0);
    loop {
        let (kind, next) = input.field(id)?;
        id = next;
        match (id, kind) {
            (_, STOP) => {
                header.length = (bytes.len() - input.left()) as u64;
                return Some(header);
            }
            (2, I32) => header.sizes[1] = input.number()?,
            (3, I32) => header.sizes[0] = input.number()?,
            // Kind of page, and a checksum.
            (1 | 4, I32) => input.skip(kind, 0)?,
            // Of data: counts and encodings, then statistics.
            (5, STRUCT) => input.pass_struct(|id, kind| kind == if id < 5 { I32 } else { STRUCT })?,
            (6, STRUCT) => input.pass_struct(|_, _| false)?,
            (7, STRUCT) => header.dictionary = Some(values(&mut input)?),
            // The same in the format's second version, with whether it is packed.
            (8, STRUCT) => input.pass_struct(|id, kind| match id {
                ..=6 => kind == I32,
                7 => kind <= 2,
                _ => kind == STRUCT,
            })?,
            _ => return None,
        }
    }
}

/// The number of values in a dictionary's part of a header: that, an encoding, and whether it is sorted.
fn values(input: &mut Input<'_>) -> Option<i64> {
    let (mut id, mut values) = (0, 0);
    loop {
        let (kind, next) = input.field(id)?;
        id = next;
        match (id, kind) {
            (_, STOP) => return Some(values),
            (1, I32) => values = input.number()?,
            (2, I32) | (3, 1 | 2) => input.skip(kind, 0)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// type = dictionary, 8 bytes unpacked, 5 packed, dictionary_page_header = { this number of values, encoding = 0 }.
    fn page(values: u8) -> Vec<u8> {
        vec![0x15, 4, 0x15, 16, 0x15, 10, 0x4c, 0x15, 2 * values, 0x15, 0, 0, 0]
    }

    #[test]
    fn a_header_is_read_whole_or_not_at_all() {
        let bytes = page(2);
        let wanted = Header { length: 13, sizes: [5, 8], dictionary: Some(2) };
        assert_eq!(header(&[&bytes[..], b"rest"].concat()), Some(wanted));
        for length in 0..bytes.len() {
            assert_eq!(header(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_dictionary_that_claims_more_values_than_bytes_is_refused_wherever_it_stands() {
        let check_all = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            check(&mut file, [(0, bytes.len() as u64)]).unwrap()
        };
        let fine = [page(8), b"12345".to_vec()].concat();
        assert_eq!(check_all(&[fine.clone(), fine.clone()].concat()), Ok(()));
        assert_eq!(check_all(&[fine, page(9)].concat()), Err("a dictionary of 8 bytes claims 9 values".to_owned()));
        assert_eq!(check_all(b"no header"), Err("byte 0 begins no page".to_owned()));
        // A list in a header, and a number of 16 bits where the library expects a struct.
        assert!(check_all(&[0x19, 0x11, 0, 0, 0]).is_err());
        assert!(check_all(&[0x64, 0x38, 0x30, 0x30]).is_err());
        assert_eq!(check_all(&[]), Ok(()));
    }
}
