//! The laws of a product, one function each: what its callbacks may be taken for, and what reaches a
//! handler.
//!
//! Those that need a layer build one in memory and send it signed requests; nothing leaves the
//! process, and nothing is waited for.

mod body;
mod chance;
mod handing;
mod meaning;
mod reading;
mod receiver;
mod records;
mod samples;
mod showing;
mod spoil;
mod trial;

pub use self::{
    handing::{
        a_body_at_the_limit_is_taken, a_retold_event_is_a_duplicate, another_result_is_a_conflict,
        nothing_follows_a_success, stages_come_in_any_order, unknown_content_is_handed_over,
    },
    meaning::{
        a_denied_success_is_no_success, a_failure_has_no_results, a_failure_is_no_success,
        a_new_word_ends_no_task, a_repeated_key_changes_no_result, an_end_is_final,
        unknown_contents_differ,
    },
    reading::{
        an_event_keeps_its_body, every_sample_has_its_stage, ids_that_differ_are_refused,
        name_is_constant, reading_is_pure, reading_never_panics, the_id_is_found_in_four_places,
    },
    records::records_agree_with_callbacks,
    samples::Samples,
    showing::{hostile_text_is_escaped, links_are_not_shown},
};

use super::LawBroken;
use crate::product::Product;

/// Runs every law, one after the other.
///
/// Takes a second or two for samples of some hundred bytes. Must run on a tokio runtime. A product
/// that panics is caught by its law, and prints its panic like any other.
///
/// # Errors
///
/// The first law that is broken, or a sample that is no JSON object with the id of its task.
pub async fn all<P: Product>(product: &P, samples: &Samples<'_>) -> Result<(), LawBroken> {
    every_sample_has_its_stage(product, samples)?;
    name_is_constant(product, samples)?;
    reading_never_panics(product, samples)?;
    reading_is_pure(product, samples)?;
    an_event_keeps_its_body(product, samples)?;
    the_id_is_found_in_four_places(product, samples)?;
    ids_that_differ_are_refused(product, samples)?;
    a_denied_success_is_no_success(product, samples)?;
    a_failure_is_no_success(product, samples)?;
    a_repeated_key_changes_no_result(product, samples)?;
    a_new_word_ends_no_task(product, samples)?;
    an_end_is_final(product, samples)?;
    a_failure_has_no_results(product, samples)?;
    unknown_contents_differ(product, samples)?;
    records_agree_with_callbacks(product, samples)?;
    hostile_text_is_escaped(product, samples)?;
    links_are_not_shown(product, samples)?;
    a_body_at_the_limit_is_taken(product, samples).await?;
    a_retold_event_is_a_duplicate(product, samples).await?;
    stages_come_in_any_order(product, samples).await?;
    nothing_follows_a_success(product, samples).await?;
    another_result_is_a_conflict(product, samples).await?;
    unknown_content_is_handed_over(product, samples).await
}
