//! Progress on standard error: a line for the source and one for each edit. Nothing is shown if it is not
//! a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::engine::{EngineError, JobHandle, Outcome};

/// The lines of one call.
#[derive(Debug, Default)]
pub struct Lines {
    all: MultiProgress,
}

impl Lines {
    /// Something without steps, shown until it is dropped or finished.
    pub fn waiting(&self, what: &'static str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new_spinner()).with_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// The line of a run of so many steps.
    pub fn steps(&self, name: String, what: String, steps: usize) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(steps as u64)).with_prefix(name).with_message(what);
        // The template is a constant; a bar without it is still a bar.
        if let Ok(style) = ProgressStyle::with_template("{prefix:>8} {bar:24} {pos:>3}/{len} {elapsed:>4} {wide_msg}") {
            bar.set_style(style);
        }
        // It is drawn before the first step is done, which takes a while.
        bar.tick();
        bar
    }

    /// Takes all lines away.
    pub fn clear(&self) {
        // A terminal that cannot be written to shows nothing anyway.
        let _ = self.all.clear();
    }
}

/// Waits for a job and shows how far it is.
pub async fn follow(mut handle: JobHandle, bar: ProgressBar) -> Result<Outcome, EngineError> {
    let mut progress = handle.progress();
    let outcome = handle.outcome();
    tokio::pin!(outcome);
    loop {
        tokio::select! {
            result = &mut outcome => {
                if result.is_ok() {
                    bar.set_position(bar.length().unwrap_or_default());
                }
                bar.abandon();
                return result;
            }
            Ok(()) = progress.changed() => bar.set_position(progress.borrow_and_update().step as u64),
        }
    }
}
