//! What plainly is another product's is unknown: neither success nor failure.

use crate::{
    fixtures::{CALLBACKS, RECORDS},
    said::{PRODUCTS, callback, fixture},
};

#[test]
fn a_success_of_one_product_is_none_of_another() {
    for (name, owner, stage, ..) in CALLBACKS.iter().chain(RECORDS) {
        let is_job = owner == &"job";
        for product in PRODUCTS {
            if product == *owner || product == "any" || *stage == "failure" {
                continue;
            }
            let said = callback(product, fixture(name)).expect("an event");
            // A job may be of any product.
            let may_be_ours = is_job && matches!(product, "wav" | "video" | "cover-image");
            assert!(
                may_be_ours || said.stage != "success",
                "{name} is none of {product}"
            );
            assert_ne!(said.stage, "failure", "{name} is none of {product}");
        }
    }
}

#[test]
fn the_route_that_a_callback_belongs_to_is_named() {
    for (name, product, route) in [
        ("music-complete", "lyrics", "music"),
        ("music-text", "lyrics", "music"),
        ("music-first", "wav", "music or lyrics"),
        ("music-text", "job", "music or lyrics"),
        ("lyrics-complete-kie", "music", "lyrics"),
        ("lyrics-complete-sunoapi", "music", "lyrics"),
        ("wav-success", "video", "wav"),
        ("wav-failed-kie", "video", "wav"),
        ("mp4-failed-kie", "wav", "video"),
        ("mp4-success-kie", "music", "video"),
        ("stems-two-kie", "wav", "stems"),
        ("stems-failed-sunoapi", "music", "stems"),
        ("midi-success", "job", "midi"),
        ("cover-image-failed", "stems", "cover-image"),
        ("runway-success", "video", "any"),
        ("runway-failed", "video", "any"),
        ("veo-success", "video", "any"),
        ("image-4o-failed", "cover-image", "any"),
        ("flux-failed", "lyrics", "any"),
        ("aleph-success", "video", "any"),
        ("wav-record-success", "music", "another product's record"),
        ("music-record-success", "lyrics", "music"),
        ("lyrics-record-success", "music", "lyrics"),
    ] {
        let said = callback(product, fixture(name)).expect("an event");
        assert_eq!(
            (&*said.stage, said.foreign),
            ("unknown", Some(route)),
            "{name} at {product}"
        );
    }
}

#[test]
fn a_voice_is_none_of_the_others() {
    for product in PRODUCTS
        .into_iter()
        .filter(|product| !matches!(*product, "any" | "voice"))
    {
        for data in [
            r#""status":"success","voiceId":"v""#,
            r#""status":"fail","voiceId":"""#,
            r#""status":"wait_validating","validateInfo":"sing this""#,
        ] {
            let body = format!(r#"{{"code":200,"data":{{"taskId":"t",{data}}}}}"#);
            let said = callback(product, &body).expect("an event");
            let named = (&*said.stage, said.foreign);
            assert_eq!(named, ("unknown", Some("voice")), "{product} {data}");
        }
    }
}

#[test]
fn one_url_for_everything_tells_the_two_successes_of_a_veo_task_apart() {
    let (base, upscaled) = (fixture("veo-success"), fixture("veo-4k-success"));
    let of = |body: &str| callback("any", body).expect("an event");
    assert_eq!(of(&base).task_id, of(&upscaled).task_id);
    assert_eq!(of(&base).variant, base);
    assert_eq!(of(&upscaled).variant, upscaled);
    assert_eq!(of(&base).result, None);
    assert_eq!(of(&base).foreign, None);
}

#[test]
fn one_url_for_everything_takes_every_callback_for_what_it_is() {
    for (name, _, stage, ..) in CALLBACKS {
        let said = callback("any", fixture(name)).expect("an event");
        let expected = match *stage {
            "first 2" => "first 1",
            other => other,
        };
        assert_eq!(said.stage, expected, "{name}");
    }
}
