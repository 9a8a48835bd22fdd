//! What a Parquet file says of its columns, looked at before the library believes it: the library reserves memory for as many
//! children as a column claims, and goes as deep as they are nested. (`FileMetaData` and `SchemaElement` of the format's parquet.thrift.)

use super::thrift::{BINARY, I32, Input, LIST, STOP, STRUCT};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// The longest footer that is read; those of files with thousands of row groups have a few megabytes.
const LONGEST: u64 = 16 << 20;
/// More columns and groups than any data set of texts has.
const MOST_ELEMENTS: usize = 10_000;
/// Far deeper than lists of messages are.
const DEEPEST: usize = 64;

/// Fails where the columns that the footer describes cannot be. A file without a footer is left to the library, which says so.
pub fn check(file: &mut File) -> std::io::Result<Result<(), String>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = [0; 8];
    if length < 12 {
        return Ok(Ok(()));
    }
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut end)?;
    let footer = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if &end[4..] != b"PAR1" || footer + 8 > length {
        return Ok(Ok(()));
    }
    if footer > LONGEST {
        return Ok(Err(format!("the footer has {footer} bytes, and {LONGEST} are read at most")));
    }
    let mut bytes = vec![0; footer as usize];
    file.seek(SeekFrom::End(-8 - footer as i64))?;
    file.read_exact(&mut bytes)?;
    file.rewind()?;
    Ok(children(&bytes).ok_or_else(|| "the footer is damaged".to_owned()).and_then(|children| tree(&children)))
}

/// Whether so many children of each element make one tree of a sane size.
fn tree(children: &[usize]) -> Result<(), String> {
    if children.len() > MOST_ELEMENTS {
        return Err(format!("{} columns and groups are more than the {MOST_ELEMENTS} that are read", children.len()));
    }
    // Elements that are still missing at every level.
    let mut open: Vec<usize> = Vec::new();
    for count in children {
        if *count > children.len() {
            return Err(format!("a group claims {count} columns, and there are {} in all", children.len()));
        }
        if let Some(missing) = open.last_mut() {
            *missing -= 1;
        }
        if *count > 0 {
            open.push(*count);
        }
        if open.len() > DEEPEST {
            return Err(format!("columns are nested more than {DEEPEST} deep"));
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    Ok(())
}

/// The number of children of every element of the schema, in order; none where the bytes are no `FileMetaData`.
fn children(bytes: &[u8]) -> Option<Vec<usize>> {
    let mut input = Input::new(bytes);
    let mut id = 0;
    loop {
        let (kind, next) = input.field(id)?;
        id = next;
        match (id, kind) {
            (2, LIST) => break,
            // Without a schema there is nothing to reserve memory for.
            (_, STOP) => return Some(Vec::new()),
            (1, I32) => input.skip(kind, 0)?,
            // The library reads what it knows without a look at its type, so that another type would lead it astray.
            _ => return None,
        }
    }
    let (kind, count) = input.list()?;
    if kind != STRUCT {
        return None;
    }
    (0..count).map(|_| element(&mut input)).collect()
}

/// The number of children of one element.
fn element(input: &mut Input<'_>) -> Option<usize> {
    let (mut id, mut children) = (0, 0);
    loop {
        let (kind, next) = input.field(id)?;
        id = next;
        match (id, kind) {
            (_, STOP) => return Some(children),
            // Negative numbers, which the library refuses, are large ones here.
            (5, I32) => children = usize::try_from(input.number()?).unwrap_or(usize::MAX),
            (1..=3 | 6..=9, I32) | (4, BINARY) | (10, STRUCT) => input.skip(kind, 0)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_columns_is_checked_before_it_is_believed() {
        assert_eq!(tree(&[]), Ok(()));
        assert_eq!(tree(&[2, 0, 1, 0]), Ok(()));
        assert_eq!(tree(&[1, i32::MAX as usize]), Err("a group claims 2147483647 columns, and there are 2 in all".to_owned()));
        assert!(tree(&[usize::MAX]).is_err());
        let chain = |depth: usize| [vec![1; depth], vec![0]].concat();
        assert_eq!(tree(&chain(DEEPEST)), Ok(()));
        assert!(tree(&chain(DEEPEST + 1)).unwrap_err().contains("nested"));
        assert!(tree(&vec![0; MOST_ELEMENTS + 1]).unwrap_err().contains("more than the"));
        // What does not fill its groups, or fills them more than once, is the library's to refuse.
        assert_eq!(tree(&[2, 0]), Ok(()));
        assert_eq!(tree(&[1, 0, 0, 0]), Ok(()));
    }

    #[test]
    fn children_are_found_among_other_fields() {
        // version = 1; schema = [{ name = "a", num_children = 1 }, { type = 1, name = "b" }].
        let bytes = [0x15, 2, 0x19, 0x2c, 0x48, 1, b'a', 0x15, 2, 0, 0x15, 2, 0x38, 1, b'b', 0, 0];
        assert_eq!(children(&bytes), Some(vec![1, 0]));
        for length in 0..bytes.len() - 1 {
            assert_eq!(children(&bytes[..length]), None, "{length}");
        }
        assert_eq!(children(&[0x15, 2, 0]), Some(Vec::new()));
        // A list that claims more elements than there are bytes.
        assert_eq!(children(&[0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
    }
}
