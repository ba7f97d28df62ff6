//! What stands in a body, and where.

use serde_json::Value;

/// The places of a task's id.
pub const PLACES: [&str; 4] = ["data.taskId", "data.task_id", "taskId", "task_id"];

/// A hostile body gets no more than that.
const MOST: usize = 512;

/// Every text and number with its path, such as `data.data[0].id`.
pub fn texts(body: &[u8]) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    if let Some(value) = json(body) {
        collect(&value, String::new(), &mut texts);
    }
    texts
}

/// A body whose texts are whole: the layer reads some that are not.
pub fn json(body: &[u8]) -> Option<Value> {
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    serde_json::from_slice(text).ok()
}

fn collect(value: &Value, path: String, texts: &mut Vec<(String, String)>) {
    match value {
        _ if texts.len() >= MOST => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => texts.push((path, text.clone())),
        Value::Number(number) => texts.push((path, number.to_string())),
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                collect(value, format!("{path}[{number}]"), texts);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                collect(value, format!("{path}{dot}{}", shown(key, 40)), texts);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// The values at the four places where an id is looked for.
pub fn ids(body: &[u8]) -> Vec<(&'static str, Value)> {
    let Some(value) = json(body) else {
        return Vec::new();
    };
    let at = |place: &'static str| {
        let found = place
            .split('.')
            .try_fold(&value, |value, key| value.get(key));
        found.map(|value| (place, value.clone()))
    };
    PLACES.into_iter().filter_map(at).collect()
}

/// Text that may be anything, fit for a terminal and cut.
pub fn shown(text: &str, most: usize) -> String {
    let letters = text.chars();
    let mut shown: String = letters.take(most).flat_map(char::escape_debug).collect();
    if text.chars().count() > most {
        shown.push_str("...");
    }
    shown
}
