//! The real client against a hub on loopback.

mod server;

use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use server::{COMMIT, Fake, Reply, Server};
use tempfile::TempDir;

use super::*;

const CONFIG: &[u8] = br#"{"model_type": "gpt2"}"#;
const BODY: &[u8] = b"weights, as far as this test is concerned";
const TOKEN: &str = "hf_secret";

fn hub(endpoint: &str, cache: &Path, token: Option<&str>, offline: bool) -> Hub {
    let (cache, token) = (cache.to_owned(), token.map(str::to_owned));
    Hub::with(Settings { cache, endpoint: endpoint.to_owned(), token, offline, pause: Duration::from_millis(1) })
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn quiet(_: Progress) {}

/// The error of fetching `hub:o/m` from a hub, and all of what it says.
fn complaint(fake: &Fake, token: Option<&str>) -> (Error, String) {
    let cache = TempDir::new().unwrap();
    let error = hub(&fake.hub.url(), cache.path(), token, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains(TOKEN) && !text.contains("signature"), "{text}");
    (error, text)
}

fn small_model() -> Fake {
    let files = [("config.json", CONFIG), ("README.md", b"".as_slice()), ("model.safetensors", BODY), ("merges.txt", b"")];
    Fake::start("o/m", "main", &files)
}

#[test]
fn a_model_is_fetched_once_and_then_comes_from_the_cache() {
    let (fake, cache) = (small_model(), TempDir::new().unwrap());
    let mut seen = Vec::new();
    let online = hub(&fake.hub.url(), cache.path(), None, false);
    let snapshot = online.model(&name("hub:o/m"), &mut |progress| seen.push(progress)).unwrap();
    assert_eq!(snapshot.revision, COMMIT);
    // The layout that all tools of the hub share.
    let repository = cache.path().join("models--o--m");
    assert_eq!(snapshot.folder, repository.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(files_below(&snapshot.folder).unwrap(), ["config.json", "merges.txt", "model.safetensors"]);
    assert_eq!(std::fs::read(snapshot.folder.join("model.safetensors")).unwrap(), BODY);
    assert_eq!(std::fs::read(snapshot.folder.join("config.json")).unwrap(), CONFIG);
    let link = std::fs::read_link(snapshot.folder.join("config.json")).unwrap();
    assert_eq!(link, Path::new("../../blobs/small-0"));
    let end = Progress { file: "model.safetensors".into(), done: BODY.len() as u64, total: Some(BODY.len() as u64) };
    assert_eq!(seen.last(), Some(&end));
    assert!(seen.contains(&Progress { done: 0, ..end }));

    // Again: only the list is asked for. A file that is gone comes again.
    fake.hub.seen();
    assert_eq!(online.model(&name("hub:o/m"), &mut quiet).unwrap(), snapshot);
    assert_eq!(fake.hub.seen().len(), 1);
    std::fs::remove_file(repository.join("blobs/small-0")).unwrap();
    assert_eq!(online.model(&name("hub:o/m"), &mut quiet).unwrap(), snapshot);
    assert_eq!(std::fs::read(snapshot.folder.join("config.json")).unwrap(), CONFIG);

    let url = fake.hub.url();
    drop(fake);
    assert_eq!(hub(&url, cache.path(), None, true).model(&name("hub:o/m"), &mut quiet).unwrap(), snapshot);
    let pinned = format!("hub:o/m@{COMMIT}");
    assert_eq!(hub(&url, cache.path(), None, true).model(&name(&pinned), &mut quiet).unwrap(), snapshot);
    // With the server gone and not offline, the network is to blame.
    let error = hub(&url, cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    assert!(
        matches!(&error, Error::Other(text) if text.contains("after three tries") && text.contains("check the network")),
        "{error}"
    );
    // Offline, what is not in the cache is named.
    let error = hub(&url, cache.path(), None, true).model(&name("hub:o/other@v1"), &mut quiet).unwrap_err().to_string();
    assert!(error.starts_with("hub:o/other (revision v1): it is not in the cache /"), "{error}");
    let error = hub(&url, cache.path(), None, true).dataset(&name("hub:o/m"), &mut quiet).unwrap_err().to_string();
    assert!(error.starts_with("hub:o/m (revision main): it is not in the cache /"), "{error}");
}

#[test]
fn a_large_model_has_shards() {
    let index = br#"{"metadata": {}, "weight_map": {"b": "model-2.safetensors", "a": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
    let files =
        [("model.safetensors.index.json", index.as_slice()), ("model-1.safetensors", b"one"), ("model-2.safetensors", b"two")];
    let (fake, cache) = (Fake::start("o/m", "v2", &files), TempDir::new().unwrap());
    let snapshot = hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m@v2"), &mut quiet).unwrap();
    let found = ["model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json"];
    assert_eq!(files_below(&snapshot.folder).unwrap(), found);
    let offline = hub("http://127.0.0.1:9", cache.path(), None, true);
    assert_eq!(offline.model(&name("hub:o/m@v2"), &mut quiet).unwrap(), snapshot);
    std::fs::remove_file(snapshot.folder.join("model-2.safetensors")).unwrap();
    let error = offline.model(&name("hub:o/m@v2"), &mut quiet).unwrap_err().to_string();
    assert!(error.starts_with("hub:o/m (revision v2): its shard model-2.safetensors is not in the cache"), "{error}");
}

#[test]
fn names_that_come_from_a_repository_are_not_trusted() {
    for (shard, why) in [
        ("../../x.safetensors", "is not the plain name"),
        ("/x/y.safetensors", "is not the plain name"),
        ("a/b.safetensors", "is not the plain name"),
        ("x.py", "is not the plain name"),
        ("gone.safetensors", "has no gone.safetensors"),
    ] {
        let index = format!(r#"{{"weight_map": {{"a": {shard:?}}}}}"#);
        let fake = Fake::start("o/m", "main", &[("model.safetensors.index.json", index.as_bytes())]);
        let (error, text) = complaint(&fake, None);
        assert!(matches!(error, Error::Data(_)) && text.contains(why), "{text}");
    }
    for index in ["", "[]", "{}", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 1}}"#] {
        let fake = Fake::start("o/m", "main", &[("model.safetensors.index.json", index.as_bytes())]);
        assert!(matches!(complaint(&fake, None).0, Error::Data(_)));
    }
    let (fake, cache) = (Fake::start("datasets/o/d", "main", &[("/x/y.parquet", BODY)]), TempDir::new().unwrap());
    let error = hub(&fake.hub.url(), cache.path(), None, false).dataset(&name("hub:o/d"), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("leads out of its folder"), "{error}");
    // What the hub itself says is checked as well.
    let fake = small_model();
    fake.fail("HEAD", "config.json", Reply::ok("").with("ETag", "\"../../../x\""));
    let text = complaint(&fake, None).1;
    assert!(
        text.starts_with("cannot download config.json of hub:o/m (revision main) from http://127") && text.contains("etag"),
        "{text}"
    );
    for body in ["<html>", "{}", r#"{"sha": "../..", "siblings": []}"#] {
        fake.fail("GET", "/api/", Reply::ok(body));
        let text = complaint(&fake, None).1;
        assert!(text.contains("is not a list of files") && text.contains("HF_ENDPOINT"), "{text}");
    }
}

#[test]
fn a_data_set_is_parquet_or_text_or_what_the_hub_converts() {
    let files =
        [("README.md", BODY), ("data/test-00000-of-00001.parquet", b"test"), ("data/train-00000-of-00001.parquet", b"train")];
    let (fake, cache) = (Fake::start("datasets/o/d", "main", &files), TempDir::new().unwrap());
    let (snapshot, paths) = hub(&fake.hub.url(), cache.path(), None, false).dataset(&name("hub:o/d"), &mut quiet).unwrap();
    assert_eq!(snapshot.folder, cache.path().join("datasets--o--d/snapshots").join(COMMIT));
    assert_eq!(paths.iter().map(|path| split_of(path).unwrap()).collect::<Vec<_>>(), ["test", "train"]);
    assert_eq!(std::fs::read(&paths[1]).unwrap(), b"train");
    let link = std::fs::read_link(&paths[1]).unwrap();
    assert!(link.starts_with("../../../blobs"), "{link:?}");
    let offline = hub("http://127.0.0.1:9", cache.path(), None, true);
    assert_eq!(offline.dataset(&name("hub:o/d"), &mut quiet).unwrap(), (snapshot, paths));

    let fake = Fake::start("datasets/o/t", "main", &[("t.py", BODY), ("a b/train.jsonl", b"{}"), ("dataset_infos.json", b"{}")]);
    // The name in an address is escaped, which the fake hub does not undo.
    let error = hub(&fake.hub.url(), cache.path(), None, false).dataset(&name("hub:o/t"), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("a b/train.jsonl of hub:o/t"), "{error}");
    assert!(fake.hub.seen().iter().any(|request| request.path.ends_with("/a%20b/train.jsonl")));

    // A loading script only: the branch that the hub converts to.
    let fake = Fake::start("datasets/o/s", "refs/convert/parquet", &[("default/train/0000.parquet", b"rows")]);
    let script = serde_json::json!({ "sha": COMMIT, "siblings": [{ "rfilename": "s.py" }] }).to_string();
    fake.fail("GET", "revision/main", Reply::ok(script.clone()));
    let converted = hub(&fake.hub.url(), cache.path(), None, false).dataset(&name("hub:o/s"), &mut quiet).unwrap();
    assert_eq!(split_of(&converted.1[0]).as_deref(), Some("train"));
    assert_eq!(offline.dataset(&name("hub:o/s"), &mut quiet).unwrap(), converted);
    let fake = Fake::start("datasets/o/x", "main", &[("s.py", BODY)]);
    let error = hub(&fake.hub.url(), cache.path(), None, false).dataset(&name("hub:o/x"), &mut quiet).unwrap_err();
    assert!(matches!(&error, Error::Data(text) if text.contains("and the hub has no Parquet copy")), "{error}");
    let fake = Fake::start("datasets/o/x", "v1", &[("s.py", BODY)]);
    let error = hub(&fake.hub.url(), cache.path(), None, false).dataset(&name("hub:o/x@v1"), &mut quiet).unwrap_err();
    assert!(matches!(&error, Error::Data(text) if text.starts_with("hub:o/x (revision v1) has no Parquet")), "{error}");
}

#[test]
fn a_pinned_commit_is_that_commit() {
    let cache = TempDir::new().unwrap();
    let fake = Fake::start("o/m", COMMIT, &[("model.safetensors", BODY)]);
    let pinned = format!("hub:o/m@{COMMIT}");
    let snapshot = hub(&fake.hub.url(), cache.path(), None, false).model(&name(&pinned), &mut quiet).unwrap();
    assert_eq!(snapshot.revision, COMMIT);
    assert!(!cache.path().join("models--o--m/refs").exists());
    assert_eq!(hub(&fake.hub.url(), cache.path(), None, true).model(&name(&pinned), &mut quiet).unwrap(), snapshot);
    let other = "f".repeat(40);
    let fake = Fake::start("o/m", &other, &[("model.safetensors", BODY)]);
    let error =
        hub(&fake.hub.url(), cache.path(), None, false).model(&name(&format!("hub:o/m@{other}")), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("it is about commit 0123"), "{error}");
}

#[test]
fn refusals_say_what_to_do() {
    let fake = small_model();
    for (code, reason, token, expected) in [
        (404, "RepoNotFound", None, "the hub has no model hub:o/m (revision main): check the name, and that it is no data set"),
        (404, "RevisionNotFound", None, "hub:o/m has no revision \"main\": see http://127"),
        (404, "", None, "the hub has no model hub:o/m (revision main), or not this revision of it (HTTP 404)"),
        (401, "RepoNotFound", None, "set HF_TOKEN to a token that may read it"),
        (401, "", Some(TOKEN), "check that the token (HF_TOKEN, or the file `token` in HF_HOME) is valid"),
    ] {
        fake.fail("GET", "/api/", Reply::status(code).with("X-Error-Code", reason));
        let (error, text) = complaint(&fake, token);
        assert!(matches!(error, Error::Usage(_)) && text.contains(expected), "{text}");
    }
    fake.fail("HEAD", "config.json", Reply::status(403).with("X-Error-Code", "GatedRepo"));
    let text = complaint(&fake, Some(TOKEN)).1;
    assert!(
        text.starts_with("the hub refuses config.json of hub:o/m (revision main): the model is gated; accept its licence at"),
        "{text}"
    );
    fake.fail("HEAD", "config.json", Reply::status(404).with("X-Error-Code", "EntryNotFound"));
    let text = complaint(&fake, None).1;
    assert!(text.starts_with("the hub does not find config.json of hub:o/m (revision main) (HTTP 404)"), "{text}");
    fake.fail("GET", "/api/", Reply::status(418));
    let (error, text) = complaint(&fake, None);
    assert!(matches!(error, Error::Other(_)) && text.contains("HTTP 418"), "{text}");

    let fake = Fake::start("o/m", "main", &[("config.json", CONFIG), ("pytorch_model.bin", BODY)]);
    let (error, text) = complaint(&fake, None);
    assert!(
        matches!(error, Error::Data(_)) && text.contains("pytorch_model.bin") && text.contains("safetensors weights are needed"),
        "{text}"
    );
    let (error, text) = complaint(&Fake::start("o/m", "main", &[("config.json", CONFIG)]), None);
    assert!(matches!(error, Error::Data(_)) && text.contains("has neither model.safetensors nor"), "{text}");
}

#[test]
fn a_server_that_fails_is_asked_three_times() {
    let (fake, cache) = (small_model(), TempDir::new().unwrap());
    for (method, path) in [("GET", "/api/"), ("HEAD", "config.json"), ("GET", "config.json"), ("GET", "/kept/2")] {
        fake.fail(method, path, Reply::status(500));
        fake.fail(method, path, Reply::status(429));
    }
    hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap();

    let server = Server::start(|_| Some(Reply::status(503)));
    let error = hub(&server.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    assert!(matches!(&error, Error::Other(text) if text.contains("(HTTP 503), three times: try again later")), "{error}");
    assert_eq!(server.seen().len(), 3);
    // What another try does not change is asked once.
    let server = Server::start(|_| Some(Reply::status(404)));
    hub(&server.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    assert_eq!(server.seen().len(), 1);
    // A circle of redirects ends.
    let server = Server::start(|_| Some(Reply::status(302).with("Location", "/again")));
    let error = hub(&server.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("leads on more than 8 times"), "{error}");
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let (fake, cache) = (small_model(), TempDir::new().unwrap());
    let cut = |bytes| Reply { cut: Some(bytes), ..Reply::ok(BODY) };
    for bytes in [10, 5, 0] {
        fake.fail("GET", "/kept/2", cut(bytes));
    }
    let online = hub(&fake.hub.url(), cache.path(), None, false);
    let error = online.model(&name("hub:o/m"), &mut quiet).unwrap_err();
    let start = "cannot download model.safetensors of hub:o/m (revision main) from http://127";
    assert!(
        matches!(&error, Error::Other(text) if text.starts_with(start) && text.contains("goes on from what has arrived")),
        "{error}"
    );
    // Nothing looks whole: no snapshot, no reference, and 15 bytes under another name.
    let repository = cache.path().join("models--o--m");
    assert!(!repository.join("snapshots").exists() && !repository.join("refs").exists());
    let partial = files_below(&repository.join("blobs")).unwrap().into_iter().find(|name| name.ends_with(".incomplete")).unwrap();
    assert_eq!(std::fs::read(repository.join("blobs").join(&partial)).unwrap(), &BODY[..15]);

    fake.cdn.seen();
    let mut first = None;
    let snapshot = online.model(&name("hub:o/m"), &mut |progress| first = first.take().or(Some(progress.done))).unwrap();
    assert_eq!(first, Some(15));
    assert_eq!(fake.cdn.seen()[0].header("range"), Some("bytes=15-"));
    assert_eq!(std::fs::read(snapshot.folder.join("model.safetensors")).unwrap(), BODY);
    assert!(!repository.join("blobs").join(partial).exists());
}

#[test]
fn a_slow_but_steady_download_has_more_than_three_tries() {
    let body = vec![7; 5 << 20];
    let (fake, cache) = (Fake::start("o/m", "main", &[("model.safetensors", &body)]), TempDir::new().unwrap());
    for _ in 0..4 {
        fake.fail("GET", "/kept/0", Reply { cut: Some(5 << 18), ..Reply::ok(body.clone()) });
    }
    let snapshot = hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap();
    assert!(std::fs::read(snapshot.folder.join("model.safetensors")).unwrap() == body);
    assert!(fake.cdn.seen().len() >= 4);
}

#[test]
fn encryption_is_set_up_and_failing_it_is_an_error() {
    let (server, cache) = (Server::start(|_| Some(Reply::ok("no TLS"))), TempDir::new().unwrap());
    let endpoint = server.url().replace("http:", "https:");
    let error = hub(&endpoint, cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    assert!(matches!(&error, Error::Other(text) if text.contains("after three tries")), "{error}");
}

#[test]
fn a_partial_file_that_is_of_no_use_is_started_again() {
    let digest = ring::digest::digest(&ring::digest::SHA256, BODY);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let long = [BODY, BODY].concat();
    for partial in [b"wrong".as_slice(), &[0; BODY.len()], &long, BODY] {
        let (fake, cache) = (small_model(), TempDir::new().unwrap());
        let blobs = cache.path().join("models--o--m/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{digest}.incomplete")), partial).unwrap();
        let snapshot = hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap();
        assert_eq!(std::fs::read(snapshot.folder.join("model.safetensors")).unwrap(), BODY);
    }
    // A server that ignores the range, one that answers with another one, and one that has nothing more.
    for reply in [
        Reply::ok(BODY),
        Reply { status: 206, ..Reply::ok(BODY) }.with("Content-Range", "bytes 0-40/41"),
        Reply::status(416),
        Reply::ok([BODY, b"more"].concat()),
    ] {
        let (fake, cache) = (small_model(), TempDir::new().unwrap());
        fake.fail("GET", "/kept/2", Reply { cut: Some(7), ..Reply::ok(BODY) });
        fake.fail("GET", "/kept/2", reply);
        let snapshot = hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap();
        assert_eq!(std::fs::read(snapshot.folder.join("model.safetensors")).unwrap(), BODY);
    }
    // Content that is always wrong is never kept.
    let (fake, cache) = (small_model(), TempDir::new().unwrap());
    for _ in 0..3 {
        fake.fail("GET", "/kept/2", Reply::ok(vec![b'x'; BODY.len()]));
    }
    let error = hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("does not have the SHA-256 that the hub says"), "{error}");
    assert!(!cache.path().join("models--o--m/blobs").join(&digest).exists());
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    for token in [None, Some(TOKEN)] {
        let (fake, cache) = (small_model(), TempDir::new().unwrap());
        // An old name of the repository: the hub leads on within itself.
        fake.fail("GET", "/api/", Reply::status(307).with("Location", "/api/models/o/m/revision/main?new"));
        fake.fail("GET", "?new", Reply::status(307).with("Location", "/api/models/o/m/revision/main"));
        hub(&fake.hub.url(), cache.path(), token, false).model(&name("hub:o/m"), &mut quiet).unwrap();
        let expected = token.map(|token| format!("Bearer {token}"));
        let (to_hub, to_cdn) = (fake.hub.seen(), fake.cdn.seen());
        assert!(to_hub.len() > 5 && to_hub.iter().all(|request| request.header("authorization") == expected.as_deref()));
        assert!(!to_cdn.is_empty() && to_cdn.iter().all(|request| request.header("authorization").is_none()));
    }
}

#[test]
fn two_processes_do_not_write_the_same_partial_file() {
    let (fake, cache) = (small_model(), TempDir::new().unwrap());
    std::thread::scope(|scope| {
        let fetch = || hub(&fake.hub.url(), cache.path(), None, false).model(&name("hub:o/m"), &mut quiet).unwrap();
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        for run in runs {
            assert_eq!(std::fs::read(run.join().unwrap().folder.join("model.safetensors")).unwrap(), BODY);
        }
    });
    assert_eq!(fake.cdn.seen().len(), 1);
}

#[test]
fn processes_that_make_the_same_snapshot_at_once_do_not_take_it_from_each_other() {
    let cache = TempDir::new().unwrap();
    let (hub, name) = (hub("http://127.0.0.1:9", cache.path(), None, true), name("hub:o/m"));
    let repository = Repository::new(&hub, &name, true, "main").unwrap();
    let blob = cache.path().join("models--o--m/blobs/b");
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::write(&blob, BODY).unwrap();
    let files = [("config.json".to_owned(), blob)];
    for _ in 0..300 {
        let start = Barrier::new(4);
        let make = || {
            start.wait();
            let folder = repository.link(COMMIT, &files).unwrap().folder;
            assert_eq!(repository.cached().unwrap().folder, folder);
            std::fs::read(folder.join("config.json")).unwrap()
        };
        std::thread::scope(|scope| {
            let made: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            made.into_iter().for_each(|made| assert_eq!(made.join().unwrap(), BODY));
        });
        std::fs::remove_dir_all(cache.path().join("models--o--m/snapshots")).unwrap();
        std::fs::remove_dir_all(cache.path().join("models--o--m/refs")).unwrap();
    }
}

#[test]
fn a_name_that_was_not_parsed_is_checked_too() {
    let made = Name { repository: "../../x".to_owned(), revision: None };
    let cache = TempDir::new().unwrap();
    let error = hub("http://127.0.0.1:9", cache.path(), None, true).model(&made, &mut quiet).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}
