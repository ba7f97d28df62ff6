//! Links and ids as results.

use super::Json;

/// What two successes that brought these links must agree on: the links without what signs them,
/// in no order of their own. The provider signs the same file anew for every question.
pub(in crate::product) fn agreed<'l>(links: impl IntoIterator<Item = &'l str>) -> String {
    let mut bare: Vec<_> = links.into_iter().map(unsigned).collect();
    bare.sort_unstable();
    bare.join("\n")
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

fn unsigned(link: &str) -> &str {
    link.split(['?', '#']).next().unwrap_or_default()
}
