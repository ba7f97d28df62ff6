//! The files of `src`, as tokens: without comments, and without the tests in them.

use std::{fs, path::Path};

/// A file of `src`.
pub struct Source {
    /// From `src` on.
    pub path: String,
    /// The path of the module.
    pub module: Vec<String>,
    pub room: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Mark(char),
}

/// All of them, but for those that are tests.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 100, "this is not the source");
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let path = path.strip_prefix(root).expect("within").to_owned();
            sources.push(Source::new(&path.to_string_lossy(), &text));
        }
    }
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let names = path.trim_end_matches(".rs").split('/').map(String::from);
        let mut module: Vec<_> = names.collect();
        let room = module[0].clone();
        if module.last().is_some_and(|name| name == "mod") {
            module.pop();
        }
        Self {
            path: path.into(),
            module,
            room,
            tokens: without_tests(&tokens(text)),
        }
    }

    /// The names in the root of the crate that the file uses.
    pub fn imports(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            at += match self.to_root(at) {
                Some(len) => {
                    names.extend(firsts(&self.tokens[at + len..]));
                    len
                }
                None => 1,
            };
        }
        names
    }

    /// The length of `crate::`, or of as many `super::` as lead to the root.
    fn to_root(&self, at: usize) -> Option<usize> {
        let path = &self.tokens[at..];
        let is = |at: usize, name: &str| path.get(at) == Some(&Token::Name(name.into()));
        let leads_on = |at| path.get(at..at + 2) == Some(&[Token::Mark(':'), Token::Mark(':')]);
        if is(0, "crate") && leads_on(1) {
            return Some(3);
        }
        let supers = (0..).take_while(|n| is(3 * n, "super") && leads_on(3 * n + 1));
        let supers = supers.count();
        (supers > 0 && supers >= self.module.len()).then_some(3 * supers)
    }

    /// The names and the texts of the file, in snake case.
    pub fn words(&self) -> impl Iterator<Item = String> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Name(name) => Some(snake(name)),
            Token::Text(text) => Some(snake(text)),
            Token::Mark(_) => None,
        })
    }
}

/// The first name of a path, or of each path in braces.
fn firsts(path: &[Token]) -> Vec<String> {
    match path.first() {
        Some(Token::Name(name)) => vec![name.clone()],
        Some(Token::Mark('{')) => {
            let (mut depth, mut begins, mut names) = (0, false, Vec::new());
            for token in path {
                match token {
                    Token::Mark('{') => (depth, begins) = (depth + 1, depth == 0),
                    Token::Mark('}') => depth -= 1,
                    Token::Mark(',') => begins = depth == 1,
                    Token::Name(name) if begins => {
                        names.push(name.clone());
                        begins = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            names
        }
        _ => Vec::new(),
    }
}

/// Leaves out what `#[cfg(test)]` stands before.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let cfg_test = self::tokens("#[cfg(test)]");
    let (mut kept, mut rest) = (Vec::new(), tokens);
    while let Some((first, after)) = rest.split_first() {
        rest = match rest.strip_prefix(&cfg_test[..]) {
            Some(item) => &item[len_of_item(item)..],
            None => {
                kept.push(first.clone());
                after
            }
        };
    }
    kept
}

fn len_of_item(tokens: &[Token]) -> usize {
    let mut depth = 0;
    let ends = |token: &Token| {
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(token, Token::Mark('}' | ';'))
    };
    tokens
        .iter()
        .position(ends)
        .map_or(tokens.len(), |at| at + 1)
}

fn tokens(source: &str) -> Vec<Token> {
    let (mut tokens, mut rest) = (Vec::new(), source);
    while let Some(first) = rest.chars().next() {
        let (token, len) = match first {
            _ if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            _ if rest.starts_with("/*") => (None, rest.find("*/").expect("an end") + 2),
            _ if first.is_whitespace() => (None, first.len_utf8()),
            '"' => text(rest, 1, "\""),
            _ if let Some(hashes) = raw(rest) => {
                let (start, end) = (rest.find('"').expect("a quote") + 1, "#".repeat(hashes));
                text(rest, start, &format!("\"{end}"))
            }
            '\'' => (None, len_of_char(rest)),
            _ if first.is_alphanumeric() || first == '_' => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                (Some(Token::Name(rest[..len].into())), len)
            }
            _ => (Some(Token::Mark(first)), first.len_utf8()),
        };
        tokens.extend(token);
        rest = &rest[len..];
    }
    tokens
}

/// The hashes of a raw string that starts here.
fn raw(source: &str) -> Option<usize> {
    let prefixed = source.strip_prefix("br").or(source.strip_prefix('r'))?;
    let quote = prefixed.trim_start_matches('#');
    quote
        .starts_with('"')
        .then_some(prefixed.len() - quote.len())
}

fn text(source: &str, start: usize, end: &str) -> (Option<Token>, usize) {
    let mut len = start;
    while !source[len..].starts_with(end) {
        let mut chars = source[len..].chars();
        let is_escape = end == "\"" && start == 1 && source[len..].starts_with('\\');
        let skipped = chars.by_ref().take(if is_escape { 2 } else { 1 });
        len += skipped.map(char::len_utf8).sum::<usize>();
    }
    (
        Some(Token::Text(source[start..len].into())),
        len + end.len(),
    )
}

/// Of a character; of a lifetime its quote.
fn len_of_char(source: &str) -> usize {
    let mut chars = source[1..].chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 3 + source[3..].find('\'').expect("an end") + 1,
        (Some(char), Some('\'')) => char.len_utf8() + 2,
        _ => 1,
    }
}

/// `VoiceEvent` and `voice event` are `voice_event`.
fn snake(text: &str) -> String {
    let mut snake = String::new();
    let mut was_lower = false;
    for char in text.chars() {
        if char.is_uppercase() && was_lower {
            snake.push('_');
        }
        was_lower = char.is_lowercase() || char.is_ascii_digit();
        match char.is_alphanumeric() {
            true => snake.extend(char.to_lowercase()),
            false => snake.push('_'),
        }
    }
    snake
}

#[test]
fn what_is_no_code_is_left_out_and_what_is_stays() {
    let text = r##"
        /// crate::in_a_comment /* */
        use crate::{a::{self, b}, c, d};
        fn f<'l>(x: &'l str) -> char { let _ = ('{', '\'', '\u{7d}', b"\"", r#"crate::in_a_text"#); '"' }
        pub(in crate::e) use super::super::g::H;
        #[cfg(test)] mod tests { use crate::in_a_test; }
        fn after() { crate::i::j::<crate::K>() }
    "##;
    let source = Source::new("room/file.rs", text);
    assert_eq!(
        source.imports(),
        ["a", "c", "d", "e", "g", "i", "K"].map(String::from)
    );
    let words: Vec<_> = source.words().collect();
    assert!(words.contains(&"crate__in_a_text".into()), "{words:?}");
    assert!(!words.iter().any(|words| words.contains("comment")));
}
