//! Chat templates: from the messages of a conversation to the one text that a chat model was trained on.
//!
//! A template is a Jinja file that comes with the model. `transformers` renders it with Python's Jinja; here the crate
//! `minijinja` does, set up in the same way.

use super::special_tokens::{JsonFile, special_token_names};
use crate::bounded;
pub use crate::data::formats::Message;
use crate::error::{Doing, Error, Result};
use crate::guard::guarded;
use crate::watch::{Exceeded, Limits, Watched};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most steps that one rendering may take. Templates take some hundred for a message.
const MOST_STEPS: u64 = 10_000_000;
/// Greatest nesting, where a macro that calls itself counts 4 or more: far below what overflows the stack of a thread.
const MOST_NESTING: usize = 200;

/// What one rendering may take. A step can double a text, and look through one of any length, so that steps alone bound neither.
const LIMITS: Limits = Limits { memory: 512 << 20, time: Duration::from_secs(30) };

/// Longest source of a template, in bytes; those that models come with have up to 20,000.
const LONGEST_SOURCE: usize = 1 << 17;
/// Stack of the thread that compiles a template, in bytes. Only what is used takes memory.
const COMPILER_STACK: usize = 1 << 29;

/// A thread that renders values to text and is watched.
type Renderer = Watched<BTreeMap<String, Value>, Result<String>>;

/// The chat template of a model.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    /// Renders values.
    renderer: Arc<Mutex<Renderer>>,
    /// The file that the template is from.
    path: PathBuf,
    /// `bos_token` and the like.
    tokens: BTreeMap<String, Value>,
}

impl ChatTemplate {
    /// Reads the template of a model's folder: chat_template.jinja, or `chat_template` in tokenizer_config.json, where of
    /// several the one named "default" is taken. None if there is neither.
    ///
    /// Fails if a file is damaged, if several templates have no default, or if the template is not valid Jinja.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let Some((path, source)) = find(folder)? else { return Ok(None) };
        let names = special_token_names(folder)?.into_iter().filter(|(_, value)| !value.is_null());
        let tokens = names.map(|(name, value)| (name, Value::from(Serde(value)))).collect();
        Self::new(path, &source, tokens).map(Some)
    }

    fn new(path: PathBuf, source: &str, tokens: BTreeMap<String, Value>) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| describe(&path, &error))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_recursion_limit(MOST_NESTING);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_filter("length", length);
        environment.add_filter("count", length);
        environment.add_test("iterable", is_iterable);
        environment.add_test("sequence", is_sequence);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        let source = replace_generation_tags(source);
        // The compiler recurses over long chains of operators, so it gets a stack that the longest source cannot overflow.
        if source.len() > LONGEST_SOURCE {
            let what = format!("{} bytes long; at most {LONGEST_SOURCE} are read", source.len());
            return Err(Error::Data(format!("{}: chat template: {what}", path.display())));
        }
        std::thread::scope(|scope| {
            let compile = || without_panic(&path, || environment.add_template_owned("chat", source));
            let thread = std::thread::Builder::new().stack_size(COMPILER_STACK).spawn_scoped(scope, compile);
            let compiled = thread.doing("compile the chat template of", &path)?.join();
            compiled.map_err(|_| Error::Other(format!("{}: the compiler of chat templates failed", path.display())))?
        })?;
        let place = path.clone();
        let render = move |values: BTreeMap<String, Value>| {
            without_panic(&place, || environment.get_template("chat")?.render(Value::from(values)))
        };
        let renderer = Watched::start(LIMITS, render).doing("start a thread for the chat template of", &path)?;
        Ok(ChatTemplate { renderer: Arc::new(Mutex::new(renderer)), path, tokens })
    }

    /// Renders a conversation; with `add_generation_prompt`, up to where the assistant's next message begins.
    ///
    /// The text names the special tokens, the start of the sequence often among them:
    /// [`Tokenizer::encode_with_special`](super::Tokenizer::encode_with_special) reads it. A template with `strftime_now`
    /// writes today's date (in UTC) into it.
    ///
    /// Fails if the template refuses the messages, does what is not supported here, or does not come to an end. Where that is for
    /// its memory or its time, what it does goes on until the process ends, and no other rendering may follow.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.render_values(Value::from(Serde(messages)), add_generation_prompt)
    }

    fn render_values(&self, messages: Value, add_generation_prompt: bool) -> Result<String> {
        let mut context = self.tokens.clone();
        context.insert("messages".into(), messages);
        context.insert("add_generation_prompt".into(), add_generation_prompt.into());
        // Without tools and documents `transformers` passes None, which some templates tell from undefined.
        context.insert("tools".into(), Value::from(()));
        context.insert("documents".into(), Value::from(()));
        let renderer = self.renderer.lock().unwrap_or_else(PoisonError::into_inner);
        renderer.ask(context).unwrap_or_else(|exceeded| Err(self.given_up(exceeded)))
    }
}

impl ChatTemplate {
    fn given_up(&self, exceeded: Exceeded) -> Error {
        let what = match exceeded {
            Exceeded::Memory => {
                format!("takes more than {} MiB of memory; look for a text that it makes longer and longer", LIMITS.memory >> 20)
            }
            Exceeded::Time => format!("does not end within {} s; look for a loop that is too long", LIMITS.time.as_secs()),
            Exceeded::Gone => "was given up before".to_owned(),
        };
        Error::Data(format!("{}: chat template: {what}", self.path.display()))
    }
}

