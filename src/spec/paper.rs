//! Departures from the paper, as an experiment file marks them: `steps = 300 # paper: until convergence`.

use super::source::Sources;
use super::study::Deviation;
use super::tree::Table;
use toml::de::DeValue;

const MARK: &str = "# paper:";

/// Every value of the user's files whose line carries a `# paper:` comment.
pub fn deviations(sources: &Sources, table: &Table) -> Vec<Deviation> {
    let mut found = Vec::new();
    collect(sources, table, "", &mut found);
    found.sort_by_key(|(start, _)| *start);
    found.into_iter().map(|(_, deviation)| deviation).collect()
}

fn collect(sources: &Sources, table: &Table, prefix: &str, found: &mut Vec<(usize, Deviation)>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => collect(sources, inner, &path, found),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for inner in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    collect(sources, inner, &path, found);
                }
            }
            _ => {
                let span = value.span();
                let Some((_, text, offset)) = sources.texts().filter(|(.., offset)| *offset <= span.start).last() else {
                    continue;
                };
                let rest = text.get(span.end - offset..).unwrap_or_default().lines().next().unwrap_or_default();
                if let Some((_, paper)) = rest.split_once(MARK) {
                    let value = text.get(span.start - offset..span.end - offset).unwrap_or_default().to_owned();
                    found.push((span.start, Deviation { key: path, value, paper: paper.trim().to_owned() }));
                }
            }
        }
    }
}
