//! Every log event of this thread, with its fields as they were recorded: a formatter of the
//! application's own may escape nothing.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Once,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

thread_local! {
    /// `None` until the thread's test wants to know.
    static LINES: RefCell<Option<Vec<Said>>> = const { RefCell::new(None) };

    /// How many spans of the layer were made.
    static SPANS: Cell<usize> = const { Cell::new(0) };
}

/// A line, and the spans that it stands in, from the outermost on.
#[derive(Clone)]
struct Said {
    line: String,
    spans: String,
}

/// Starts to capture what this thread logs, as lines of `name=value`.
pub fn capture() {
    listen();
    LINES.set(Some(Vec::new()));
    SPANS.set(0);
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
    said().into_iter().map(|it| it.line).collect()
}

/// The same, each behind the spans that it stands in: `name{ field=value}: LEVEL target ...`.
pub fn lines_in_spans() -> Vec<String> {
    let lines = said().into_iter();
    lines.map(|it| format!("{}{}", it.spans, it.line)).collect()
}

/// How many spans of the layer this thread has made since.
pub fn spans() -> usize {
    SPANS.get()
}

fn said() -> Vec<Said> {
    LINES.with_borrow(Clone::clone).unwrap_or_default()
}

struct Capture;

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let meta = attributes.metadata();
        if meta.target() == "suno_callback" {
            SPANS.set(SPANS.get() + 1);
        }
        let mut fields = Line(String::new());
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            let text = format!("{}{{{}}}: ", meta.name(), fields.0);
            span.extensions_mut().insert(Text(text));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let meta = event.metadata();
            let mut line = Line(format!("{} {}", meta.level(), meta.target()));
            event.record(&mut line);
            let mut spans = String::new();
            for span in context
                .event_scope(event)
                .into_iter()
                .flat_map(|it| it.from_root())
            {
                let extensions = span.extensions();
                spans += extensions.get::<Text>().map_or("", |text| &text.0);
            }
            let line = line.0;
            lines.push(Said { line, spans });
        });
    }
}

/// What a span says, as long as it lives.
struct Text(String);

struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}
