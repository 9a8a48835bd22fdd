//! TensorBoard's event files, written by hand: records of TFRecord's framing around `Event` messages of protobuf.
//! Sources: tensorflow/core/lib/io/record_writer.cc (length, masked CRC-32C of the length, data, masked CRC-32C of the data) and
//! tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto (field numbers).

/// The text that every event file starts with.
const FILE_VERSION: &str = "brain.Event:2";
/// Bytes of a record beside its data: a length, and two sums.
const FRAME: usize = 8 + 4 + 4;
/// types.proto's DT_STRING.
const STRING: u64 = 7;

/// One `Event` message, without its frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event(Vec<u8>);

impl Event {
    /// The first event of a file; `time` is in seconds since 1970.
    pub fn version(time: f64) -> Event {
        let mut event = started(time, 0);
        bytes(&mut event, 3, FILE_VERSION.as_bytes());
        Event(event)
    }

    /// A number under a tag at a step.
    pub fn scalar(time: f64, step: u64, tag: &str, value: f64) -> Event {
        let mut scalar = Vec::new();
        bytes(&mut scalar, 1, tag.as_bytes());
        // simple_value: a float of 32 bits.
        scalar.push(2 << 3 | 5);
        scalar.extend((value as f32).to_le_bytes());
        Event::summary(time, step, &scalar)
    }

    /// A text under a tag, for TensorBoard's text tab, which reads Markdown.
    pub fn text(time: f64, tag: &str, text: &str) -> Event {
        let (mut plugin, mut metadata, mut dimension, mut shape) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        bytes(&mut plugin, 1, b"text");
        bytes(&mut metadata, 1, &plugin);
        number(&mut dimension, 1, 1);
        bytes(&mut shape, 2, &dimension);
        let mut tensor = Vec::new();
        number(&mut tensor, 1, STRING);
        bytes(&mut tensor, 2, &shape);
        bytes(&mut tensor, 8, text.as_bytes());
        let mut value = Vec::new();
        // The reference encoder writes fields by their numbers: tag, tensor, metadata.
        bytes(&mut value, 1, tag.as_bytes());
        bytes(&mut value, 8, &tensor);
        bytes(&mut value, 9, &metadata);
        Event::summary(time, 0, &value)
    }

    fn summary(time: f64, step: u64, value: &[u8]) -> Event {
        let mut summary = Vec::new();
        bytes(&mut summary, 1, value);
        let mut event = started(time, step);
        bytes(&mut event, 5, &summary);
        Event(event)
    }

    /// Appends the event in its frame.
    pub fn write(&self, file: &mut Vec<u8>) {
        let length = (self.0.len() as u64).to_le_bytes();
        file.extend(length);
        file.extend(masked_sum(&length).to_le_bytes());
        file.extend(&self.0);
        file.extend(masked_sum(&self.0).to_le_bytes());
    }
}

/// The events of a file; nothing if any part of it is not whole.
pub(super) fn read(mut file: &[u8]) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    while !file.is_empty() {
        let (length, rest) = file.split_first_chunk::<8>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        if u32::from_le_bytes(*sum) != masked_sum(length) || rest.len() < size.checked_add(FRAME - 12)? {
            return None;
        }
        let (data, rest) = rest.split_at(size);
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != masked_sum(data) {
            return None;
        }
        events.push(Event(data.to_vec()));
        file = rest;
    }
    Some(events)
}

/// The fields that every event has; a step of 0 is left out, as protobuf does with zeros.
fn started(time: f64, step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(time.to_le_bytes());
    if step > 0 {
        number(&mut event, 2, step);
    }
    event
}

/// A field of wire type 2: its length, and its bytes.
fn bytes(message: &mut Vec<u8>, field: u8, value: &[u8]) {
    message.push(field << 3 | 2);
    varint(message, value.len() as u64);
    message.extend(value);
}

/// A field of wire type 0.
fn number(message: &mut Vec<u8>, field: u8, value: u64) {
    message.push(field << 3);
    varint(message, value);
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// TFRecord's masked CRC-32C (Castagnoli).
fn masked_sum(data: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in data {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if sum & 1 == 1 { 0x82F6_3B78 } else { 0 };
            sum = sum >> 1 ^ carry;
        }
    }
    (!sum).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What tensorboard 2.21's own `masked_crc32c` says.
    #[test]
    fn sums_are_those_of_tensorboard() {
        assert_eq!(masked_sum(b"123456789"), 0xc78a_b0e5);
        assert_eq!(masked_sum(b""), 0xa282_ead8);
    }

    /// What tensorboard 2.21's `event_pb2` serialises.
    #[test]
    fn events_are_those_of_tensorboard_byte_for_byte() {
        assert_eq!(hexadecimal(&Event::version(1.5).0), "09000000000000f83f1a0d627261696e2e4576656e743a32");
        assert_eq!(
            hexadecimal(&Event::scalar(2.25, 300, "rewards/chosen", -0.5).0),
            "09000000000000024010ac022a170a150a0e726577617264732f63686f73656e15000000bf"
        );
        // A zero that is chosen is written.
        assert_eq!(
            hexadecimal(&Event::scalar(1_700_000_000.125, 0, "loss", 0.0).0),
            "0900000840fc54d9412a0d0a0b0a046c6f73731500000000"
        );
        assert_eq!(
            hexadecimal(&Event::text(1.0, "hyperparameters/text_summary", "| a | b |").0),
            "09000000000000f03f2a3f0a3d0a1c6879706572706172616d65746572732f746578745f73756d6d61727942130807120412020801\
             42097c2061207c2062207c4a080a060a0474657874"
        );
    }

    #[test]
    fn a_record_is_framed_as_tensorboard_frames_it() {
        let mut file = Vec::new();
        Event::version(1.5).write(&mut file);
        let golden = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c";
        assert_eq!(hexadecimal(&file), golden);
    }

    #[test]
    fn a_file_is_read_back_whole_or_not_at_all() {
        let events = vec![Event::version(0.5), Event::scalar(1.0, 7, "loss", 0.25), Event::text(2.0, "a", &"long ".repeat(99))];
        let mut file = Vec::new();
        events.iter().for_each(|event| event.write(&mut file));
        assert_eq!(read(&file), Some(events));
        for length in 1..40 {
            assert_eq!(read(&file[..length]), None, "{length} bytes");
        }
        file[60] ^= 1;
        assert_eq!(read(&file), None);
        assert_eq!(read(&[]), Some(Vec::new()));
    }
}
