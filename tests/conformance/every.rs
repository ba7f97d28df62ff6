//! Every product of this crate, on the bodies of its pages.

use suno_callback::{
    product::{
        AnyProduct, CoverImage, Job, Lyrics, Midi, Music, Product, Stage, Stems, Video, Wav,
    },
    testkit::{
        LawBroken,
        products::{self, Samples},
    },
};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name, ".json"))
    };
}

const RECORD_UNKNOWN: (&str, Stage) = (fixture!("record-unknown"), Stage::Unknown);

const TEXT: Stage = Stage::Progress {
    name: "text",
    step: 1,
};
const FIRST: Stage = Stage::Progress {
    name: "first",
    step: 2,
};

const MUSIC: Samples<'_> = Samples::new(fixture!("music-complete"), fixture!("music-error"))
    .progress(&[
        (fixture!("music-text"), TEXT),
        (fixture!("music-first"), FIRST),
    ])
    .records(&[
        (fixture!("music-record-success"), Stage::Success),
        (fixture!("music-record-failed"), Stage::Failure),
        (fixture!("music-record-first"), FIRST),
        RECORD_UNKNOWN,
    ])
    .unknown(&[fixture!("wav-success")]);

const LYRICS: Samples<'_> = Samples::new(
    fixture!("lyrics-complete-kie"),
    fixture!("lyrics-error-sunoapi"),
)
.records(&[
    (fixture!("lyrics-record-success"), Stage::Success),
    (fixture!("lyrics-record-failed"), Stage::Failure),
])
.unknown(&[fixture!("midi-success")]);

const WAV: Samples<'_> = Samples::new(fixture!("wav-success"), fixture!("wav-failed-kie"))
    .records(&[
        (fixture!("wav-record-success"), Stage::Success),
        (fixture!("wav-record-failed"), Stage::Failure),
    ])
    .unknown(&[fixture!("music-complete")]);

const STEMS: Samples<'_> = Samples::new(fixture!("stems-two-kie"), fixture!("stems-failed-kie"))
    .records(&[
        (fixture!("stems-record-two"), Stage::Success),
        (fixture!("stems-record-failed"), Stage::Failure),
    ])
    .unknown(&[fixture!("music-complete")]);

const MIDI: Samples<'_> = Samples::new(fixture!("midi-success"), fixture!("midi-failed"))
    .records(&[
        (fixture!("midi-record-success"), Stage::Success),
        (fixture!("midi-record-failed"), Stage::Failure),
    ])
    .unknown(&[fixture!("wav-success")]);

const VIDEO: Samples<'_> = Samples::new(fixture!("mp4-success-kie"), fixture!("mp4-failed-kie"))
    .records(&[
        (fixture!("mp4-record-success"), Stage::Success),
        (fixture!("mp4-record-failed"), Stage::Failure),
    ])
    .unknown(&[fixture!("music-complete")]);

const COVER_IMAGE: Samples<'_> = Samples::new(
    fixture!("cover-image-success"),
    fixture!("cover-image-failed"),
)
.records(&[
    (fixture!("cover-image-record-success"), Stage::Success),
    (fixture!("cover-image-record-failed"), Stage::Failure),
])
.unknown(&[fixture!("music-complete")]);

const JOB: Samples<'_> = Samples::new(fixture!("job-success"), fixture!("job-failed"))
    .records(&[
        (fixture!("job-record-success"), Stage::Success),
        (fixture!("job-record-failed"), Stage::Failure),
    ])
    .unknown(&[fixture!("music-complete")]);

/// One that nobody knows more about than its word.
const FIRST_OF_ANY: Stage = Stage::Progress {
    name: "first",
    step: 1,
};

const ANY: Samples<'_> = Samples::new(fixture!("wav-success"), fixture!("music-error"))
    .progress(&[
        (fixture!("music-text"), TEXT),
        (fixture!("music-first"), FIRST_OF_ANY),
    ])
    .told_apart_by_body();

#[tokio::test]
async fn every_product_keeps_every_law() {
    let broken: Vec<_> = [
        told(Music, MUSIC).await,
        told(Lyrics, LYRICS).await,
        told(Wav, WAV).await,
        told(Stems, STEMS).await,
        told(Midi, MIDI).await,
        told(Video, VIDEO).await,
        told(CoverImage, COVER_IMAGE).await,
        told(Job, JOB).await,
        told(AnyProduct, ANY).await,
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

async fn told(product: impl Product, samples: Samples<'_>) -> Option<(&'static str, LawBroken)> {
    let broken = products::all(&product, &samples).await.err();
    broken.map(|broken| (product.name(), broken))
}
