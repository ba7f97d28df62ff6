use super::{Content, Dialect, Found, Word, classify::Evidence, content::Place, field};
use crate::{
    event::{Part, Scanned, Stage, TaskId, Value},
    product::Source,
};

/// What a body was read as.
pub(in crate::product) struct Reading {
    pub(super) task_id: TaskId,
    pub(super) stage: Stage,
    name: Option<Part>,
    pub(super) code: Option<i64>,
    pub(super) error_code: Option<i64>,
    message: Option<Part>,
    extra: Option<Part>,
    /// The product that unknown content is of, where that is plain.
    pub(super) foreign: Option<&'static str>,
    /// What two successes must agree on.
    pub(super) result: Option<Box<str>>,
    /// What an inconsistent event claims, where that is what tells it from others.
    pub(super) claim: Option<Box<str>>,
    content: Option<(Place, Part)>,
    /// What was parsed, in memory of its own: it outlives the connection's read buffer.
    pub(super) body: Box<str>,
}

impl Reading {
    pub(super) fn of<P: Dialect>(
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> Self {
        let (found, content) = found::<P>(scanned, body);
        let foreign = foreign::<P>(scanned, &found);
        let code = code(source, scanned);
        let stage = stage::<P>(source, scanned, &found, foreign.is_some());
        let name = name(scanned);
        let result = found.into_result();
        Self {
            claim: claim(stage, code, name, result.as_deref()),
            result: result.filter(|_| stage == Stage::Success).map(Into::into),
            foreign: foreign.filter(|_| stage == Stage::Unknown),
            name: part(body, name),
            extra: part(body, scanned.get(field::EXTRA)),
            message: part(body, message(source, scanned)),
            content: content.map(|(place, json)| (place, Part::within(body, json))),
            body: body.into(),
            task_id,
            stage,
            code,
            error_code: scanned.get(field::ERROR_CODE).as_whole(),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.text(self.name.as_ref()).unwrap_or_default()
    }

    pub(super) fn message(&self) -> Option<&str> {
        self.text(self.message.as_ref())
    }

    /// The product's own field, where it is a text that is not empty.
    pub(in crate::product) fn extra(&self) -> Option<&str> {
        self.text(self.extra.as_ref())
    }

    /// Reads the result, where there is one.
    pub(in crate::product) fn content<T: Default>(&self, read: impl FnOnce(Content<'_>) -> T) -> T {
        let opened = self.content.as_ref().and_then(|(place, part)| {
            let json = part.as_str(&self.body);
            place.open(json, read)
        });
        opened.map(|(read, _)| read).unwrap_or_default()
    }

    fn text<'a>(&'a self, part: Option<&'a Part>) -> Option<&'a str> {
        part.map(|part| part.as_str(&self.body))
    }
}

/// What the contents say together, and the first that says something.
fn found<'s, P: Dialect>(
    scanned: &'s Scanned<'s>,
    body: &'s str,
) -> (Found, Option<(Place, &'s str)>) {
    let raw = |number| scanned.get(number).as_raw();
    let contents = [
        (Place::Callback, raw(field::RESULT)),
        (Place::Record, raw(field::RESPONSE)),
        (Place::Job, raw(field::RESULT_JSON)),
        (Place::Body, P::IS_UNTYPED.then_some(body)),
    ];
    let mut all = (Found::Nothing, None);
    for (place, json) in contents {
        let Some(json) = json else { continue };
        let found = place.look(json, P::found);
        let is_first = all.1.is_none() || found.is_usable() && !all.0.is_usable();
        all = match is_first {
            true => (all.0.and(found), Some((place, json))),
            false => (all.0.and(found), all.1),
        };
    }
    all
}

/// A key that only another product has counts where none of ours has a result.
fn foreign<P: Dialect>(scanned: &Scanned<'_>, found: &Found) -> Option<&'static str> {
    if let Some(product) = P::foreign(scanned).or(found.foreign()) {
        return Some(product);
    }
    let is_ours =
        found.is_usable() || scanned.has(field::RESULT) || scanned.has(field::RESULT_JSON);
    let by_key = scanned.foreign().filter(|_| !is_ours);
    by_key.or_else(|| marker_of_another::<P>(scanned))
}

fn marker_of_another<P: Dialect>(scanned: &Scanned<'_>) -> Option<&'static str> {
    let marker = scanned.get(field::MARKER);
    if Word::of(marker, P::MARKERS) != Word::Odd {
        return None;
    }
    let is = |word: &&str| {
        marker
            .as_str()
            .is_some_and(|it| it.trim().eq_ignore_ascii_case(word))
    };
    match (
        ["text", "first"].iter().any(is),
        ["complete", "error"].iter().any(is),
    ) {
        (true, _) => Some("music"),
        (_, true) => Some("music or lyrics"),
        _ => None,
    }
}

fn stage<P: Dialect>(
    source: Source,
    scanned: &Scanned<'_>,
    found: &Found,
    is_foreign: bool,
) -> Stage {
    let evidence = Evidence {
        source,
        code: code(source, scanned),
        error_code: scanned.get(field::ERROR_CODE).as_whole(),
        words: words::<P>(scanned),
        found,
        key_repeated: scanned.is_ambiguous(),
        is_foreign,
        has_result_key: scanned.has(field::RESULT),
        is_marked: P::IS_MARKED,
        needs_result: P::NEEDS_RESULT,
    };
    evidence.stage()
}

/// In a record `code` speaks of the question.
fn code(source: Source, scanned: &Scanned<'_>) -> Option<i64> {
    let code = scanned.get(field::CODE).as_whole();
    code.filter(|_| source == Source::Callback)
}

fn words<P: Dialect>(scanned: &Scanned<'_>) -> [Word; 4] {
    [
        Word::of(scanned.get(field::MARKER), P::MARKERS),
        Word::of(scanned.get(field::STATE), P::STATES),
        Word::of(scanned.get(field::STATUS), P::STATUSES),
        Word::of(scanned.get(field::FLAG), P::FLAGS),
    ]
}

/// The provider's own word for how far the task is.
fn name<'s>(scanned: &'s Scanned<'s>) -> &'s Value<'s> {
    let mut places = [field::MARKER, field::STATE, field::STATUS, field::FLAG]
        .into_iter()
        .map(|number| scanned.get(number));
    let name = places.find(|value| !value.is_blank());
    name.unwrap_or(&Value::Absent)
}

/// What is said about a failure; in a record `msg` speaks of the question.
fn message<'s>(source: Source, scanned: &'s Scanned<'s>) -> &'s Value<'s> {
    let own = scanned.get(field::ERROR_MESSAGE);
    match source {
        Source::Callback if own.is_blank() => scanned.get(field::MESSAGE),
        _ => own,
    }
}

/// What tells an inconsistent event from others: what it claims, because the order of keys and a
/// message make no new event. `None` where nobody can say what that is.
fn claim(
    stage: Stage,
    code: Option<i64>,
    name: &Value<'_>,
    result: Option<&str>,
) -> Option<Box<str>> {
    match stage {
        Stage::Inconsistent {
            why: "repeated_key",
        } => None,
        Stage::Inconsistent { why } => Some(format!("{why} {code:?} {name:?} {result:?}").into()),
        _ => None,
    }
}

fn part(body: &str, value: &Value<'_>) -> Option<Part> {
    match value {
        Value::Whole(number) => Some(Part::Unescaped(number.to_string().into())),
        value => Part::of(body, value),
    }
}
