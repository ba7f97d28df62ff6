use suno_callback::{
    product::Stage,
    testkit::products::{self, Samples},
};

use crate::faulty::{Fault, Faulty, progress};

const SUCCESS: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","voiceId":"https://files.example/1.mp3","status":"success"}}"#;
const FAILURE: &str =
    r#"{"code":500,"msg":"fail","data":{"taskId":"t","status":"fail","errorMessage":"no voice"}}"#;
const QUEUED: &str = r#"{"code":200,"data":{"taskId":"t","status":"wait_processing"}}"#;
const VALIDATING: &str = r#"{"code":200,"data":{"taskId":"t","status":"processing_validate"}}"#;

const SAMPLES: Samples<'_> = Samples::new(SUCCESS, FAILURE)
    .progress(&[
        (QUEUED, progress("wait_processing")),
        (VALIDATING, progress("processing_validate")),
    ])
    .records(&[(SUCCESS, Stage::Success), (FAILURE, Stage::Failure)]);

/// What an author would give who thinks that one name is enough.
const ONE_NAME: Samples<'_> = Samples::new(SUCCESS, FAILURE).progress(&[
    (QUEUED, progress("progress")),
    (VALIDATING, progress("progress")),
]);

#[tokio::test]
async fn the_product_that_faults_are_put_into_keeps_every_law() {
    products::all(&Faulty(Fault::None), &SAMPLES).await.unwrap();
}

#[tokio::test]
async fn every_fault_breaks_the_law_that_it_should() {
    let mut wrong = Vec::new();
    for (fault, law) in [
        (Fault::StageIsUnknown, "every_sample_has_its_stage"),
        (Fault::SuccessIsProgress, "every_sample_has_its_stage"),
        (Fault::NameIsEmpty, "name_is_constant"),
        (Fault::NameIsASentence, "name_is_constant"),
        (Fault::NameCounts, "name_is_constant"),
        (Fault::PanicsAtOddValues, "reading_never_panics"),
        (Fault::PanicsInDebug, "reading_never_panics"),
        (Fault::CountsReadings, "reading_is_pure"),
        (Fault::BodyIsLost, "an_event_keeps_its_body"),
        (
            Fault::WantsTheDocumentedId,
            "the_id_is_found_in_four_places",
        ),
        (Fault::LastIdWins, "ids_that_differ_are_refused"),
        (Fault::MarkerAloneDecides, "a_denied_success_is_no_success"),
        (Fault::CodeAloneDecides, "a_failure_is_no_success"),
        (Fault::RepeatedKeyWins, "a_repeated_key_changes_no_result"),
        (Fault::UnknownIsFailure, "a_new_word_ends_no_task"),
        (Fault::UnknownIsProgress, "a_new_word_ends_no_task"),
        (Fault::NothingIsFinal, "an_end_is_final"),
        (Fault::FailureHasResults, "a_failure_has_no_results"),
        (Fault::OneSlotForTheUnknown, "unknown_contents_differ"),
        (Fault::CodeOfRecordsCounts, "records_agree_with_callbacks"),
        (Fault::RecordPathIsALink, "records_agree_with_callbacks"),
        (
            Fault::RecordHasAnotherResult,
            "records_agree_with_callbacks",
        ),
        (Fault::DebugIsRaw, "hostile_text_is_escaped"),
        (Fault::DebugIsWhole, "hostile_text_is_escaped"),
        (Fault::DebugShowsLinks, "links_are_not_shown"),
        (Fault::LimitIsSmall, "a_body_at_the_limit_is_taken"),
        (Fault::LimitIsNone, "a_body_at_the_limit_is_taken"),
        (Fault::ProgressIsItsBody, "a_retold_event_is_a_duplicate"),
        (Fault::ProgressHasOneName, "stages_come_in_any_order"),
        (Fault::ResultIsConstant, "another_result_is_a_conflict"),
    ] {
        let samples = match fault {
            Fault::ProgressHasOneName => ONE_NAME,
            _ => SAMPLES,
        };
        let broken = products::all(&Faulty(fault), &samples).await.err();
        if broken.as_ref().map(|broken| broken.law()) != Some(law) {
            wrong.push(format!("{fault:?} must break {law}: {broken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Their faults break another law before, where all are run.
#[tokio::test]
async fn laws_that_come_late_see_their_faults_alone_too() {
    let undone = products::nothing_follows_a_success(&Faulty(Fault::SuccessIsProgress), &SAMPLES);
    let broken = undone
        .await
        .expect_err("a failure was handed over after it");
    assert_eq!(broken.law(), "nothing_follows_a_success");

    let swallowing = Faulty(Fault::OneSlotForTheUnknown);
    let swallowed = products::unknown_content_is_handed_over(&swallowing, &SAMPLES);
    let broken = swallowed.await.expect_err("the second was swallowed");
    assert_eq!(broken.law(), "unknown_content_is_handed_over");

    let guessing = Faulty(Fault::UnknownIsFailure);
    let guessed = products::unknown_content_is_handed_over(&guessing, &SAMPLES);
    guessed.await.expect_err("it was handed over as a failure");
}

#[tokio::test]
async fn a_sample_that_is_none_is_told() {
    let product = Faulty(Fault::None);
    for (samples, told) in [
        (
            Samples::new("[]", FAILURE),
            "the sample of the success is no JSON object",
        ),
        (
            Samples::new(SUCCESS, r#"{"code":500}"#),
            "the sample of the failure names no task",
        ),
    ] {
        let broken = products::all(&product, &samples).await.unwrap_err();
        let law = "the product breaks the law `every_sample_has_its_stage`";
        assert_eq!(broken.to_string(), format!("{law}: {told}"));
    }
}
