//! Texts as sets of hashed word n-grams: which weights of a linear classifier a text uses.

/// Marks that are words of their own: there is sentiment in them too.
const MARKS: [char; 2] = ['!', '?'];

/// The words of `text` in order, hashed: lower-case runs of letters and digits with apostrophes inside, `!` and `?`.
pub fn tokens(text: &str) -> Vec<u64> {
    let mut tokens = Vec::new();
    let (mut word, mut apostrophe) = (START, false);
    for c in text.chars() {
        if c.is_alphanumeric() {
            if apostrophe {
                word = add(word, '\'');
                apostrophe = false;
            }
            word = c.to_lowercase().fold(word, add);
            continue;
        }
        if matches!(c, '\'' | '\u{2019}') && word != START && !apostrophe {
            // Part of the word only if more of it follows: "don't" is a word, the end of 'quoted' is not.
            apostrophe = true;
            continue;
        }
        end(&mut tokens, &mut word);
        apostrophe = false;
        if MARKS.contains(&c) {
            tokens.push(mix(add(START, c)));
        }
    }
    end(&mut tokens, &mut word);
    tokens
}

/// Fills `buckets` with those of the distinct n-grams of up to `ngrams` words, sorted.
///
/// Presence, not counts, and no n-gram with the same word twice: saying a word again adds nothing to a text, so that a
/// policy cannot raise its reward with "great great great".
pub fn buckets(tokens: &[u64], ngrams: usize, buckets_log2: u32, buckets: &mut Vec<u32>) {
    buckets.clear();
    for end in 1..=tokens.len() {
        let mut hash = 0u64;
        for n in 1..=ngrams.min(end) {
            let start = end - n;
            if tokens[start + 1..end].contains(&tokens[start]) {
                break;
            }
            hash = mix(hash.rotate_left(23) ^ tokens[start]);
            buckets.push((hash >> (64 - buckets_log2)) as u32);
        }
    }
    buckets.sort_unstable();
    buckets.dedup();
}

/// The start of FNV-1a.
const START: u64 = 0xcbf2_9ce4_8422_2325;

fn add(hash: u64, c: char) -> u64 {
    (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0000_0100_0000_01b3)
}

fn end(tokens: &mut Vec<u64>, word: &mut u64) {
    if *word != START {
        tokens.push(mix(*word));
    }
    *word = START;
}

/// The finaliser of SplitMix64: after it, the upper bits depend on all bits.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
