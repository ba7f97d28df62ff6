//! What the provider documents that the callbacks of each product look like.

use std::fmt;

use bytes::Bytes;
use suno_callback::{
    InvalidEvent, Product, TaskId,
    product::{AnyProduct, CoverImage, Event, Job, Lyrics, Midi, Music, Stems, Video, Voice, Wav},
};

use super::BoxError;

/// A product by its name, with what it says of a body and the bodies of its stages.
pub struct Documented {
    pub name: &'static str,
    read: fn(&[u8]) -> Result<Read, InvalidEvent>,
    stages: &'static [(&'static str, &'static str)],
}

/// How a product reads a body.
pub struct Read {
    stage: &'static str,
    name: String,
}

/// Where the task's id is in a body of [`PRODUCTS`], as a string of JSON.
const TASK: &str = "TASK";

#[rustfmt::skip] // a body is one line
static PRODUCTS: [Documented; 11] = [
    Documented {
        name: "voice",
        read: |body| read(Voice::generate(), body),
        stages: &[
            ("success", r#"{"code":200,"msg":"success","data":{"taskId":TASK,"voiceId":"voice_1","status":"success","errorCode":null,"errorMessage":""}}"#),
            ("wait_processing", r#"{"code":200,"msg":"success","data":{"taskId":TASK,"voiceId":"","status":"wait_processing","errorCode":null,"errorMessage":""}}"#),
            ("fail", r#"{"code":400,"msg":"fail","data":{"taskId":TASK,"voiceId":"","status":"fail","errorCode":500,"errorMessage":"something went wrong"}}"#),
        ],
    },
    Documented {
        name: "voice-validate",
        read: |body| read(Voice::validate(), body),
        stages: &[
            ("wait_validating", r#"{"code":200,"msg":"success","data":{"taskId":TASK,"validateInfo":"sing this phrase","status":"wait_validating","errorCode":0,"errorMessage":""}}"#),
            ("processing_validate_fail", r#"{"code":400,"msg":"fail","data":{"taskId":TASK,"validateInfo":"","status":"processing_validate_fail","errorCode":500,"errorMessage":"something went wrong"}}"#),
        ],
    },
    Documented {
        name: "music",
        read: |body| read(Music, body),
        stages: &[
            ("complete", r#"{"code":200,"msg":"All generated successfully.","data":{"callbackType":"complete","task_id":TASK,"data":[{"id":"track-1","title":"Harbour","audio_url":"https://files.example/track-1.mp3"},{"id":"track-2","title":"Harbour","audio_url":"https://files.example/track-2.mp3"}]}}"#),
            ("first", r#"{"code":200,"msg":"First track generated successfully.","data":{"callbackType":"first","task_id":TASK,"data":[{"id":"track-1","title":"Harbour","audio_url":"https://files.example/track-1.mp3"}]}}"#),
            ("text", r#"{"code":200,"msg":"Text generation completed.","data":{"callbackType":"text","task_id":TASK,"data":[]}}"#),
            ("error", r#"{"code":501,"msg":"Audio generation failed","data":{"callbackType":"error","task_id":TASK,"data":null}}"#),
        ],
    },
    Documented {
        name: "lyrics",
        read: |body| read(Lyrics, body),
        stages: &[
            ("complete", r#"{"code":200,"msg":"All generated successfully.","data":{"callbackType":"complete","task_id":TASK,"data":[{"title":"Harbour","text":"[Verse]\nThe lamps go out","status":"complete","error_message":""}]}}"#),
            ("error", r#"{"code":400,"msg":"Lyrics generation failed","data":{"callbackType":"error","taskId":TASK,"data":null}}"#),
        ],
    },
    Documented {
        name: "wav",
        read: |body| read(Wav, body),
        stages: &[
            ("success", r#"{"code":200,"msg":"success","data":{"task_id":TASK,"audioWavUrl":"https://files.example/track-1.wav"}}"#),
            ("failure", r#"{"code":500,"msg":"Internal Error - Please try again later","data":{"task_id":TASK,"audioWavUrl":null}}"#),
        ],
    },
    Documented {
        name: "stems",
        read: |body| read(Stems, body),
        stages: &[
            ("success", r#"{"code":200,"msg":"vocal separation generated successfully.","data":{"task_id":TASK,"vocal_separation_info":{"origin_url":"","instrumental_url":"https://files.example/instrumental.mp3","vocal_url":"https://files.example/vocals.mp3"}}}"#),
            ("failure", r#"{"code":500,"msg":"Vocal separation failed","data":{"task_id":TASK,"vocal_separation_info":null}}"#),
        ],
    },
    Documented {
        name: "midi",
        read: |body| read(Midi, body),
        stages: &[
            ("complete", r#"{"code":200,"msg":"success","data":{"taskId":TASK,"state":"complete","instruments":[{"name":"Drums","notes":[{"pitch":73,"start":"0.0364","end":"0.1822","velocity":1}]}]}}"#),
            ("failure", r#"{"code":500,"msg":"MIDI generation failed","data":{"taskId":TASK}}"#),
        ],
    },
    Documented {
        name: "video",
        read: |body| read(Video, body),
        stages: &[
            ("success", r#"{"code":200,"msg":"success","data":{"task_id":TASK,"video_url":"https://files.example/track-1.mp4"}}"#),
            ("failure", r#"{"code":500,"msg":"Internal Error - Please try again later","data":{"task_id":TASK,"video_url":null}}"#),
        ],
    },
    Documented {
        name: "cover-image",
        read: |body| read(CoverImage, body),
        stages: &[
            ("success", r#"{"code":200,"msg":"success","data":{"taskId":TASK,"images":["https://files.example/cover-1.png","https://files.example/cover-2.png"]}}"#),
            ("failure", r#"{"code":501,"msg":"Cover generation failed","data":{"taskId":TASK,"images":null}}"#),
        ],
    },
    Documented {
        name: "job",
        read: |body| read(Job, body),
        stages: &[
            ("success", r#"{"code":200,"msg":"Playground task completed successfully.","data":{"taskId":TASK,"model":"vendor/model","state":"success","resultJson":"{\"resultUrls\":[\"https://files.example/result-1.png\"]}","failCode":null,"failMsg":null}}"#),
            ("fail", r#"{"code":501,"msg":"Playground task failed.","data":{"taskId":TASK,"model":"vendor/model","state":"fail","resultJson":null,"failCode":"400","failMsg":"The prompt was refused"}}"#),
        ],
    },
    Documented {
        name: "any",
        read: |body| read(AnyProduct, body),
        stages: &[
            ("success", r#"{"code":200,"msg":"Veo3.1 video generated successfully.","data":{"taskId":TASK,"info":{"resultUrls":["https://files.example/v.mp4"],"resolution":"1080p"},"fallbackFlag":false}}"#),
            ("failure", r#"{"code":422,"msg":"The request was rejected","data":{"taskId":TASK,"fallbackFlag":false}}"#),
        ],
    },
];

impl Documented {
    pub fn named(name: &str) -> Result<&'static Self, BoxError> {
        let found = PRODUCTS.iter().find(|product| product.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = PRODUCTS.iter().map(|product| product.name).collect();
            format!("{name:?} is no product; there are {}", known.join(", ")).into()
        })
    }

    /// The documented body of a stage; without one, of the first.
    pub fn body(&self, stage: Option<&str>, task_id: &str) -> Result<Bytes, BoxError> {
        let task_id = serde_json::to_string(task_id)?;
        for (word, body) in self.stages {
            let body = body.replace(TASK, &task_id);
            let is = |stage: &str| stage == *word || self.reads(body.as_bytes(), stage);
            if stage.is_none_or(is) {
                return Ok(body.into());
            }
        }
        let stages: Vec<_> = self.stages.iter().map(|(word, _)| *word).collect();
        Err(format!(
            "{} has no stage {:?}; there are {}",
            self.name,
            stage.unwrap_or_default(),
            stages.join(", ")
        )
        .into())
    }

    /// Whether the product reads a body as that stage, by the provider's word or by the layer's.
    fn reads(&self, body: &[u8], stage: &str) -> bool {
        self.read(body).is_ok_and(|read| read.is(stage))
    }

    pub fn read(&self, body: &[u8]) -> Result<Read, InvalidEvent> {
        (self.read)(body)
    }
}

impl Read {
    /// Whether that is the stage, in the provider's word or in the layer's.
    pub fn is(&self, stage: &str) -> bool {
        stage == self.stage || stage == self.name
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.stage, self.name)
    }
}

fn read<P: Product>(product: P, body: &[u8]) -> Result<Read, InvalidEvent> {
    let event = product.parse(body)?;
    Ok(Read {
        stage: event.stage().as_str(),
        name: event.name().to_owned(),
    })
}

/// The task that a body is about, whatever it is of.
pub fn task_id(body: &[u8]) -> Result<TaskId, InvalidEvent> {
    Ok(AnyProduct.parse(body)?.task_id().clone())
}
