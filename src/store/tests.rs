use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    (folder, store)
}

fn key(text: &str) -> Key {
    Key::of(text)
}

fn publish(store: &Store, key: &Key, content: &str) {
    let draft = store.draft(key).expect("a draft");
    fs::create_dir(draft.folder().join("model")).expect("a folder");
    fs::write(draft.folder().join("model/a.txt"), content).expect("written");
    let manifest = Manifest {
        kind: "test".into(),
        label: "test".into(),
        parameters: Value::Null,
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        thinned: false,
        record: Record::default(),
    };
    draft.publish(manifest).expect("published");
}

use serde_json::Value;

#[test]
fn what_was_published_is_there_and_checked() {
    let (_folder, store) = store();
    let key = key("a");
    assert_eq!(store.state(&key), State::Absent);
    publish(&store, &key, "hello");
    assert_eq!(store.state(&key), State::Present);
    let (folder, manifest) = store.open_artifact(&key).expect("opened");
    assert_eq!(fs::read_to_string(folder.join("model/a.txt")).expect("read"), "hello");
    assert_eq!(manifest.files["model/a.txt"].bytes, 5);
    assert_eq!(store.keys(), vec![key]);
}

#[test]
fn a_changed_file_is_found_by_its_digest_and_moved_aside() {
    let (_folder, store) = store();
    let key = key("a");
    publish(&store, &key, "hello");
    fs::write(store.path(&key).join("model/a.txt"), "jello").expect("written");
    assert!(matches!(store.state(&key), State::Corrupt(why) if why.contains("digest")));
    let aside = store.set_aside(&key).expect("moved");
    assert!(aside.join("model/a.txt").exists());
    assert_eq!(store.state(&key), State::Absent);
}

#[test]
fn a_missing_file_and_a_damaged_manifest_are_corrupt() {
    let (_folder, store) = store();
    let (a, b) = (key("a"), key("b"));
    publish(&store, &a, "hello");
    publish(&store, &b, "hello");
    fs::remove_file(store.path(&a).join("model/a.txt")).expect("removed");
    fs::write(store.path(&b).join(MANIFEST), "{").expect("written");
    assert!(matches!(store.state(&a), State::Corrupt(_)));
    assert!(matches!(store.state(&b), State::Corrupt(_)));
    assert!(store.open_artifact(&b).is_err());
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let (folder, store) = store();
    let draft = store.draft(&key("a")).expect("a draft");
    fs::write(draft.folder().join("half"), "x").expect("written");
    drop(draft);
    assert_eq!(store.state(&key("a")), State::Absent);
    assert_eq!(fs::read_dir(folder.path().join(".store/drafts")).expect("read").count(), 0);
}

#[test]
fn a_newer_store_is_refused() {
    let (folder, _store) = store();
    fs::write(folder.path().join(".store/FORMAT"), "99\n").expect("written");
    let error = Store::open(folder.path()).expect_err("refused").to_string();
    assert!(error.contains("format 99") && error.contains("help:"), "{error}");
}

#[test]
fn a_lock_is_free_again_when_its_holder_is_gone() {
    let (_folder, store) = store();
    let work = store.work(&key("a"));
    work.create().expect("created");
    let go_on = std::sync::atomic::AtomicBool::new(false);
    let lock = work.lock(&go_on, || panic!("nobody has it")).expect("locked");
    let waited = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            store
                .work(&key("a"))
                .lock(&go_on, || waited.store(true, std::sync::atomic::Ordering::SeqCst))
                .map(|_| ())
                .expect("locked")
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(lock);
        other.join().expect("joined");
    });
    assert!(waited.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn what_a_file_says_is_a_key_is_one_or_an_error() {
    let read = |text: &str| serde_json::from_str::<Key>(&serde_json::json!(text).to_string());
    let key = "0a".repeat(32);
    assert_eq!(read(&key).unwrap().to_string(), key);
    for text in ["", "..", "../../x", "é", &"0".repeat(63), &format!("../{}", "0".repeat(61)), &"g".repeat(64)] {
        assert!(read(text).is_err(), "{text}");
    }
}
