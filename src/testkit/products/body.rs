//! Bodies that are made from a sample.

use serde_json::{Map, Value};

/// The task of all that a law sends, unless it says another.
pub(super) const TASK: &str = "conformance-task";

/// The places of an id, and whether they are in `data`.
pub(super) const PLACES: [(bool, &str); 4] = [
    (true, "taskId"),
    (true, "task_id"),
    (false, "taskId"),
    (false, "task_id"),
];

/// Of an array these are changed; of thousands of notes one is like the other.
const ITEMS: usize = 4;

/// Marks a key that is to be there a second time: no map can hold it otherwise. Sorted last.
const AGAIN: &str = "~~again~~";

/// A JSON object.
#[derive(Clone, Debug)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    pub(super) fn of(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(Value::Object(body)) => Some(Self(body)),
            _ => None,
        }
    }

    /// Nothing but keys that nobody has.
    pub(super) fn unheard_of(value: &str) -> Self {
        let data = Map::from_iter([("unheardOf".into(), Value::from(value))]);
        let body = [("code", Value::from(200)), ("data", Value::Object(data))];
        let body = body.map(|(key, value)| (key.to_owned(), value));
        let body = Self(Map::from_iter(body));
        body.with_id((true, "taskId"), TASK).unwrap_or(body)
    }

    pub(super) fn text(&self) -> String {
        Value::Object(self.0.clone()).to_string().replace(AGAIN, "")
    }

    /// Laid out for people, and with a key more that says nothing: the same event.
    pub(super) fn retold(&self) -> String {
        let mut body = self.0.clone();
        body.insert("unheardOf".into(), Value::from(1));
        format!("{:#}", Value::Object(body))
    }

    pub(super) fn has_id(&self) -> bool {
        PLACES.iter().any(|place| self.id(*place).is_some())
    }

    fn id(&self, (in_data, key): (bool, &str)) -> Option<&Value> {
        let object = match in_data {
            true => self.0.get("data")?.as_object()?,
            false => &self.0,
        };
        object.get(key).filter(|id| !id.is_null())
    }

    /// The same of another task.
    pub(super) fn about(&self, task: &str) -> Self {
        let places = PLACES.iter().filter(|place| self.id(**place).is_some());
        let with_id = |body: Self, place: &(bool, &str)| body.with_id(*place, task);
        places.fold(self.clone(), |body, place| {
            with_id(body.clone(), place).unwrap_or(body)
        })
    }

    pub(super) fn without_ids(&self) -> Self {
        let mut body = self.0.clone();
        for (in_data, key) in PLACES {
            match body.get_mut("data").filter(|_| in_data) {
                Some(Value::Object(data)) => data.remove(key),
                Some(_) => None,
                None => body.remove(key),
            };
        }
        Self(body)
    }

    /// `None` where there is no such place, because `data` is no object.
    pub(super) fn with_id(&self, (in_data, key): (bool, &str), task: &str) -> Option<Self> {
        let mut body = self.0.clone();
        let object = match in_data {
            true => body.get_mut("data")?.as_object_mut()?,
            false => &mut body,
        };
        object.insert(key.into(), task.into());
        Some(Self(body))
    }

    pub(super) fn with_code(&self, code: impl Into<Value>) -> Self {
        let mut body = self.0.clone();
        body.insert("code".into(), code.into());
        Self(body)
    }

    /// A copy for each value that `change` gives for a value in it, also for those in a JSON text.
    /// Ids and code stay.
    pub(super) fn changed(&self, change: &dyn Fn(&Value) -> Vec<Value>) -> Vec<Self> {
        let is_ours = |key: &str| matches!(key, "taskId" | "task_id" | "code");
        let change = |key: &str, value: &Value| match is_ours(key) {
            true => Vec::new(),
            false => change(value),
        };
        bodies(each(&Value::Object(self.0.clone()), "", &change))
    }

    /// A copy for each value of any kind, ids and code too.
    pub(super) fn spoiled(&self, change: &dyn Fn(&Value) -> Vec<Value>) -> Vec<Self> {
        let change = |_: &str, value: &Value| change(value);
        bodies(each(&Value::Object(self.0.clone()), "", &change))
    }

    /// A copy for each key at the top and in `data`, which is there twice: the second time with
    /// another value. Ids and `data` are the scanner's own.
    pub(super) fn with_keys_repeated(&self) -> Vec<Self> {
        let repeated = |object: &Map<String, Value>| -> Vec<Map<String, Value>> {
            let own = |key: &str| matches!(key, "data" | "taskId" | "task_id");
            let keys = object.iter().filter(|(key, _)| !own(key));
            let again = keys.flat_map(|(key, value)| other(value).map(|other| (key, other)));
            again
                .map(|(key, other)| {
                    let mut object = object.clone();
                    object.insert(format!("{AGAIN}{key}"), other);
                    object
                })
                .collect()
        };
        let mut bodies = repeated(&self.0);
        if let Some(Value::Object(data)) = self.0.get("data") {
            bodies.extend(repeated(data).into_iter().map(|data| {
                let mut body = self.0.clone();
                body.insert("data".into(), Value::Object(data));
                body
            }));
        }
        bodies.into_iter().map(Self).collect()
    }
}

/// Another value of the same kind, as a forger would choose it.
pub(super) fn other(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(format!("{text}2").into()),
        Value::Number(number) => Some((number.as_i64()?.checked_add(1)?).into()),
        Value::Array(items) => {
            let mut items = items.clone();
            let first = items.first_mut()?;
            *first = other(first)?;
            Some(Value::Array(items))
        }
        Value::Object(object) => {
            let changed = object.iter().find_map(|(key, it)| Some((key, other(it)?)));
            let (key, changed) = changed?;
            let mut object = object.clone();
            object.insert(key.clone(), changed);
            Some(Value::Object(object))
        }
        Value::Null | Value::Bool(_) => None,
    }
}

type Change<'c> = dyn Fn(&str, &Value) -> Vec<Value> + 'c;

/// Copies of a value, in each of which one value is changed.
fn each(value: &Value, key: &str, change: &Change<'_>) -> Vec<Value> {
    let mut copies = change(key, value);
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                copies.extend(each(inner, key, change).into_iter().map(|changed| {
                    let mut copy = object.clone();
                    copy.insert(key.clone(), changed);
                    Value::Object(copy)
                }));
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate().take(ITEMS) {
                copies.extend(each(inner, key, change).into_iter().map(|changed| {
                    let mut copy = items.clone();
                    copy.splice(at..=at, [changed]);
                    Value::Array(copy)
                }));
            }
        }
        Value::String(text) => {
            let json = serde_json::from_str(text);
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = json {
                let changed = each(&inner, key, change).into_iter();
                copies.extend(changed.map(|it| Value::from(it.to_string())));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    copies
}

fn bodies(values: Vec<Value>) -> Vec<Body> {
    let objects = values.into_iter().filter_map(|value| match value {
        Value::Object(object) => Some(Body(object)),
        _ => None,
    });
    objects.collect()
}
