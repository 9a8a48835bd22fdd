//! Packets of blinded items, and the key that says who wrote what. As in the paper a rater judges 25 items (appendix D.3);
//! a share of the items goes to two raters, so that their agreement can be measured.

use super::Comparison;
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::stats::Outcome;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

/// Items of a full packet.
pub const PACKET_ITEMS: usize = 25;
/// Stands first in key.json.
const NOTICE: &str = "this file says who wrote what: raters must not see it; `human import` needs it";

/// Two completions of one prompt, without a trace of who wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The prompt's text.
    pub prompt: String,
    /// The completion shown as A.
    pub first: String,
    /// The completion shown as B.
    pub second: String,
}

/// What one person judges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// `packet-01` and so on.
    pub name: String,
    /// At most 25 items, none of them twice, in random order.
    pub items: Vec<Item>,
}

/// A place beside the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Shown as A.
    First,
    /// Shown as B.
    Second,
}

/// What an item hides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// Name of the run.
    pub run: String,
    /// Name of the method.
    pub method: String,
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Which held-out prompt it is.
    pub prompt_index: usize,
    /// What the policy is compared with.
    pub baseline: String,
    /// Where the policy's completion stands.
    pub policy: Side,
}

/// key.json: what every item hides, and which items each packet holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Who must not see this.
    pub notice: String,
    /// Ids of the items of every packet, in its order.
    pub packets: BTreeMap<String, Vec<String>>,
    /// Items by id.
    pub items: BTreeMap<String, KeyEntry>,
}

impl Key {
    /// Reads key.json; `path` is for the message alone.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            Error::Data(format!("{}: not a key: {error}; give the key.json that `human export` wrote", path.display()))
        })
    }
}

impl KeyEntry {
    /// What a choice says of the policy's completion; `None` is a choice of neither.
    pub fn outcome(&self, choice: Option<Side>) -> Outcome {
        match choice {
            None => Outcome::Tie,
            Some(side) if side == self.policy => Outcome::Win,
            Some(_) => Outcome::Loss,
        }
    }
}

/// Blinded packets of all comparisons, and their key. Every packet but the last is full. A share of the items, from 0 to 1, is
/// in two packets. In half of a checkpoint's items the policy's completion stands first, so that a rater's liking for one side
/// cancels. A comparison that shows the same texts as another of its checkpoint, prompt and baseline is asked once. Equal
/// arguments give equal packets.
pub fn packets(comparisons: &[Comparison], share_double: f64, seed: u64) -> (Vec<Packet>, Key) {
    let mut stream = Stream::new(seed, 0, "human packets", 0);
    let mut key = Key { notice: NOTICE.to_owned(), packets: BTreeMap::new(), items: BTreeMap::new() };
    let mut last_side = BTreeMap::new();
    let mut items = Vec::new();
    for at in stream.permutation(comparisons.len()) {
        let comparison = &comparisons[at];
        let id = id(comparison);
        if key.items.contains_key(&id) {
            continue;
        }
        let checkpoint = (&comparison.run, comparison.step, comparison.temperature.to_bits(), &comparison.baseline);
        let policy = match last_side.get(&checkpoint) {
            Some(Side::First) => Side::Second,
            Some(Side::Second) => Side::First,
            None if stream.below(2) == 0 => Side::First,
            None => Side::Second,
        };
        last_side.insert(checkpoint, policy);
        let (first, second) = match policy {
            Side::First => (&comparison.policy_text, &comparison.baseline_text),
            Side::Second => (&comparison.baseline_text, &comparison.policy_text),
        };
        let (first, second) = (first.clone(), second.clone());
        items.push(Item { id: id.clone(), prompt: comparison.prompt.clone(), first, second });
        key.items.insert(id, entry(comparison, policy));
    }
    let doubled = (share_double.clamp(0.0, 1.0) * items.len() as f64).round() as usize;
    let packets: Vec<Packet> = deal(items.len(), doubled, &mut stream)
        .into_iter()
        .zip(1..)
        .map(|(held, number)| Packet {
            name: format!("packet-{number:02}"),
            items: held.into_iter().map(|item| items[item].clone()).collect(),
        })
        .collect();
    let ids = |packet: &Packet| packet.items.iter().map(|item| item.id.clone()).collect();
    key.packets = packets.iter().map(|packet| (packet.name.clone(), ids(packet))).collect();
    (packets, key)
}

fn entry(comparison: &Comparison, policy: Side) -> KeyEntry {
    KeyEntry {
        run: comparison.run.clone(),
        method: comparison.method.clone(),
        step: comparison.step,
        temperature: comparison.temperature,
        prompt_index: comparison.prompt_index,
        baseline: comparison.baseline.clone(),
        policy,
    }
}

/// An item's id. It is the same whichever of the two texts the policy wrote, so that nobody can work that out from it.
fn id(comparison: &Comparison) -> String {
    let mut texts = [comparison.policy_text.as_str(), comparison.baseline_text.as_str()];
    texts.sort_unstable();
    let numbers = [comparison.step, comparison.temperature.to_bits(), comparison.prompt_index as u64];
    let names = [&comparison.study, &comparison.run, &comparison.baseline, &comparison.prompt];
    let mut hasher = blake3::Hasher::new_derive_key("dpo-lab human study item 1");
    numbers.iter().for_each(|number| {
        hasher.update(&number.to_le_bytes());
    });
    for text in names.map(String::as_str).into_iter().chain(texts) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    // A letter comes first: a spreadsheet would round an id of digits alone, and read one like 1e5 as a power of ten.
    format!("c{}", &hasher.finalize().to_hex()[..15])
}

/// Which items each packet holds. The first `doubled` items are in two packets.
fn deal(items: usize, doubled: usize, stream: &mut Stream) -> Vec<Vec<usize>> {
    if items == 0 {
        return Vec::new();
    }
    // A packet cannot hold more than all items once, however few there are.
    let size = PACKET_ITEMS.min(items);
    let total = items + doubled;
    let mut free: Vec<usize> = (0..total.div_ceil(size)).map(|packet| size.min(total - packet * size)).collect();
    let mut dealt = vec![Vec::new(); free.len()];
    for item in 0..items {
        // Always taking the emptiest packets leaves room for two copies in two packets to the end. Chance decides between
        // equals, so that the doubled items connect many pairs of raters.
        let mut packets = stream.permutation(free.len());
        packets.sort_by_key(|&packet| Reverse(free[packet]));
        for &packet in &packets[..if item < doubled { 2 } else { 1 }] {
            free[packet] -= 1;
            dealt[packet].push(item);
        }
    }
    dealt.iter().map(|held| stream.permutation(held.len()).into_iter().map(|at| held[at]).collect()).collect()
}
