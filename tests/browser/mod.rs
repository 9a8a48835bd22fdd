//! A headless Chromium, driven through the DevTools protocol over two pipes: messages are JSON, each ended by a zero byte.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The browser: `DPO_LAB_CHROMIUM`, or the first that the path has.
fn installed() -> Option<PathBuf> {
    let named = std::env::var_os("DPO_LAB_CHROMIUM").map(PathBuf::from);
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    named
        .or_else(|| names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file()))
}

/// The browser; without one the reason that a test is skipped is told.
pub fn browser_or_skip() -> Option<PathBuf> {
    let browser = installed();
    if browser.is_none() {
        // Past the test runner's capture: a skipped test is always told.
        let why = "skipped: chromium is not installed; apt-get install chromium, or name one in DPO_LAB_CHROMIUM";
        let _ = writeln!(std::io::stderr(), "{why}");
    }
    browser
}

/// One page of a running browser.
pub struct Page {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    sent: u64,
    /// Everything that the browser told without being asked.
    pub events: Vec<Value>,
}

impl Page {
    /// Starts the browser; `folder` holds its profile, and downloads go to `folder/downloads`.
    pub fn start(browser: &Path, folder: &Path) -> Self {
        // The protocol's pipes are descriptors 3 and 4: the shell moves standard input and output there.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let (sender, messages) = channel();
        let output = BufReader::new(process.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap_or_default());
            }
        });
        let input = process.stdin.take().expect("piped");
        let mut page = Page { process, input, messages, session: None, sent: 0, events: Vec::new() };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = page.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        let downloads = json!({"behavior": "allow", "downloadPath": folder.join("downloads"), "eventsEnabled": true});
        page.call("Browser.setDownloadBehavior", downloads);
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page
    }

    /// Calls a method of the protocol and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser listens");
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.sent {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            assert!(begun.elapsed() < PATIENCE, "never true: {expression}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Opens an address, or reloads the page without one.
    pub fn load(&mut self, address: Option<&str>) {
        // The old page's mark shows when the new one is there.
        self.value("window.old = true");
        match address {
            Some(address) => self.call("Page.navigate", json!({"url": address})),
            None => self.call("Page.reload", json!({})),
        };
        self.wait("window.old !== true && document.readyState === 'complete'");
    }

    /// Shows the page in a window of this size, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Clicks where an element is, with the mouse.
    pub fn click(&mut self, id: &str) {
        let place = self.value(&format!(
            "(() => {{ const e = document.getElementById('{id}'); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key by its name in the protocol.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key}));
        }
    }

    /// Writes a text where the cursor is.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// The window's picture, as base64 of a PNG.
    pub fn picture(&mut self) -> String {
        self.call("Page.captureScreenshot", json!({}))["data"].as_str().unwrap_or_default().to_owned()
    }
}

/// What the page complained of, and the addresses it asked for beyond its own.
pub fn complaints(page: &Page, address: &str) -> Vec<String> {
    let told = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.requestWillBeSent"];
    let asked = |event: &Value| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned();
    let own = |url: &str| url == address || url.starts_with("blob:");
    let bad = page.events.iter().filter(|event| told.iter().any(|method| event["method"] == *method) && !own(&asked(event)));
    bad.map(ToString::to_string).collect()
}

/// The bytes of a base64 text without line breaks.
pub fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let six = text.bytes().filter_map(|letter| digits.iter().position(|&digit| digit == letter)).collect::<Vec<_>>();
    let three = six.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, six| bits << 6 | six) << (6 * (4 - four.len()));
        [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8].into_iter().take(four.len() * 6 / 8)
    });
    three.collect()
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
