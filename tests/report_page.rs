//! report.html in a real browser: of a small study, and of texts that would like to be more than text. Skipped where no Chromium is
//! installed. `DPO_LAB_SCREENSHOTS=DIR` keeps pictures; `DPO_LAB_REPORTS=FILE,...` looks at these reports instead of the study's.

#[allow(dead_code, reason = "other pages are filled in; this one is only read")]
mod browser;

use browser::{Page, browser_or_skip, complaints, from_base64};
use dpo_lab::report::html::{self, Block, Column, Figure, Section, Table};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

const WIDTHS: [u32; 2] = [390, 1280];

const STUDY: &str = r#"
name = "page"
[base]
steps = 4
batch_sequences = 4
[sft]
steps = 2
batch_sequences = 4
[task.sentiment]
prompts = 24
labels = "bradley-terry"
max_new_tokens = 8
[training]
steps = 4
batch_pairs = 8
checkpoint_every = 2
[method.dpo]
beta = [0.1, 1.0]
[method.best_of_n]
n = [1, 4]
[evaluation]
every = 2
prompts = 12
max_new_tokens = 8
optimum_samples = 8
[judge.length]
"#;

/// Sizes of letters as they are seen, in pixels, and where the smallest are; what is not seen has none.
const LETTERS: &str = "(() => { let least = [1e9, '']; const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); \
    while (walk.nextNode()) { const e = walk.currentNode.parentElement; if (!walk.currentNode.data.trim()) continue; \
    if (!e.getClientRects().length || e.closest('title')) continue; \
    const size = parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM ? e.getScreenCTM().a || Math.abs(e.getScreenCTM().b) : 1); \
    if (size < least[0]) least = [size, walk.currentNode.data.trim().slice(0, 40)] } return least })()";

/// At both widths: the page is not wider than the window, its letters can be read on the narrow one, and pictures are kept.
fn look(page: &mut Page, name: &str) {
    for width in WIDTHS {
        page.resize(width, 900);
        for open in [false, true] {
            page.value(&format!("document.querySelectorAll('details').forEach(it => it.open = {open})"));
            let widest = page.value("document.documentElement.scrollWidth").as_u64().expect("a number");
            assert!(widest <= width.into(), "{name}: {widest} pixels in {width}");
            let letters = page.value(LETTERS);
            let least = letters[0].as_f64().expect("a size");
            assert!(width > 390 || least >= 11.99, "{name}: letters of {least} pixels at {width}: {}", letters[1]);
        }
        page.value("document.querySelectorAll('details').forEach(it => it.open = false)");
        if let Some(folder) = std::env::var_os("DPO_LAB_SCREENSHOTS").map(PathBuf::from) {
            let whole = json!({ "captureBeyondViewport": true, "format": "png", "clip": {
                "x": 0, "y": 0, "width": width, "scale": 1, "height": page.value("document.documentElement.scrollHeight") } });
            let picture = page.call("Page.captureScreenshot", whole)["data"].as_str().unwrap_or_default().to_owned();
            std::fs::write(folder.join(format!("{name}-{width}.png")), from_base64(&picture)).expect("written");
        }
    }
    let ids =
        "(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id); return ids.length - new Set(ids).size })()";
    assert_eq!(page.value(ids), 0, "{name}: ids that are there twice");
}

fn open(browser: &Path, folder: &Path, file: &Path) -> (Page, String) {
    let address = format!("file://{}", file.display());
    let mut page = Page::start(browser, folder);
    page.load(Some(&address));
    (page, address)
}

/// The report of a study that is as small as one can be.
fn drawn(folder: &Path) -> PathBuf {
    std::fs::write(folder.join("study.toml"), STUDY).expect("written");
    let run = Command::new(env!("CARGO_BIN_EXE_dpo-lab")).args(["run", "study.toml", "-q"]).current_dir(folder).output();
    let output = run.expect("dpo-lab starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("results/page/report.html")
}

#[test]
fn a_report_can_be_read_on_every_screen_and_asks_nobody_for_anything() {
    let Some(browser) = browser_or_skip() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> = match std::env::var("DPO_LAB_REPORTS") {
        Ok(named) => named.split(',').map(PathBuf::from).collect(),
        Err(_) => vec![drawn(folder.path())],
    };
    for file in files {
        let (mut page, address) = open(&browser, folder.path(), &file);
        let study = file.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("a study").to_owned();
        assert_eq!(page.value("document.querySelector('h1').textContent"), format!("Study: {study}"));
        let headings = page.value("[...document.querySelectorAll('h2')].map(e => e.textContent).join()");
        for wanted in ["Summary", "Reward and KL", "Samples", "Departures from the paper", "Choices", "Provenance"] {
            assert!(headings.as_str().is_some_and(|all| all.contains(wanted)), "{wanted}: {headings}");
        }
        assert!(page.value("document.querySelectorAll('.summary li').length").as_u64() >= Some(3));
        look(&mut page, &study);
        assert_eq!(complaints(&page, &address), Vec::<String>::new());
    }
}

#[test]
fn texts_that_would_like_to_be_more_than_text_are_shown_as_text() {
    let Some(browser) = browser_or_skip() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let evil = "<script>window.evil = 1</script><img src=x onerror='evil=1'></p></table>\"'&amp; \u{202e}txt.exe\u{2066} שלום \u{0}\u{1b}[31m \
                z\u{335}\u{336}a\u{337} 👩‍👩‍👧 <style>body{display:none}</style>";
    let text = || evil.to_owned();
    let long = format!("{evil} {}", "unbroken".repeat(400));
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"90\" viewBox=\"0 0 8000 900\"><clipPath id=\"a\">\
               <rect width=\"8000\" height=\"900\"/></clipPath><g clip-path=\"url(#a)\"><text y=\"500\" font-size=\"95\">KL</text></g></svg>";
    let section = || Section {
        heading: text(),
        paragraphs: vec![long.clone()],
        figure: Some(Figure { svg: svg.to_owned(), caption: text() }),
        tables: vec![
            Table { title: text(), folded: true, header: vec![text(); 9], rows: vec![vec![long.clone(); 9]; 20] },
            Table { rows: vec![vec![text()]], ..Table::default() },
        ],
        blocks: vec![Block {
            prompt: long.clone(),
            columns: vec![Column { heading: text(), flag: text(), text: long.clone() }; 2],
            notes: vec![(text(), long.clone())],
        }],
        list: vec![long.clone()],
    };
    let sections = vec![section(), section(), section()];
    let report = html::Page { title: text(), about: text(), asked: vec![text()], found: vec![text()], sections };
    let file = folder.path().join("report.html");
    std::fs::write(&file, html::page(&report)).expect("written");
    let (mut page, address) = open(&browser, folder.path(), &file);
    assert_eq!(page.value("typeof window.evil + document.images.length + document.scripts.length"), "undefined00");
    let heading = page.value("document.querySelector('h1').textContent");
    let heading = heading.as_str().expect("a text");
    assert!(heading.starts_with("<script>window.evil = 1</script><img") && heading.contains("[U+202E]txt.exe[U+2066] שלום"));
    look(&mut page, "hostile");
    assert_eq!(complaints(&page, &address), Vec::<String>::new());
}
