//! report.html: one file that needs nothing else, with the figures inside it. Every text is escaped.

use std::fmt::Write;

/// A report.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Paragraphs below the title.
    pub lead: Vec<String>,
    /// What follows, in order.
    pub sections: Vec<Section>,
}

/// A section: what it has is shown in the order of its fields.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// Its paragraphs.
    pub paragraphs: Vec<String>,
    /// Its figure.
    pub figure: Option<Figure>,
    /// Its table.
    pub table: Option<Table>,
    /// Its blocks.
    pub blocks: Vec<Block>,
    /// Its list.
    pub list: Vec<String>,
}

/// A figure.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// The SVG document, as the drawing code wrote it; a text that does not begin as one is escaped like any other.
    pub svg: String,
    /// What it shows.
    pub caption: String,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of its columns.
    pub header: Vec<String>,
    /// Its rows; one that is short is filled up.
    pub rows: Vec<Vec<String>>,
}

/// Texts side by side below what they answer, each with who wrote it, and what is said of them.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// What the texts answer; its line breaks are kept, as are theirs.
    pub prompt: String,
    /// The texts, from left to right; from top to bottom where the window is narrow.
    pub columns: Vec<Column>,
    /// What is said of them: a name and a text each.
    pub notes: Vec<(String, String)>,
}

/// One text of a [`Block`].
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Who wrote it.
    pub heading: String,
    /// What stands out about it; empty for nothing.
    pub flag: String,
    /// The text.
    pub text: String,
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1c1e; --faint: #636366; --line: #d8d8dc; --stripe: #f6f6f8; --paper: #fff; --link: #0072b2; --warn: #a33b00 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6ea; --faint: #a0a0a8; --line: #3a3a40; --stripe: #232327; --paper: #19191c; --link: #56b4e9; --warn: #ff9d5c }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', sans-serif }
main { max-width: 72rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 1rem }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line) }
p, li { max-width: 46rem }
p { margin: .6rem 0 }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--faint) }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
figure { margin: 1.25rem 0 }
.drawing { background: #fff; border-radius: 6px; overflow-x: auto; padding: .25rem }
.drawing svg { display: block; max-width: 100%; height: auto; margin: 0 auto }
figcaption { color: var(--faint); font-size: .9rem; margin-top: .5rem; max-width: 46rem }
.table { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; text-align: left; white-space: nowrap }
thead th { border-top: 2px solid var(--ink); border-bottom: 1px solid var(--ink); font-weight: 600 }
tbody tr:nth-child(even) { background: var(--stripe) }
tbody tr:last-child td { border-bottom: 2px solid var(--ink) }
.number { text-align: right }
.block { border: 1px solid var(--line); border-radius: 6px; margin: 1.25rem 0; overflow: hidden; break-inside: avoid }
.block p { max-width: none; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
.prompt { background: var(--stripe); padding: .75rem 1rem; font-size: .92rem }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 1px; background: var(--line) }
.columns > div { background: var(--paper); padding: .75rem 1rem }
.columns { border: solid var(--line); border-width: 1px 0 }
.block h3 { font-size: .88rem; margin: 0 0 .35rem }
.flag { color: var(--paper); background: var(--warn); border-radius: 4px; padding: .05rem .4rem; margin-left: .5rem; font-weight: 600 }
.block dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; padding: .75rem 1rem; font-size: .88rem }
.block dt { color: var(--faint) }
.block dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 40rem) { .block dl { grid-template-columns: 1fr } .block dd { margin-bottom: .35rem } }
@media print { main { padding: 0; max-width: none } nav { display: none } figure, table { break-inside: avoid } }
";

