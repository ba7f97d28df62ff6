//! What is printed. No key and no signature gets in here, nor the query of the URL.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Value;
use suno_callback::{SIGNATURE_HEADER, TIMESTAMP_HEADER};

use crate::{
    diagnosis::{Diagnosis, Step},
    layer::{Facts, ROUTES},
    options::Options,
    texts::{ids, json, shown},
};

pub fn print(options: &Options, diagnosis: &Diagnosis) -> io::Result<()> {
    let mut report = String::new();
    match options.keys.fault() {
        Some(fault) => line(&mut report, "NO", "key", &fault),
        None => line(&mut report, "ok", "key", "it can be one"),
    }
    let reached = match (&diagnosis.facts, diagnosis.faults.last()) {
        (None, Some(fault)) => fault.step,
        _ => Step::Signed,
    };
    for (step, name) in STEPS {
        let faults = diagnosis.faults.iter().filter(|it| it.step == step);
        let whys: Vec<_> = faults.map(|it| it.why.as_str()).collect();
        let mark = match whys.is_empty() {
            _ if step > reached => "--",
            true => "ok",
            false => "NO",
        };
        line(&mut report, mark, name, &seen(step, options, diagnosis));
        for why in whys {
            line(&mut report, "", "", why);
        }
    }
    if let Some(facts) = &diagnosis.facts {
        content(&mut report, options, facts);
    }
    for note in notes(options) {
        line(&mut report, "", "note", &note);
    }
    let _ = writeln!(report, "verdict: {}", verdict(options, diagnosis));
    io::stdout().write_all(report.as_bytes())
}

const STEPS: [(Step, &str); 11] = [
    (Step::Method, "method"),
    (Step::ContentType, "content type"),
    (Step::Encoding, "encoding"),
    (Step::Headers, "headers"),
    (Step::Timestamp, "timestamp"),
    (Step::Signature, "signature"),
    (Step::Freshness, "freshness"),
    (Step::Size, "size"),
    (Step::Json, "json"),
    (Step::Ids, "id"),
    (Step::Signed, "signed"),
];

fn line(report: &mut String, mark: &str, name: &str, said: &str) {
    let _ = writeln!(report, "{mark:2}  {name:12}  {said}");
}

/// What the layer looks at in a step.
fn seen(step: Step, options: &Options, diagnosis: &Diagnosis) -> String {
    let request = &options.request;
    let or_none = |values: Vec<String>| match values.is_empty() {
        true => "none".to_owned(),
        false => shown(&values.join(" | "), 80),
    };
    match step {
        Step::Method => target(options),
        Step::ContentType => or_none(request.values(&CONTENT_TYPE)),
        Step::Encoding => or_none(request.values(&CONTENT_ENCODING)),
        Step::Headers => {
            let times = |name| request.values(name).len();
            let (time, tag) = (times(&TIMESTAMP_HEADER), times(&SIGNATURE_HEADER));
            format!("{TIMESTAMP_HEADER}: {time}, {SIGNATURE_HEADER}: {tag}")
        }
        Step::Timestamp => time_of(&request.value(&TIMESTAMP_HEADER)),
        Step::Signature => {
            let length = request.value(&SIGNATURE_HEADER).len();
            format!("{length} characters")
        }
        Step::Freshness => age(options),
        Step::Size => {
            let (length, product) = (request.body.len(), options.product);
            let limit = (product.body_limit)();
            format!("{length} bytes; {} takes {limit}", product.name)
        }
        Step::Json => match json(&request.body) {
            Some(Value::Object(fields)) => format!("an object with {} keys", fields.len()),
            Some(_) => "no object".to_owned(),
            None if diagnosis.facts.is_some() => "read, with replacement characters".to_owned(),
            None => "none".to_owned(),
        },
        Step::Ids => ids_of(&request.body, diagnosis),
        Step::Signed => match &diagnosis.facts {
            Some(facts) => signed(options, diagnosis, facts),
            None => "it must be made over the id, a dot and the timestamp".to_owned(),
        },
    }
}

fn target(options: &Options) -> String {
    let method = &options.request.method;
    match &options.request.path {
        Some(path) => format!("{method} {}", shown(path, 80)),
        None => method.to_string(),
    }
}

fn ids_of(body: &[u8], diagnosis: &Diagnosis) -> String {
    let ids = ids(body).into_iter().map(|(place, id)| match id.as_str() {
        Some(text) => format!("{place}: \"{}\"", shown(text, 64)),
        None => format!("{place}: no text"),
    });
    let ids: Vec<_> = ids.collect();
    match &diagnosis.facts {
        _ if !ids.is_empty() => ids.join(", "),
        Some(facts) => format!("\"{}\"", shown(&facts.task_id, 64)),
        None => "none".to_owned(),
    }
}

/// Nothing that could be a signature in the wrong header.
fn time_of(value: &str) -> String {
    let is_time = |letter: char| letter.is_ascii_digit() || " \"',.+-:TZ".contains(letter);
    match value.chars().all(is_time) && value.len() <= 64 {
        true => value.to_owned(),
        false => format!("{} characters that are no time", value.len()),
    }
}

fn age(options: &Options) -> String {
    let (at, now) = (options.at, if options.is_now { " (now)" } else { "" });
    let signed_at = options.request.value(&TIMESTAMP_HEADER).parse::<u64>();
    let apart = match signed_at {
        Ok(then) if then > at => format!("signed {} s after", then - at),
        Ok(then) => format!("signed {} s before", at - then),
        Err(_) => "signed at no known time before".to_owned(),
    };
    format!("{apart} {at}{now}; 300 s are allowed")
}

fn signed(options: &Options, diagnosis: &Diagnosis, facts: &Facts) -> String {
    let id = shown(&facts.task_id, 64);
    let time = time_of(&options.request.value(&TIMESTAMP_HEADER));
    match diagnosis.faults.iter().any(|it| it.step == Step::Signed) {
        true => format!("not over \"{id}.{time}\" with a key of the environment"),
        false => format!("over \"{id}.{time}\", with the {} key", facts.key),
    }
}

fn content(report: &mut String, options: &Options, facts: &Facts) {
    let (stage, name) = (facts.stage, shown(&facts.name, 40));
    let said = format!("{stage} \"{name}\", results: {}", facts.results);
    line(report, "ok", "content", &said);
    if let Some(foreign) = facts.foreign {
        let product = options.product.name;
        let why = format!(
            "it is content of {foreign}: this is another product's route. It is accepted, and the \
             handler of {product} is given an unknown event; give the provider the URL of the route \
             that receives {foreign}"
        );
        line(report, "", "", &why);
    }
}

fn notes(options: &Options) -> Vec<String> {
    let mut notes = options.keys.notes();
    notes.extend(options.request.misfit());
    let path = options.request.path.as_deref().unwrap_or_default();
    let of_path = path.rsplit('/').next().unwrap_or_default();
    let other = ROUTES.iter().any(|route| route.name == of_path);
    if other && of_path != options.product.name {
        let product = options.product.name;
        notes.push(format!(
            "the path says {of_path}, and it was judged as {product}: say --product {of_path}"
        ));
    }
    notes
}

fn verdict(options: &Options, diagnosis: &Diagnosis) -> String {
    match (options.keys.fault(), diagnosis.faults.first()) {
        (Some(_), None) => "refused: no receiver starts with this key".to_owned(),
        (_, None) => "accepted".to_owned(),
        (_, Some(fault)) => {
            let status = fault.rejection.status().as_u16();
            format!("refused: {status} {}", fault.rejection)
        }
    }
}
