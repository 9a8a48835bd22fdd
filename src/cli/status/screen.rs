//! `status --watch`: the terminal's other screen, drawn again every second, and given back however it ends.

use super::lines::{Line, Tone, screen};
use crate::cli::look::Seen;
use crate::console::harmless;
use crate::error::{Error, Result};
use ::console::{Style, Term};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the screen is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// How soon Ctrl-C is noticed.
const POLL: Duration = Duration::from_millis(50);
/// A run that starts again shows what failed before for a moment, so the end has to be seen so often.
const PATIENCE: usize = 5;
/// Stages wait for a runner that may not have started, and are left by one that has ended, or had only some to do.
const PATIENCE_FOR_A_RUNNER: usize = 60;

/// xterm's control sequences for the alternate screen.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// Whether standard output is a terminal.
pub(super) fn is_there() -> bool {
    Term::stdout().is_term()
}

/// A line with its colour, where standard output takes colours; nothing else in it commands the terminal.
pub(super) fn coloured(line: &Line) -> String {
    let style = match line.tone {
        Tone::Heading => Style::new().bold(),
        Tone::Running => Style::new().green(),
        Tone::Trouble => Style::new().red(),
        Tone::Quiet => Style::new().dim(),
    };
    style.apply_to(harmless(&line.text)).to_string()
}

/// The other screen, until dropped.
struct Screen(Term);

impl Screen {
    fn enter() -> std::io::Result<Screen> {
        let screen = Screen(Term::buffered_stdout());
        screen.0.write_str(ENTER)?;
        screen.0.hide_cursor()?;
        screen.0.flush()?;
        Ok(screen)
    }

    fn draw(&self, studies: &[Seen], now: f64) -> std::io::Result<()> {
        let (height, width) = self.0.size();
        self.0.move_cursor_to(0, 0)?;
        // The line below is cleared before it is written, so that nothing flickers; a new line at the end would scroll.
        for (index, line) in screen(studies, now, width.into(), height.into()).iter().enumerate() {
            self.0.write_str(if index > 0 { "\r\n\x1b[2K" } else { "\x1b[2K" })?;
            self.0.write_str(&coloured(line))?;
        }
        self.0.clear_to_end_of_screen()?;
        self.0.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        let _ = self.0.write_str(LEAVE).and_then(|()| self.0.show_cursor()).and_then(|()| self.0.flush());
    }
}

/// Draws what `look` sees until nothing is left to run, or a person presses Ctrl-C; returns what was seen last.
pub(super) fn watch(look: impl Fn() -> Result<Vec<Seen>>) -> Result<Vec<Seen>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst)).map_err(Error::other)?;
    let shown = Screen::enter().map_err(Error::other)?;
    let mut still = 0;
    loop {
        let studies = look()?;
        shown.draw(&studies, crate::store::now()).map_err(Error::other)?;
        still = if studies.iter().any(Seen::is_running) { 0 } else { still + 1 };
        let patience = if studies.iter().any(Seen::may_change) { PATIENCE_FOR_A_RUNNER } else { PATIENCE };
        let done = studies.iter().all(|seen| seen.count("done") == seen.stages.len());
        let until = Instant::now() + EVERY;
        while Instant::now() < until && !done && still < patience {
            if interrupted.load(Ordering::SeqCst) {
                return Ok(studies);
            }
            std::thread::sleep(POLL);
        }
        if done || still >= patience {
            return Ok(studies);
        }
    }
}