/// The page as an HTML document.
pub fn page(report: &Page) -> String {
    let title = escaped(&report.title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    paragraphs(&mut html, &report.lead);
    if report.sections.len() > 2 {
        let link =
            |(at, section): (usize, &Section)| format!("<li><a href=\"#section-{at}\">{}</a></li>\n", escaped(&section.heading));
        let links: String = report.sections.iter().enumerate().map(link).collect();
        push(&mut html, format_args!("<nav aria-label=\"Sections\">\n<ul>\n{links}</ul>\n</nav>\n"));
    }
    for (at, section) in report.sections.iter().enumerate() {
        push(&mut html, format_args!("<section id=\"section-{at}\">\n<h2>{}</h2>\n", escaped(&section.heading)));
        paragraphs(&mut html, &section.paragraphs);
        section.figure.iter().for_each(|shown| figure(&mut html, shown));
        section.table.iter().for_each(|shown| table(&mut html, shown));
        section.blocks.iter().for_each(|shown| block(&mut html, shown));
        if !section.list.is_empty() {
            let items: String = section.list.iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect();
            push(&mut html, format_args!("<ul>\n{items}</ul>\n"));
        }
        html.push_str("</section>\n");
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn paragraphs(html: &mut String, texts: &[String]) {
    for text in texts {
        push(html, format_args!("<p>{}</p>\n", escaped(text)));
    }
}

fn figure(html: &mut String, figure: &Figure) {
    // Only what the drawing code writes goes in as it is: no declaration before the first tag, and no script.
    let svg = figure.svg.trim();
    let lower = svg.to_ascii_lowercase();
    let drawn = lower.starts_with("<svg") && lower.ends_with("</svg>") && !lower.contains("<script");
    let svg = if drawn { svg.to_owned() } else { escaped(svg) };
    let caption = escaped(&figure.caption);
    push(html, format_args!("<figure>\n<div class=\"drawing\">{svg}</div>\n<figcaption>{caption}</figcaption>\n</figure>\n"));
}

fn table(html: &mut String, table: &Table) {
    let columns = table.rows.iter().map(Vec::len).chain([table.header.len()]).max().unwrap_or(0);
    // A column is one of numbers when all that is written in it are, so that words stay on the left.
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            let mut cells = table.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !blank(cell)).peekable();
            cells.peek().is_some() && cells.all(|cell| number(cell))
        })
        .collect();
    let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
    let line = |tag: &str, cells: &[String]| -> String {
        let cell = |column: usize| {
            let text = cells.get(column).map_or(String::new(), |text| escaped(text));
            format!("<{tag}{}>{text}</{}>", class(column), tag.split(' ').next().unwrap_or(tag))
        };
        format!("<tr>{}</tr>\n", (0..columns).map(cell).collect::<String>())
    };
    let body: String = table.rows.iter().map(|row| line("td", row)).collect();
    let head = line("th scope=\"col\"", &table.header);
    push(
        html,
        format_args!("<div class=\"table\">\n<table>\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"),
    );
}

fn block(html: &mut String, block: &Block) {
    let column = |column: &Column| {
        let flag =
            if column.flag.is_empty() { String::new() } else { format!("<span class=\"flag\">{}</span>", escaped(&column.flag)) };
        format!("<div><h3>{}{flag}</h3><p>{}</p></div>\n", escaped(&column.heading), escaped(&column.text))
    };
    let note = |(name, text): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(text));
    push(
        html,
        format_args!(
            "<article class=\"block\">\n<p class=\"prompt\">{}</p>\n<div class=\"columns\">\n{}</div>\n<dl>\n{}</dl>\n</article>\n",
            escaped(&block.prompt),
            block.columns.iter().map(column).collect::<String>(),
            block.notes.iter().map(note).collect::<String>()
        ),
    );
}

fn blank(cell: &str) -> bool {
    matches!(cell.trim(), "" | "-" | "–" | "—")
}

