//! Every log event of this thread, with its fields as they were recorded: a formatter of the
//! application's own may escape nothing.

use std::{cell::RefCell, fmt, sync::Once};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Starts to capture what this thread logs, as lines of `name=value`.
///
/// A subscriber that comes just while another thread logs its first event of a kind may never hear
/// of that kind: a test binary in which many tests do calls it first in each of them.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::registry().with(Capture).init());
    LINES.take();
}

/// Whether a line since then says `what`.
pub fn say(what: &str) -> bool {
    lines().iter().any(|line| line.contains(what))
}

/// What was captured since.
pub fn lines() -> Vec<String> {
    LINES.with_borrow(Clone::clone)
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        let mut line = Line(format!("{} {}", meta.level(), meta.target()));
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}
