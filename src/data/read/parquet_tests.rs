//! Tests of Parquet: its types as JSON, its packing, its damages.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::Error;
use super::source::{Packing, Source};
use super::tests::{complaint, gzip, read_all, zstd};

/// A file of one row group with this schema, whose columns `write` fills one after another.
fn file(schema: &str, compression: Compression, write: &dyn Fn(usize, &mut SerializedColumnWriter)) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut index = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        write(index, &mut column);
        column.close().unwrap();
        index += 1;
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text)
}

const SCHEMA: &str = "message rows {
    optional binary prompt (UTF8);
    required binary raw;
    required boolean yes;
    required double score;
    optional int64 count;
    required int32 day (DATE);
    optional group messages (LIST) { repeated group list { optional group element {
        optional binary role (UTF8); optional binary content (UTF8); } } }
    optional group scores (MAP) { repeated group key_value { required binary key (UTF8); optional int32 value; } }
    required group info { required int32 small (INT_8); }
}";

/// What [`parquet`] writes.
pub const PARQUET_ROWS: [&str; 2] = [
    r#"{"prompt":"é","raw":"r","yes":true,"score":0.5,"count":9000000000,"day":"1970-01-02","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}],"scores":{"x":1,"y":null},"info":{"small":-1}}"#,
    r#"{"prompt":null,"raw":"","yes":false,"score":null,"count":null,"day":"1970-01-01","messages":null,"scores":{},"info":{"small":2}}"#,
];

fn columns(index: usize, column: &mut SerializedColumnWriter) {
    let strings =
        |column: &mut SerializedColumnWriter, values: &[&str], definition: Option<&[i16]>, repetition: Option<&[i16]>| {
            let values: Vec<ByteArray> = values.iter().map(|value| text(value)).collect();
            column.typed::<ByteArrayType>().write_batch(&values, definition, repetition).unwrap();
        };
    match index {
        0 => strings(column, &["é"], Some(&[1, 0]), None),
        1 => strings(column, &["r", ""], None, None),
        2 => drop(column.typed::<BoolType>().write_batch(&[true, false], None, None).unwrap()),
        3 => drop(column.typed::<DoubleType>().write_batch(&[0.5, f64::NAN], None, None).unwrap()),
        4 => drop(column.typed::<Int64Type>().write_batch(&[9_000_000_000], Some(&[1, 0]), None).unwrap()),
        5 => drop(column.typed::<Int32Type>().write_batch(&[1, 0], None, None).unwrap()),
        6 => strings(column, &["user", "assistant"], Some(&[4, 4, 0]), Some(&[0, 1, 0])),
        7 => strings(column, &["a"], Some(&[4, 3, 0]), Some(&[0, 1, 0])),
        8 => strings(column, &["x", "y"], Some(&[2, 2, 1]), Some(&[0, 1, 0])),
        9 => drop(column.typed::<Int32Type>().write_batch(&[1], Some(&[3, 2, 1]), Some(&[0, 1, 0])).unwrap()),
        _ => drop(column.typed::<Int32Type>().write_batch(&[-1, 2], None, None).unwrap()),
    }
}

/// A file with a column of every kind.
pub fn parquet() -> Vec<u8> {
    file(SCHEMA, Compression::SNAPPY, &columns)
}

#[test]
fn types_become_json() {
    let zstd_inside = Compression::ZSTD(ZstdLevel::default());
    for compression in
        [Compression::SNAPPY, zstd_inside, Compression::UNCOMPRESSED, Compression::LZ4_RAW, Compression::GZIP(Default::default())]
    {
        let bytes = file(SCHEMA, compression, &columns);
        for (name, bytes) in [("a.parquet", bytes.clone()), ("a.parquet.gz", gzip(&bytes)), ("a.parquet.zst", zstd(&bytes))] {
            let rows = read_all(name, &bytes).unwrap();
            assert!(rows.iter().all(|(line, _)| line.is_none()));
            let fields: Vec<&str> = rows.iter().map(|(_, fields)| fields.as_str()).collect();
            assert_eq!(fields, PARQUET_ROWS, "{name} {compression:?}");
        }
    }
}

