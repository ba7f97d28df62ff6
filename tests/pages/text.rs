//! The pages, and the documentation in the sources.

use std::{fs, path::Path};

/// A file of the project.
pub fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page, or what the comments of a source say, as one line.
pub struct Page {
    path: &'static str,
    text: String,
}

impl Page {
    pub fn of(path: &'static str) -> Self {
        let file = file(path);
        let lines = file.lines().map(|line| match path.ends_with(".rs") {
            true => documentation(line).unwrap_or_default(),
            false => line,
        });
        let words: Vec<_> = lines.flat_map(str::split_whitespace).collect();
        Self {
            path,
            text: words.join(" "),
        }
    }

    /// Fails where the page does not say this.
    pub fn says(&self, sentence: impl AsRef<str>) {
        let (sentence, path) = (sentence.as_ref(), self.path);
        assert!(self.text.contains(sentence), "{path}: {sentence:?}");
    }

    /// The rows of the table under this head.
    pub fn rows(path: &str, head: &str) -> Vec<Vec<String>> {
        let file = file(path);
        let lines = file
            .lines()
            .map(|line| documentation(line).unwrap_or(line).trim());
        let rows: Vec<_> = lines
            .skip_while(|line| *line != head)
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim))
            .map(|cells| cells.map(String::from).collect())
            .collect();
        assert!(!rows.is_empty(), "{path}: {head:?}");
        rows
    }
}

/// The number that a constant is made of which no user can see.
pub fn constant(path: &str, name: &str) -> usize {
    let file = file(path);
    let head = format!("const {name}: ");
    let (_, rest) = file
        .split_once(&head)
        .unwrap_or_else(|| panic!("{path}: {name}"));
    let (_, value) = rest.split_once(" = ").expect("a value");
    let value = &value[..value.find(';').expect("an end")];
    let digits = value.trim_start_matches(|char: char| !char.is_ascii_digit());
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// The names that the documentation of `as_str` lists, in its order, in one of a source's `impl`s.
pub fn names_of(path: &str, head: &str) -> Vec<String> {
    let file = file(path);
    let lines = file.lines().skip_while(|line| *line != head).skip(1);
    let said: Vec<_> = lines
        .take_while(|line| !line.contains("fn as_str"))
        .filter_map(documentation)
        .collect();
    let said = said.join(" ");
    let names = said.split('`').skip(1).step_by(2);
    names.map(String::from).collect()
}

/// The documentation of each public field, or of each variant, of a type in a source.
pub fn members(path: &str, declaration: &str) -> Vec<(String, String)> {
    let file = file(path);
    let lines = file.lines().skip_while(|line| *line != declaration).skip(1);
    let (mut members, mut said) = (Vec::new(), String::new());
    // As rustfmt has it: what is deeper belongs to a member.
    for line in lines.take_while(|line| *line != "}") {
        match line.strip_prefix("    ") {
            Some(line) if line.starts_with("///") => {
                said.push_str(documentation(line).unwrap_or_default());
                said.push(' ');
            }
            Some(line) if line.starts_with(|first: char| first.is_alphabetic()) => {
                let line = line.trim_start_matches("pub ");
                let is_name = |char: char| char.is_alphanumeric() || char == '_';
                let end = line.find(|char| !is_name(char)).unwrap_or(line.len());
                members.push((line[..end].into(), std::mem::take(&mut said)));
            }
            _ => {}
        }
    }
    assert!(!members.is_empty(), "{path}: {declaration:?}");
    members
}

fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let said = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))?;
    Some(said.trim())
}
