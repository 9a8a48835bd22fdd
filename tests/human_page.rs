//! A packet's page in a real browser: it is filled in, reloaded in the middle, saved and imported. Skipped where no Chromium is
//! installed. `DPO_LAB_SCREENSHOTS=DIR` keeps pictures of it.

mod browser;

use browser::{Page, browser_or_skip, complaints, from_base64};
use dpo_lab::human::{AnswerFile, Comparison, Key, Packet, files, import, packets, summary};
use dpo_lab::judges::Subject;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Two browsers at once lost what their pages stored, now and then.
static BROWSER: Mutex<()> = Mutex::new(());

const WIDE: (u32, u32) = (1280, 800);
const NARROW: (u32, u32) = (390, 844);
const POST: &str = "My neighbour keeps parking across my drive. I have asked twice, left a note once, and offered to paint a line. \
    He says the street is for everyone. Last week I missed a train because of it.\n\nI would like to stay on good terms, as we \
    share a garden wall and his daughter feeds our cat when we are away.";

fn export() -> (Vec<Packet>, Key) {
    let comparison = |prompt_index: usize| Comparison {
        study: "study".into(),
        run: "dpo-seed0".into(),
        method: "dpo".into(),
        step: 300,
        temperature: 1.0,
        prompt_index,
        prompt: if prompt_index == 3 { "</script><b>bold & \"quoted\"</b>".into() } else { format!("{prompt_index}. {POST}") },
        baseline: "reference".into(),
        policy_text: match prompt_index {
            5 => String::new(),
            6 => "long".repeat(200),
            _ => format!("Neighbour {prompt_index} blocks the drive; asking and a note did not help. How to stay friends?"),
        },
        baseline_text: format!("I missed train {prompt_index}. The street is for everyone, and so are trains, I suppose. 日本語"),
    };
    packets(&(0..12).map(comparison).collect::<Vec<_>>(), 0.0, 4)
}

/// The page's file, and where it is.
fn written(folder: &Path) -> (String, Packet, Key) {
    let (packets, key) = export();
    for (path, bytes) in files(&packets, &key, Subject::Summary).expect("files") {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, bytes).expect("written");
    }
    (format!("file://{}", folder.join("packets/packet-01.html").display()), packets[0].clone(), key)
}

/// Nothing is wider than the window, at both widths; and pictures for those who want them.
fn look(page: &mut Page, name: &str) {
    for (width, height) in [NARROW, WIDE] {
        page.resize(width, height);
        let widest = page.value("document.documentElement.scrollWidth").as_u64().expect("a number");
        assert!(widest <= width.into(), "{name}: {widest} pixels in {width}");
        if let Some(folder) = std::env::var_os("DPO_LAB_SCREENSHOTS").map(PathBuf::from) {
            std::fs::write(folder.join(format!("{name}-{width}.png")), from_base64(&page.picture())).expect("written");
        }
    }
}

