//! Frames of real clients and servers: each decodes, keeps its meaning, and is read by the types that are made for it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod captured;
mod headers;

use rocketmq_boot_protocol::{
    Command, Encoding, Frame,
    hot::{self, OffsetView, PullView, SendView},
};

use captured::Captured;

/// Binary headers have no empty values: they read as absent.
fn without_empty(mut command: Command) -> Command {
    let empty: Vec<_> =
        command.fields.iter().filter(|(_, value)| value.is_empty()).map(|(key, _)| key.to_owned()).collect();
    for key in empty {
        command.fields.remove(&key);
    }
    command.remark = command.remark.filter(|remark| !remark.is_empty());
    command
}

#[test]
fn every_frame_decodes_to_the_code_it_was_captured_as() {
    for frame in captured::all() {
        let command = frame.command();
        assert_eq!(command.is_response(), frame.is_response, "{}", frame.name);
        if !frame.is_response {
            assert_eq!(Some(command.code), frame.request, "{}", frame.name);
        }
    }
}

#[test]
fn every_frame_encodes_again_to_the_same_meaning_in_both_encodings() {
    for frame in captured::all() {
        let command = frame.command();
        for encoding in [Encoding::Json, Encoding::Binary] {
            let mut sent = command.clone();
            sent.encoding = encoding;
            let bytes = sent.to_bytes();
            let (split, length) = Frame::split(&bytes).unwrap().unwrap();
            assert_eq!(length, bytes.len());
            let received = Command::decode(split).unwrap();
            match encoding {
                Encoding::Json => assert_eq!(received, sent, "{}", frame.name),
                Encoding::Binary => assert_eq!(received, without_empty(sent), "{}", frame.name),
            }
        }
    }
}

/// Runs a hot decoder over the frames with its codes, whatever encoding they came in.
fn agree(codes: &[i32], mut check: impl FnMut(&Captured, Frame<'_>, &Command)) {
    let mut checked = 0;
    for captured in captured::all().iter().filter(|frame| frame.asks(codes)) {
        check(captured, captured.frame(), &captured.command());
        let mut binary = captured.command();
        binary.encoding = Encoding::Binary;
        let bytes = binary.to_bytes();
        let (frame, _) = Frame::split(&bytes).unwrap().unwrap();
        check(captured, frame, &Command::decode(frame).unwrap());
        checked += 1;
    }
    assert!(checked >= 5, "only {checked} frames have the codes {codes:?}");
}

#[test]
fn hot_decoders_take_every_captured_request_and_agree_with_the_general_one() {
    let mut scratch = Vec::new();
    agree(&[10, 310, 320, 324, 325], |captured, frame, command| {
        let expected = SendView::from_command(command).unwrap();
        assert_eq!(SendView::decode(frame, &mut scratch), Some(expected), "{}", captured.name);
        assert_eq!(hot::code(&frame), Some(expected.code));
    });
    let mut scratch = Vec::new();
    agree(&[11, 361], |captured, frame, command| {
        let expected = PullView::from_command(command).unwrap();
        assert_eq!(PullView::decode(frame, &mut scratch), Some(expected), "{}", captured.name);
        assert_eq!(hot::code(&frame), Some(expected.code));
    });
    let mut scratch = Vec::new();
    agree(&[15], |captured, frame, command| {
        let expected = OffsetView::from_command(command).unwrap();
        assert_eq!(OffsetView::decode(frame, &mut scratch), Some(expected), "{}", captured.name);
        assert_eq!(hot::code(&frame), Some(expected.code));
    });
}

#[test]
fn the_code_of_every_request_is_found_without_decoding() {
    for frame in captured::all().iter().filter(|frame| !frame.is_response) {
        let code = hot::code(&frame.frame());
        assert_eq!(code.map(i32::from), frame.request, "{}", frame.name);
    }
}
