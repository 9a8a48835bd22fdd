//! The texts that an experiment is written in, and messages that point into them.
//!
//! Every text (the file, what it `extends`, the built-in defaults, each `--set`) lies at its own offset in one long
//! virtual text, so that a byte range alone says which text, line and column it came from, however tables were merged.

use crate::error::Error;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::ops::Range;

/// A byte range in the virtual text.
pub type Span = Range<usize>;

/// A mistake in an experiment file: what is wrong, where, and what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where, if anywhere.
    pub span: Option<Span>,
    /// What is wrong: lowercase, no full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake at a place.
    pub fn at(span: Span, what: impl Into<String>) -> Self {
        Problem { span: Some(span), what: what.into(), hint: None }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All texts of one experiment, in the order they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<(String, String, usize)>,
}

impl Sources {
    /// Adds a text and returns the offset of its first byte in the virtual text.
    pub fn add(&mut self, name: &str, text: &str) -> usize {
        // One byte between texts keeps an empty range at the end of one apart from the start of the next.
        let offset = self.texts.last().map_or(0, |(_, text, offset)| offset + text.len() + 1);
        self.texts.push((name.to_owned(), text.to_owned(), offset));
        offset
    }

    /// Name, text and offset of every source.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.texts.iter().map(|(name, text, offset)| (name.as_str(), text.as_str(), *offset))
    }

    /// Renders problems as a compiler does: the line, a caret, a hint.
    pub fn render(&self, problems: &[Problem]) -> Error {
        let renderer = Renderer::plain();
        let rendered: Vec<String> = problems.iter().map(|problem| self.render_one(&renderer, problem)).collect();
        Error::Usage(rendered.join("\n\n"))
    }

    fn render_one(&self, renderer: &Renderer, problem: &Problem) -> String {
        let place = problem.span.as_ref().and_then(|span| {
            let (name, text, offset) = self.texts().filter(|(.., offset)| *offset <= span.start).last()?;
            let local = (span.start - offset).min(text.len())..(span.end - offset).min(text.len());
            Some((name, text, local))
        });
        let mut group = Level::ERROR.primary_title(&problem.what).elements(Vec::<annotate_snippets::Element>::new());
        if let Some((name, text, local)) = place {
            group = group.element(Snippet::source(text).line_start(1).path(name).annotation(AnnotationKind::Primary.span(local)));
        }
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}
