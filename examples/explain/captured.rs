//! A request as somebody has caught it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header::CONTENT_LENGTH};
use http_body_util::Full;

use crate::BoxError;

#[derive(Clone)]
pub struct Captured {
    pub method: Method,
    /// Without its query, which may hold a secret.
    pub path: Option<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Captured {
    /// Of the text of a head: its first line may be missing, then it was a POST.
    pub fn new(head: &str, body: Vec<u8>) -> Result<Self, BoxError> {
        let mut captured = Self {
            method: Method::POST,
            path: None,
            headers: HeaderMap::new(),
            body: body.into(),
        };
        let head = head.trim_start_matches(|it: char| it.is_whitespace() || it == '\u{feff}');
        let lines = head.lines().map(str::trim_end);
        for (number, line) in (1..).zip(lines.take_while(|line| !line.is_empty())) {
            let read = captured.read(number, line);
            read.map_err(|why| format!("line {number} of the head {why}"))?;
        }
        match captured.headers.is_empty() {
            true => Err("the head has no headers".into()),
            false => Ok(captured),
        }
    }

    fn read(&mut self, number: usize, line: &str) -> Result<(), BoxError> {
        let pseudo = line.strip_prefix(':'); // as HTTP/2 is shown
        let (name, value) = match pseudo.unwrap_or(line).split_once(':') {
            Some((name, value)) if !name.contains(' ') => (name, value.trim()),
            _ if number == 1 => return self.read_first(line),
            _ => return Err("is no NAME: VALUE".into()),
        };
        match (pseudo, name) {
            (Some(_), "method") => self.method = value.parse()?,
            (Some(_), "path") => self.path = Some(without_query(value)),
            (Some(_), _) => {}
            (None, name) => {
                let name = HeaderName::from_bytes(name.as_bytes())?;
                self.headers
                    .append(name, HeaderValue::from_bytes(value.as_bytes())?);
            }
        }
        Ok(())
    }

    /// `POST /callbacks/suno/voice HTTP/1.1`.
    fn read_first(&mut self, line: &str) -> Result<(), BoxError> {
        let mut words = line.split(' ');
        let method = words.next().unwrap_or_default();
        if method.starts_with("HTTP/") {
            return Err("is the first line of an answer; the request is needed".into());
        }
        self.method = method.parse()?;
        self.path = words.next().map(without_query);
        Ok(())
    }

    /// The values of a header that are text.
    pub fn values(&self, name: &HeaderName) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    pub fn value(&self, name: &HeaderName) -> String {
        self.values(name).into_iter().next().unwrap_or_default()
    }

    /// With one value of a header and no other.
    pub fn with(mut self, name: &HeaderName, value: &str) -> Option<Self> {
        let value = HeaderValue::from_str(value).ok()?;
        self.headers.insert(name, value);
        Some(self)
    }

    pub fn without(mut self, name: &HeaderName) -> Self {
        self.headers.remove(name);
        self
    }

    /// What is said by a length that is not the body's.
    pub fn misfit(&self) -> Option<String> {
        let declared = self.value(&CONTENT_LENGTH).parse::<usize>().ok()?;
        let length = self.body.len();
        (declared != length).then(|| {
            format!(
                "content-length says {declared} bytes and these are {length}, so it is not what was \
                 sent: a proxy has changed the body, or the capture has"
            )
        })
    }

    pub fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn without_query(target: &str) -> String {
    target.split('?').next().unwrap_or_default().to_owned()
}
