//! The fields that these products have in common, and the keys that lead to them.

use crate::event::{Key, Level};

pub(in crate::product) const CODE: u8 = 0;
pub(in crate::product) const MESSAGE: u8 = 1;
/// `callbackType`.
pub(in crate::product) const MARKER: u8 = 2;
/// `state`, of a job and of MIDI.
pub(in crate::product) const STATE: u8 = 3;
/// `status`, of a record.
pub(in crate::product) const STATUS: u8 = 4;
/// `successFlag`, of a record: a word or a number.
pub(in crate::product) const FLAG: u8 = 5;
pub(in crate::product) const ERROR_CODE: u8 = 6;
pub(in crate::product) const ERROR_MESSAGE: u8 = 7;
/// The result in a record.
pub(in crate::product) const RESPONSE: u8 = 8;
/// The result of a job.
pub(in crate::product) const RESULT_JSON: u8 = 9;
/// The result in a callback of the product's own.
pub(in crate::product) const RESULT: u8 = 10;
/// One more of the product's own.
pub(in crate::product) const EXTRA: u8 = 11;

/// What a key means to all of these products; each looks for its own first.
pub(in crate::product) fn shared(level: Level, key: &str) -> Key {
    match level {
        Level::Top => match key {
            "code" => Key::field(CODE),
            "msg" => Key::field(MESSAGE),
            _ => Key::IGNORED,
        },
        Level::Data => data(key).unwrap_or_else(|| foreign(key)),
        Level::Result | Level::WithinResult => Key::IGNORED,
    }
}

fn data(key: &str) -> Option<Key> {
    Some(match key {
        "callbackType" => Key::field(MARKER),
        "callback_type" => Key::field(MARKER).respelled(),
        "state" => Key::field(STATE),
        "errorCode" => Key::field(ERROR_CODE),
        "failCode" => Key::field(ERROR_CODE).respelled(),
        "errorMessage" => Key::field(ERROR_MESSAGE),
        "failMsg" => Key::field(ERROR_MESSAGE).respelled(),
        "response" => Key::raw(RESPONSE),
        "resultJson" => Key::raw(RESULT_JSON),
        "result_json" => Key::raw(RESULT_JSON).respelled(),
        _ => return None,
    })
}

/// The products that have a key of their own, by their callback pages, in the words of their routes.
fn foreign(key: &str) -> Key {
    Key::foreign(match key {
        "voiceId" | "voice_id" | "validateInfo" | "validate_info" | "isAvailable" => "voice",
        "status" => "voice",
        "data" => "music or lyrics",
        "operationType" | "parentMusicId" => "music",
        "audioWavUrl" | "audio_wav_url" => "wav",
        "vocal_separation_info" | "vocal_removal_info" => "stems",
        "instruments" | "midiData" => "midi",
        "video_url" => "video",
        "images" => "cover-image",
        "video_id" | "result_video_url" | "info" | "fallbackFlag" | "promptJson" | "resultUrls" => {
            "any"
        }
        "successFlag" => "another product's record",
        _ => return Key::IGNORED,
    })
}
