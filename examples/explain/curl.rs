//! What `curl -v` prints: the head in lines that begin with `>`, and no body.

use crate::{BoxError, captured::Captured};

pub fn captured(text: &str, body: Option<Vec<u8>>) -> Result<Captured, BoxError> {
    let head: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix('>'))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    if head.is_empty() {
        return Err("--curl has no line that begins with `>`: call curl with -v".into());
    }
    let body = match body {
        Some(body) => body,
        None => sent_by(command_of(text))?,
    };
    Captured::new(&head.join("\n"), body)
}

/// The lines in front of the first that curl itself has printed.
fn command_of(text: &str) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let printed = ["* ", "> ", "< ", "Note: ", "  % "];
        if printed.iter().any(|it| line.starts_with(it)) {
            break;
        }
        end += line.len();
    }
    text[..end].trim_start_matches(['$', '#', ' ', '\n'])
}

/// The body that a command line gives to curl.
fn sent_by(command: &str) -> Result<Vec<u8>, BoxError> {
    const FIX: &str = "curl -v prints no body: give it with --body FILE";
    let mut words = words(command).into_iter();
    let mut body: Option<String> = None;
    while let Some(word) = words.next() {
        let short = word.strip_prefix("-d").filter(|it| !it.is_empty());
        let data = match word.as_str() {
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii" | "--json" => {
                words.next().ok_or(FIX)?
            }
            _ if short.is_some() => short.unwrap_or_default().to_owned(),
            _ => continue,
        };
        if data.starts_with('@') && word != "--data-raw" {
            return Err(format!("{FIX}; -d takes the line breaks out of a file").into());
        }
        body = Some(match body {
            None => data,
            Some(before) => format!("{before}&{data}"),
        });
    }
    Ok(body.ok_or(FIX)?.into_bytes())
}

/// The words of a command line as a shell reads them, without variables.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(end), it) if it == end => quote = None,
            (Some('\''), it) => word.get_or_insert_default().push(it),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, '\\') => match letters.next() {
                None | Some('\n') => {}
                Some(it @ ('"' | '\\' | '$' | '`')) => word.get_or_insert_default().push(it),
                Some(it) if quote.is_none() => word.get_or_insert_default().push(it),
                Some(it) => word.get_or_insert_default().extend(['\\', it]),
            },
            (None, it) if it.is_whitespace() => words.extend(word.take()),
            (_, it) => word.get_or_insert_default().push(it),
        }
    }
    words.extend(word);
    words
}
