//! Links and ids as results.

use super::{Content, Found, Json};

/// What two successes that brought these links must agree on: the links without what signs them,
/// in no order of their own. The provider signs the same file anew for every question.
fn agreed<'l>(links: impl IntoIterator<Item = &'l str>) -> String {
    sorted(links.into_iter().map(unsigned))
}

/// The same of ids.
pub(in crate::product) fn sorted<'i>(ids: impl IntoIterator<Item = &'i str>) -> String {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.join("\n")
}

/// A link without what signs it.
pub(in crate::product) fn unsigned(link: &str) -> &str {
    link.split(['?', '#']).next().unwrap_or_default()
}

/// Nothing, or something on whose names two successes must agree.
pub(in crate::product) fn found(names: &[impl AsRef<str>]) -> Found {
    match names.is_empty() {
        true => Found::Nothing,
        false => Found::Usable(Some(agreed(names.iter().map(AsRef::as_ref)))),
    }
}

/// The one link that a result is, which a record has under one of `keys`.
pub(in crate::product) fn only_link(content: Content<'_>, keys: &[&str]) -> Option<String> {
    match content {
        Content::Callback(link) => link.link(),
        Content::Record(response) => {
            let [link] = response.pick(&[keys]);
            link?.link()
        }
        Content::Job(result) => job_urls(result).into_iter().next(),
        Content::Body(_) => None,
    }
}

/// The `resultUrls` of a job.
pub(in crate::product) fn job_urls(result: Json<'_>) -> Vec<String> {
    let [urls] = result.pick(&[&["resultUrls", "result_urls"]]);
    names(urls)
}

/// The links or ids of a list.
pub(in crate::product) fn names(list: Option<Json<'_>>) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(list) = list {
        list.each(|item| names.extend(item.link()));
    }
    names
}
