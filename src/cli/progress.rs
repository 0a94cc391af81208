//! A bar for long work, on a terminal alone: a program that reads stderr wants sentences.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::app::backup::Progress;

/// How a bar looks.
const LOOKS: &str = "{msg:>10} [{bar:30}] {pos}/{len}";

/// A bar that shows what `backup` and `restore` tell, or nothing where nobody looks.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar; none with `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        // This target draws on a terminal and nowhere else.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        bar.set_style(ProgressStyle::with_template(LOOKS).expect("a template of ours").progress_chars("=> "));
        Self(bar)
    }

    /// Shows how far the work is.
    pub(super) fn show(&self, progress: Progress) {
        self.0.set_message(progress.doing);
        self.0.set_length(progress.of);
        self.0.set_position(progress.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
