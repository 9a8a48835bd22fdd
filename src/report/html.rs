//! report.html: one file that needs nothing else, with the figures inside it. Every text is escaped.

use super::escape::{escaped, with_own_ids};
use std::fmt::Write;

/// A report.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// A line below the title.
    pub about: String,
    /// What was asked.
    pub asked: Vec<String>,
    /// What came out, a sentence or two each.
    pub found: Vec<String>,
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
    /// Its tables.
    pub tables: Vec<Table>,
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
    /// What it is; empty where the section says it.
    pub title: String,
    /// Whether only its title is seen until somebody asks for the rest.
    pub folded: bool,
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

const STYLE: &str = include_str!("page.css");
/// The page asks nobody for anything, and runs nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
/// A cell with more letters than this is a text that may take several lines.
const LONG_CELL: usize = 60;
/// The least size of a drawing's letters on a narrow screen, in pixels.
const LEAST_LETTER: f64 = 12.0;

/// The page as an HTML document.
pub fn page(report: &Page) -> String {
    let title = escaped(&report.title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n\
         <p class=\"about\">{}</p>\n</header>\n",
        escaped(&report.about)
    );
    if !report.asked.is_empty() || !report.found.is_empty() {
        html.push_str("<section class=\"summary\" aria-label=\"Summary\">\n<h2>Summary</h2>\n");
        paragraphs(&mut html, &report.asked);
        list(&mut html, &report.found);
        html.push_str("</section>\n");
    }
    if report.sections.len() > 2 {
        let link =
            |(at, section): (usize, &Section)| format!("<li><a href=\"#section-{at}\">{}</a></li>\n", escaped(&section.heading));
        let links: String = report.sections.iter().enumerate().map(link).collect();
        push(&mut html, format_args!("<nav aria-label=\"Contents\">\n<h2>Contents</h2>\n<ol>\n{links}</ol>\n</nav>\n"));
    }
    for (at, section) in report.sections.iter().enumerate() {
        push(&mut html, format_args!("<section id=\"section-{at}\">\n<h2>{}</h2>\n", escaped(&section.heading)));
        paragraphs(&mut html, &section.paragraphs);
        section.figure.iter().for_each(|shown| figure(&mut html, shown, at));
        section.tables.iter().for_each(|shown| table(&mut html, shown));
        section.blocks.iter().for_each(|shown| block(&mut html, shown));
        list(&mut html, &section.list);
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

fn list(html: &mut String, items: &[String]) {
    if !items.is_empty() {
        let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escaped(item))).collect();
        push(html, format_args!("<ul>\n{items}</ul>\n"));
    }
}

fn figure(html: &mut String, figure: &Figure, number: usize) {
    // Only what the drawing code writes goes in as it is: no declaration before the first tag, and no script.
    let svg = figure.svg.trim();
    let lower = svg.to_ascii_lowercase();
    let drawn = lower.starts_with("<svg") && lower.ends_with("</svg>") && !lower.contains("<script");
    let width =
        readable_width(svg).filter(|_| drawn).map(|width| format!(" style=\"--readable: {width:.0}px\"")).unwrap_or_default();
    let svg = if drawn { with_own_ids(svg, &format!("figure-{number}-")) } else { escaped(svg) };
    let caption = escaped(&figure.caption);
    // What scrolls must be reachable without a mouse.
    push(
        html,
        format_args!(
            "<figure>\n<div class=\"drawing\" tabindex=\"0\"{width}>{svg}</div>\n<figcaption>{caption}</figcaption>\n</figure>\n"
        ),
    );
}