/// The only file of a folder, as soon as it is complete.
fn downloaded(folder: &Path) -> PathBuf {
    let begun = Instant::now();
    loop {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        if let Some(path) = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "csv")) {
            return path;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing was saved");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_packet_is_filled_in_reloaded_saved_and_imported() {
    let Some(browser) = browser_or_skip() else { return };
    let _one_at_a_time = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let (address, packet, key) = written(folder.path());
    let mut page = Page::start(&browser, folder.path());
    page.load(Some(&address));
    look(&mut page, "start");
    page.click("name");
    page.write("Anna O'Brien, \"AB\"");
    page.click("enter");
    page.wait("!document.getElementById('judge').hidden");

    // With the mouse and with keys, at both widths; item 8 is skipped, item 1 is corrected, and the page is reloaded after 6.
    let choices = ["a", "b", "tie"];
    let mut wanted: BTreeMap<String, &str> = BTreeMap::new();
    for (at, item) in packet.items.iter().enumerate() {
        let shown = |id: &str| format!("document.getElementById('{id}').textContent");
        assert_eq!(page.value(&shown("progress")), format!("Item {} of 12, {} answered", at + 1, wanted.len()));
        assert_eq!(page.value(&shown("prompt")), item.prompt.as_str());
        let first = if item.first.is_empty() { "(empty)" } else { &item.first };
        let second = if item.second.is_empty() { "(empty)" } else { &item.second };
        assert_eq!((page.value(&shown("first")), page.value(&shown("second"))), (first.into(), second.into()));
        if at < 2 || item.first.len() > 500 || item.second.len() > 500 {
            look(&mut page, &format!("item-{}", at + 1));
        }
        let (width, height) = if at % 4 < 2 { WIDE } else { NARROW };
        page.resize(width, height);
        let choice = choices[at % 3];
        match at {
            7 => page.click("skip"),
            _ if at % 2 == 0 => page.click(choice),
            _ => page.press(&choice[..1]),
        }
        if at != 7 {
            wanted.insert(item.id.clone(), choice);
        }
        if at == 1 {
            page.press("ArrowLeft");
            page.click("back");
            assert_eq!(page.value("document.querySelector('[aria-pressed=true]').id"), "a");
            page.press("b");
            page.press("ArrowRight");
            wanted.insert(packet.items[0].id.clone(), "b");
        }
        if at == 5 {
            page.load(None);
        }
    }
    assert_eq!(page.value("document.getElementById('total').textContent"), "11 of 12 answered; 1 without an answer.");
    assert_eq!(page.value("document.getElementById('rater').value"), "Anna O'Brien, \"AB\"");
    look(&mut page, "end");
    page.click("save");
    page.wait("!document.getElementById('saved').hidden");
    look(&mut page, "saved");

    let path = downloaded(&folder.path().join("downloads"));
    assert_eq!(path.file_name().and_then(|name| name.to_str()), Some("packet-01-Anna-O-Brien-AB-.csv"));
    let imported = import(&[AnswerFile { bytes: std::fs::read(&path).expect("read"), path }], &key).expect("fine");
    let side = |choice: &str| match choice {
        "a" => Some(dpo_lab::human::Side::First),
        "b" => Some(dpo_lab::human::Side::Second),
        _ => None,
    };
    let got: BTreeMap<_, _> = imported.answers.iter().map(|answer| (answer.id.clone(), answer.choice)).collect();
    assert_eq!(got, wanted.iter().map(|(id, choice)| (id.clone(), side(choice))).collect());
    assert!(imported.answers.iter().all(|answer| answer.rater == "anna o'brien, \"ab\""));
    assert_eq!(imported.skipped[0].items, 1);
    let row = &summary(&imported.answers, &key, &[])[0];
    assert_eq!((row.answers, row.ties_dropped), (11, wanted.values().filter(|choice| **choice == "tie").count()));

    assert_eq!(complaints(&page, &address), Vec::<String>::new());
}

#[test]
fn a_browser_that_keeps_nothing_is_said_and_the_page_works() {
    let Some(browser) = browser_or_skip() else { return };
    let _one_at_a_time = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let (address, ..) = written(folder.path());
    let mut page = Page::start(&browser, folder.path());
    let without = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('none') } })";
    page.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({ "source": without }));
    page.load(Some(&address));
    assert_eq!(page.value("document.getElementById('notice').hidden"), false);
    page.click("name");
    page.write("ben");
    page.click("enter");
    page.press("a");
    assert_eq!(page.value("document.getElementById('progress').textContent"), "Item 2 of 12, 1 answered");
    look(&mut page, "notice");

    // Neither a second click nor a held key answers the next item.
    page.value("document.getElementById('b').dispatchEvent(new MouseEvent('click', { detail: 2 }))");
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'b', repeat: true }))");
    assert_eq!(page.value("document.getElementById('progress').textContent"), "Item 2 of 12, 1 answered");

    // The next rater at the same browser can begin anew.
    page.value("window.confirm = () => true; go(items.length)");
    page.click("clear");
    assert_eq!(page.value("document.getElementById('start').hidden"), false);
    page.click("name");
    page.write("carla");
    page.click("enter");
    assert_eq!(page.value("document.getElementById('progress').textContent"), "Item 1 of 12, 0 answered");
    assert_eq!(complaints(&page, &address), Vec::<String>::new());
}
