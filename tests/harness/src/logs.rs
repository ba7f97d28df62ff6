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
    /// `None` until the thread's test wants to know.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Starts to capture what this thread logs, as lines of `name=value`.
pub fn capture() {
    listen();
    LINES.set(Some(Vec::new()));
}

/// A subscriber that comes just while another thread logs its first event of a kind may never hear
/// of that kind, so it comes before anything is logged.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::registry().with(Capture).init());
}

/// Whether a line since then says `what`.
pub fn say(what: &str) -> bool {
    lines().iter().any(|line| line.contains(what))
}

/// What was captured since.
pub fn lines() -> Vec<String> {
    LINES.with_borrow(Clone::clone).unwrap_or_default()
}

struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let meta = event.metadata();
            let mut line = Line(format!("{} {}", meta.level(), meta.target()));
            event.record(&mut line);
            lines.push(line.0);
        });
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
