use suno_callback::{
    product::{Stage, Voice},
    testkit::{
        LawBroken,
        products::{self, Samples},
    },
};

const SUCCESS: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","voiceId":"voice_1","status":"success","errorCode":null,"errorMessage":""}}"#;
const FAILURE: &str = r#"{"code":400,"msg":"fail","data":{"taskId":"t","voiceId":"","status":"fail","errorCode":500,"errorMessage":"no voice"}}"#;
const QUEUED: &str =
    r#"{"code":200,"msg":"success","data":{"taskId":"t","status":"wait_processing"}}"#;
const VALIDATING: &str =
    r#"{"code":200,"msg":"success","data":{"taskId":"t","status":"processing_validate"}}"#;
const PHRASE: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","validateInfo":"sing it","status":"wait_validating","errorCode":0,"errorMessage":""}}"#;
const MUSIC: &str = r#"{"code":200,"msg":"ok","data":{"callbackType":"complete","task_id":"t","data":[{"id":"song"}]}}"#;

/// The answers of the API, in which `status` says everything.
const RECORD: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","voiceId":"voice_1","status":"success","errorCode":0}}"#;
const FAILED_RECORD: &str = r#"{"code":200,"msg":"success","data":{"taskId":"t","voiceId":"fail","status":"fail","errorCode":400,"errorMessage":"no"}}"#;

const JOB: &str = r#"{"code":200,"msg":"ok","data":{"taskId":"t","state":"success","resultJson":"{\"data\":{\"voiceId\":\"voice_1\",\"status\":\"success\"}}"}}"#;
const FAILED_JOB: &str = r#"{"code":501,"msg":"no","data":{"taskId":"t","state":"fail","resultJson":null,"failCode":"500","failMsg":"no"}}"#;
const RUNNING_JOB: &str = r#"{"code":200,"data":{"taskId":"t","state":"generating"}}"#;

const fn progress(name: &'static str, step: u8) -> Stage {
    Stage::Progress { name, step }
}

/// What is sent for a voice.
pub const SAMPLES: Samples<'_> = Samples::new(SUCCESS, FAILURE)
    .progress(&[
        (QUEUED, progress("wait_processing", 0)),
        (VALIDATING, progress("processing_validate", 0)),
        (PHRASE, progress("phrase", 1)),
    ])
    .records(&[
        (RECORD, Stage::Success),
        (FAILED_RECORD, Stage::Failure),
        (PHRASE, progress("phrase", 1)),
    ])
    .unknown(&[MUSIC]);

/// The same, of a voice that was submitted as a job.
const JOBS: Samples<'_> = Samples::new(JOB, FAILED_JOB)
    .progress(&[(RUNNING_JOB, progress("generating", 0))])
    .records(&[(JOB, Stage::Success), (FAILED_JOB, Stage::Failure)]);

#[tokio::test]
async fn voices_keep_every_law() -> Result<(), LawBroken> {
    products::all(&Voice::generate(), &SAMPLES).await?;
    products::all(&Voice::validate(), &SAMPLES).await
}

#[tokio::test]
async fn voices_of_the_job_api_keep_every_law() -> Result<(), LawBroken> {
    products::all(&Voice::generate().as_job(), &JOBS).await?;
    products::all(&Voice::validate().as_job(), &JOBS).await
}