/// The width in pixels at which a drawing's smallest letters can be read.
fn readable_width(svg: &str) -> Option<f64> {
    let after = |text: &str, name: &str| text.split_once(name).and_then(|(_, rest)| rest.split('"').next().map(str::to_owned));
    let width: f64 = after(svg, "viewBox=\"")?.split_whitespace().nth(2)?.parse().ok()?;
    let sizes = svg.split("font-size=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok());
    let least = sizes.filter(|size| *size > 0.0).fold(f64::INFINITY, f64::min);
    Some((width * LEAST_LETTER / least).ceil()).filter(|width| *width >= 1.0 && width.is_finite())
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
    let long = |column: usize| table.rows.iter().any(|row| row.get(column).is_some_and(|cell| cell.chars().count() > LONG_CELL));
    let classes: Vec<&str> = (0..columns)
        .map(|column| {
            if numeric[column] {
                " class=\"number\""
            } else if long(column) {
                " class=\"text\""
            } else {
                ""
            }
        })
        .collect();
    let class = |column: usize| classes[column];
    let line = |tag: &str, cells: &[String]| -> String {
        let cell = |column: usize| {
            let text = cells.get(column).map_or(String::new(), |text| escaped(text));
            format!("<{tag}{}>{text}</{}>", class(column), tag.split(' ').next().unwrap_or(tag))
        };
        format!("<tr>{}</tr>\n", (0..columns).map(cell).collect::<String>())
    };
    let body: String = table.rows.iter().map(|row| line("td", row)).collect();
    let head = line("th scope=\"col\"", &table.header);
    let title = escaped(&table.title);
    let (before, caption, after) = match (table.folded, title.is_empty()) {
        (true, true) => (format!("<details>\n<summary>{} rows</summary>\n", table.rows.len()), String::new(), "</details>\n"),
        (true, false) => {
            (format!("<details>\n<summary>{title} ({} rows)</summary>\n", table.rows.len()), String::new(), "</details>\n")
        }
        (false, true) => (String::new(), String::new(), ""),
        (false, false) => (String::new(), format!("<caption>{title}</caption>\n"), ""),
    };
    push(
        html,
        format_args!(
            "{before}<div class=\"table\" tabindex=\"0\">\n<table>\n{caption}<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n{after}"
        ),
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
            about: text(evil),
            asked: vec![text(evil)],
            found: vec![text(evil)],
            sections: vec![
                Section {
                    heading: text(evil),
                    paragraphs: vec![text(evil)],
                    figure: Some(Figure { svg: text(evil), caption: text(evil) }),
                    tables: vec![Table {
                        title: text(evil),
                        folded: true,
                        header: vec![text(evil)],
                        rows: vec![vec![text(evil)]],
                    }],
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
        assert_eq!(html.matches("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;").count(), 5 + 3 * 15);
    }

    #[test]
    fn figures_go_in_as_they_are_and_nothing_comes_from_outside() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><text>KL</text></svg>";
        let figure = |svg: &str| Some(Figure { svg: text(svg), caption: text("what & why") });
        let section = |svg| Section { heading: text("Frontier"), figure: figure(svg), ..Section::default() };
        let html = page(&Page { title: text("t"), sections: vec![section(svg)], ..Page::default() });
        assert!(html.contains(svg) && html.contains("what &amp; why"));
        assert!(!html.contains("src=") && !html.contains("@import") && !html.contains("<link"));
        let bad = page(&Page { title: text("t"), sections: vec![section("<svg><script>x</script></svg>")], ..Page::default() });
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
        let html = page(&Page {
            title: text("t"),
            sections: vec![Section { blocks: vec![block], ..Section::default() }],
            ..Page::default()
        });
        let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part}"));
        assert!(at("<p class=\"prompt\">why?</p>") < at("<h3>A: DPO</h3><p>a\nb</p>"));
        assert!(at("A: DPO</h3>") < at("<h3>B: SFT<span class=\"flag\">degenerate</span></h3>"));
        assert!(at("B: SFT") < at("<dt>Verdict</dt><dd>A</dd>"));
    }

    #[test]
    fn a_drawing_is_as_wide_as_its_smallest_letters_need() {
        let svg = "<svg viewBox=\"0 0 8000 4800\"><text font-size=\"110\">a</text><text font-size=\"100\">b</text></svg>";
        assert_eq!(readable_width(svg), Some(960.0));
        assert_eq!(readable_width("<svg viewBox=\"0 0 10 10\"></svg>"), None);
    }

    #[test]
    fn a_folded_table_says_how_long_it_is() {
        let table = Table { title: text("all"), folded: true, header: vec![text("a")], rows: vec![vec![text("1")]; 3] };
        let html = page(&Page { sections: vec![Section { tables: vec![table], ..Section::default() }], ..Page::default() });
        assert!(html.contains("<details>\n<summary>all (3 rows)</summary>") && !html.contains("<caption>"));
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let rows = vec![vec![text("dpo"), text("0.93 ± 0.01"), text("–")], vec![text("ppo-1"), text("−3e-5")]];
        let table = Table { header: vec![text("method"), text("reward"), text("kl")], rows, ..Table::default() };
        let section = Section { tables: vec![table], ..Section::default() };
        let html = page(&Page { title: text("t"), sections: vec![section], ..Page::default() });
        assert!(html.contains("<td>dpo</td><td class=\"number\">0.93 ± 0.01</td><td>–</td>"), "{html}");
        assert!(html.contains("<td>ppo-1</td><td class=\"number\">−3e-5</td><td></td>"));
        assert!(html.contains("<th scope=\"col\" class=\"number\">reward</th>"));
    }
}