#[test]
fn damaged_files_say_so() {
    let whole = parquet();
    let damaged = "the Parquet data is damaged, ends too early or is of a kind that is not read (";
    for bytes in [&b""[..], b"PAR1", b"a,b\n1,2\n and more", &whole[..whole.len() / 2], &whole[..whole.len() - 1], &whole[8..]] {
        let said = complaint("a.parquet", bytes);
        assert!(said.starts_with("a.parquet") && said.contains(damaged), "{said}");
    }
    let mut wrong = whole.clone();
    wrong[4..9].fill(0xff);
    assert!(complaint("a.parquet", &wrong).contains("byte 4 begins no page"));
    // In a page rather than in what describes it: the row is named.
    let mut wrong = whole.clone();
    wrong[18..22].fill(0xff);
    assert!(complaint("a.parquet", &wrong).starts_with(&format!("a.parquet, row 1: {damaged}")));
    let said = complaint("a.parquet.gz", &gzip(&whole)[..200]);
    assert!(said.starts_with("a.parquet.gz, row 1: the gzip data is damaged or ends too early ("), "{said}");
    assert!(complaint("a.parquet.zst", &whole).starts_with("a.parquet.zst, row 1: the zstd data is damaged"));
}

#[test]
fn a_packed_file_that_grows_without_end_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("a.parquet.gz");
    std::fs::write(&path, gzip(&vec![0; 1 << 20])).unwrap();
    let source = Source { path: &path, packing: Packing::Gzip, longest: 1000 };
    let error = super::parquet::rows(&source, &mut |_| Ok(())).unwrap_err();
    let wanted = "a.parquet.gz: unpacks to more than 100 times its size; unpack it and give the file itself";
    assert!(matches!(&error, Error::Data(said) if said.ends_with(wanted)), "{error}");
}

#[test]
fn a_panic_of_the_reader_is_an_error_of_the_file() {
    let schema = "message rows { required group m (MAP) { repeated group key_value {
        required int32 a; required int32 b; required int32 c; } } }";
    let bytes = file(schema, Compression::UNCOMPRESSED, &|_, column| {
        column.typed::<Int32Type>().write_batch(&[1], Some(&[1]), Some(&[0])).unwrap();
    });
    let said = complaint("a.parquet", &bytes);
    assert!(said.starts_with("a.parquet, row 1: the Parquet data is damaged") && said.contains("Invalid map type"), "{said}");
}

#[test]
fn columns_that_are_not_text_are_named() {
    let bytes = |schema: &str, value: &[u8]| {
        let value = ByteArray::from(value.to_vec());
        file(schema, Compression::UNCOMPRESSED, &|_, column| {
            column.typed::<ByteArrayType>().write_batch(std::slice::from_ref(&value), None, None).unwrap();
        })
    };
    let wanted = "a.parquet, row 1: column \"image\" has bytes that are not text; write the file again without it";
    assert_eq!(complaint("a.parquet", &bytes("message rows { required binary image; }", b"\xff\xd8")), wanted);
    let said = complaint("a.parquet", &bytes("message rows { required binary text (UTF8); }", b"\xff\xd8"));
    assert!(said.starts_with("a.parquet, row 1: the Parquet data is damaged"), "{said}");
    let times = file(
        "message rows { required int32 at (TIME_MILLIS); required int64 big (DECIMAL(10, 2)); }",
        Compression::SNAPPY,
        &|index, column| {
            if index == 0 {
                column.typed::<Int32Type>().write_batch(&[1000], None, None).unwrap();
            } else {
                column.typed::<Int64Type>().write_batch(&[150], None, None).unwrap();
            }
        },
    );
    assert_eq!(read_all("a.parquet", &times).unwrap()[0].1, r#"{"at":"00:00:01.000","big":"1.50"}"#);
    assert!(matches!(read_all("a.parquet", &times[..20]), Err(Error::Data(_))));
}

#[test]
fn a_dictionary_that_claims_more_than_it_holds_is_refused() {
    let mut bytes = file("message rows { required binary prompt (UTF8); }", Compression::UNCOMPRESSED, &|_, column| {
        column.typed::<ByteArrayType>().write_batch(&[text("a")], None, None).unwrap();
    });
    // A dictionary page of five bytes with one value.
    let header = [0x15, 4, 0x15, 10, 0x15, 10, 0x4c, 0x15, 2];
    let at = bytes.windows(header.len()).position(|window| window == header).expect("a dictionary");
    bytes[at + header.len() - 1] = 2 * 60;
    let said = complaint("rows.parquet", &bytes);
    assert!(said.contains("a dictionary of 5 bytes claims 60 values"), "{said}");
}