/// Whether a cell begins with a number: also `0.93 ± 0.01`, `61%` and `[0.1, 0.2]`.
fn number(cell: &str) -> bool {
    let text = cell.trim().trim_start_matches(['[', '(', '+', '-', '−', '±', '<', '>', '≤', '≥', '~']).trim_start();
    let signs = |other: char| other.is_ascii_digit() || " .,±+-−–[]()%eExk×/".contains(other);
    matches!(text, "NaN" | "inf")
        || (text.starts_with(|first: char| first.is_ascii_digit() || first == '.') && text.chars().all(signs))
}

/// A text as HTML shows it, in a tag or in an attribute.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // No document may hold these.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => html.push('\u{fffd}'),
            letter => html.push(letter),
        }
    }
    html
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn everything_is_escaped() {
        let evil = "<script>alert(\"1\" & '2')</script>";
        let report = Page {
            title: text(evil),
            lead: vec![text(evil)],
            sections: vec![
                Section {
                    heading: text(evil),
                    paragraphs: vec![text(evil)],
                    figure: Some(Figure { svg: text(evil), caption: text(evil) }),
                    table: Some(Table { header: vec![text(evil)], rows: vec![vec![text(evil)]] }),
                    blocks: vec![Block {
                        prompt: text(evil),
                        columns: vec![Column { heading: text(evil), flag: text(evil), text: text(evil) }],
                        notes: vec![(text(evil), text(evil))],
                    }],
                    list: vec![text(evil)],
                };
                3
            ],
        };
        let html = page(&report);
        assert!(!html.contains("<script") && !html.contains("alert(\""));
        assert_eq!(html.matches("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;").count(), 3 + 3 * 14);
    }

    #[test]
    fn figures_go_in_as_they_are_and_nothing_comes_from_outside() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><text>KL</text></svg>";
        let figure = |svg: &str| Some(Figure { svg: text(svg), caption: text("what & why") });
        let section = |svg| Section { heading: text("Frontier"), figure: figure(svg), ..Section::default() };
        let html = page(&Page { title: text("t"), lead: vec![], sections: vec![section(svg)] });
        assert!(html.contains(svg) && html.contains("what &amp; why"));
        assert!(!html.contains("src=") && !html.contains("@import") && !html.contains("<link"));
        let bad = page(&Page { title: text("t"), lead: vec![], sections: vec![section("<svg><script>x</script></svg>")] });
        assert!(!bad.contains("<script"));
    }

    #[test]
    fn a_block_shows_the_prompt_then_texts_then_notes() {
        let column = |heading: &str, flag: &str| Column { heading: text(heading), flag: text(flag), text: text("a\nb") };
        let block = Block {
            prompt: text("why?"),
            columns: vec![column("A: DPO", ""), column("B: SFT", "degenerate")],
            notes: vec![(text("Verdict"), text("A"))],
        };
        let html =
            page(&Page { title: text("t"), lead: vec![], sections: vec![Section { blocks: vec![block], ..Section::default() }] });
        let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part}"));
        assert!(at("<p class=\"prompt\">why?</p>") < at("<h3>A: DPO</h3><p>a\nb</p>"));
        assert!(at("A: DPO</h3>") < at("<h3>B: SFT<span class=\"flag\">degenerate</span></h3>"));
        assert!(at("B: SFT") < at("<dt>Verdict</dt><dd>A</dd>"));
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let rows = vec![vec![text("dpo"), text("0.93 ± 0.01"), text("–")], vec![text("ppo-1"), text("−3e-5")]];
        let table = Table { header: vec![text("method"), text("reward"), text("kl")], rows };
        let section = Section { table: Some(table), ..Section::default() };
        let html = page(&Page { title: text("t"), lead: vec![], sections: vec![section] });
        assert!(html.contains("<td>dpo</td><td class=\"number\">0.93 ± 0.01</td><td>–</td>"), "{html}");
        assert!(html.contains("<td>ppo-1</td><td class=\"number\">−3e-5</td><td></td>"));
        assert!(html.contains("<th scope=\"col\" class=\"number\">reward</th>"));
    }
}
