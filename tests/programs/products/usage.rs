//! What the command lines take, and what they refuse.

use std::process::Command;

use harness::program::{example, output};

use super::{receiver_of, rest, sender, text_of};
use crate::receiver_stores::Folder;

#[test]
fn a_fixture_is_sent_as_it_is_and_signed_for_the_task_in_it() {
    let folder = Folder::new();
    let file = folder.write("text", &text_of("of the file"));
    let (server, mut lines) = receiver_of(&["music"], &[]);
    for fixture in [
        &["--fixture", &file][..],
        &["--fixture", &file, "--product", "music", "--stage", "text"],
        &[
            "--fixture",
            &file,
            "--product",
            "music",
            "--stage",
            "progress",
        ],
    ] {
        let output = output(&mut sender(&server, "music", fixture));
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(lines.next_event()["taskId"], "of the file");
    let other = ["--fixture", &file, "--task-id", "another"];
    let output = output(&mut sender(&server, "music", &other));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("401 Unauthorized").count(), 4, "{said}");
    assert_eq!(rest(server, lines), []);
}

/// That `command` is refused as wrong usage, and says why.
fn refused(command: &mut Command, why: &str) {
    let output = output(command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let line = said.lines().next().unwrap();
    assert!(line.contains(why), "{why:?} is not in {line:?}");
}

const KNOWN: &str = "voice, voice-validate, music, lyrics, wav, stems, midi, video, \
                     cover-image, job, any";

#[test]
fn a_receiver_refuses_products_that_it_cannot_serve() {
    let music = ["--product", "music"];
    for (arguments, why) in [
        (&["--product", "tape"][..], KNOWN),
        (&["--product", ""], KNOWN),
        (&["--product", "music:"], "is no path"),
        (&["--product", "music:music"], "is no path"),
        (&["--product", "music:/readyz"], "is a probe's path"),
        (
            &["--product", "music:/a", "--product", "wav:/a"],
            "/a is the path of two",
        ),
        (
            &["--product", "music", "--product", "music:/b"],
            "music is there twice",
        ),
        (
            &[&music[..], &["--path", "/a"]].concat(),
            "--product NAME:PATH",
        ),
        (
            &[&music[..], &["--kind", "generate"]].concat(),
            "voice or voice-validate",
        ),
    ] {
        refused(example("receiver").args(arguments), why);
    }
}

#[test]
fn a_sender_refuses_what_it_has_no_body_for() {
    let music = ["--product", "music"];
    for (arguments, why) in [
        (&["--product", "tape"][..], KNOWN),
        (
            &[&music[..], &["--stage", "verse"]].concat(),
            "complete, first, text, error",
        ),
        (&["--stage", "first"], "--stage needs --product"),
        (
            &[&music[..], &["--status", "fail"]].concat(),
            "do not go with --product",
        ),
    ] {
        let mut command = example("send");
        refused(
            command
                .args(["--to", "http://127.0.0.1:1/"])
                .args(arguments),
            why,
        );
    }
}

#[test]
fn a_sender_refuses_a_file_that_is_not_what_it_is_said_to_be() {
    let folder = Folder::new();
    let (text, odd) = (
        folder.write("text", &text_of("t")),
        folder.write("odd", "odd"),
    );
    let nowhere = folder.path("nowhere");
    let complete = ["--product", "music", "--stage", "complete"];
    for (file, arguments, why) in [
        (&nowhere, &[][..], "cannot read"),
        (&text, &["--voice-id", "v"], "do not go with"),
        (
            &text,
            &complete,
            "is no complete of music, but progress \"text\"",
        ),
        (&odd, &[], "needs a --task-id"),
        (&odd, &["--product", "wav"], "is no callback"),
    ] {
        let mut command = example("send");
        command.args(["--to", "http://127.0.0.1:1/", "--fixture", file]);
        refused(command.args(arguments), why);
    }
}