/// The file of a template and its text.
fn find(folder: &Path) -> Result<Option<(PathBuf, String)>> {
    let path = folder.join("chat_template.jinja");
    match bounded::read(&path, bounded::SETTINGS) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        source => {
            let source = String::from_utf8(source.doing("read", &path)?);
            let not_text = |_| Error::Data(format!("{}: chat template: not UTF-8; get the file again", path.display()));
            return source.map_err(not_text).map(|source| Some((path.clone(), source)));
        }
    }
    let JsonFile { path, mut entries } = JsonFile::read(folder.join("tokenizer_config.json"))?;
    let source = match entries.remove("chat_template") {
        None | Some(serde_json::Value::Null) => return Ok(None),
        Some(serde_json::Value::String(source)) => Some(source),
        Some(parts) => {
            let default = parts.as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "default"));
            default.and_then(|part| part["template"].as_str()).map(str::to_owned)
        }
    };
    match source {
        Some(source) => Ok(Some((path, source))),
        None => Err(Error::Data(format!(
            "{}: `chat_template` should be a text, or a list with a template named \"default\"; \
             put the template to use into chat_template.jinja beside it",
            path.display()
        ))),
    }
}

/// `{% generation %}` marks what the assistant says, for masks over tokens, and opens a scope. `{% with %}` only does that.
fn replace_generation_tags(source: &str) -> String {
    let mut output = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let (before, after) = rest.split_at(start + length + 2);
        let (before, tag) = before.split_at(start);
        output.push_str(before);
        let word = tag.trim_matches(|c: char| "{%-+}".contains(c) || c.is_whitespace());
        match word {
            "generation" => output.push_str(&tag.replace(word, "with")),
            "endgeneration" => output.push_str(&tag.replace(word, "endwith")),
            _ => output.push_str(tag),
        }
        rest = after;
    }
    output + rest
}

/// Runs a part of minijinja, which 3.0 lets panic on a template such as `{{ [][::-1] }}`.
fn without_panic<T>(path: &Path, run: impl FnOnce() -> Result<T, minijinja::Error>) -> Result<T> {
    match guarded(run) {
        Ok(result) => result.map_err(|error| describe(path, &error)),
        Err(_) => Err(Error::Data(format!(
            "{}: chat template: the renderer failed on these messages; is a list or text in them empty?",
            path.display()
        ))),
    }
}

fn describe(path: &Path, error: &minijinja::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => format!("does not end within {MOST_STEPS} steps; look for a loop that is too long"),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    let line = error.line().map_or(String::new(), |line| format!(", line {line}"));
    Error::Data(format!("{}: chat template{line}: {what}", path.display()))
}

fn refuse(what: String) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, what)
}

fn raise_exception(message: &str) -> Result<Value, minijinja::Error> {
    Err(refuse(format!("the template refuses these messages: {message}")))
}

/// Python's `len`, to which Jinja makes something undefined empty.
fn length(value: &Value) -> Result<usize, minijinja::Error> {
    let length = if value.is_undefined() { Some(0) } else { value.len() };
    length.ok_or_else(|| refuse(format!("`length` of a {}, which has none", value.kind())))
}

/// Unlike minijinja's test, false of None: templates ask it of `tools`.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// Whatever has a length and items in Python, so texts and dictionaries too.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map)
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: unlike Jinja's own filter, for text and not for HTML.
fn to_json(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(refuse("`tojson(ensure_ascii=true)` is not supported".into()));
    }
    options.assert_all_used()?;
    if value.is_undefined() {
        return Err(refuse("`tojson` of something undefined".into()));
    }
    let mut json = Vec::new();
    let result = match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(64));
            let style = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, style))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Spaced)),
    };
    result.map_err(|error| refuse(error.to_string()))?;
    String::from_utf8(json).map_err(|error| refuse(error.to_string()))
}

/// JSON on one line with Python's spaces: `{"a": 1, "b": 2}`.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

fn strftime_now(format: &str) -> Result<String, minijinja::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| refuse(error.to_string()))?;
    format_time(format, now.as_secs())
}

/// The common directives of `strftime` for a time in seconds since 1970, in UTC.
fn format_time(format: &str, seconds: u64) -> Result<String, minijinja::Error> {
    const MONTHS: &str = "January February March April May June July August September October November December";
    const WEEKDAYS: &str = "Thursday Friday Saturday Sunday Monday Tuesday Wednesday";
    let name = |names: &'static str, index: u64| names.split(' ').nth(index as usize).unwrap_or_default();
    let (days, hour, minute, second) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, year_day, month, day) = date(days);
    let (weekday, month_name) = (name(WEEKDAYS, days % 7), name(MONTHS, month - 1));
    let mut output = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            output.push(character);
            continue;
        }
        let text = match characters.next() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('B') => month_name.to_owned(),
            Some('b') => month_name[..3].to_owned(),
            Some('d') => format!("{day:02}"),
            Some('j') => format!("{year_day:03}"),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_owned(),
            other => return Err(refuse(format!("`strftime_now`: `%{}` is not supported", other.unwrap_or(' ')))),
        };
        output.push_str(&text);
    }
    Ok(output)
}

/// Year, day of the year, month and day of the month, all but the year from 1, of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // 400 years have 146097 days, after which the calendar repeats.
    let (mut year, mut rest) = (1970 + days / 146_097 * 400, days % 146_097);
    while rest >= 365 + u64::from(leap(year)) {
        rest -= 365 + u64::from(leap(year));
        year += 1;
    }
    let (year_day, mut month) = (rest + 1, 1);
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, year_day, month, rest + 1)
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
