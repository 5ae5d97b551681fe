//! What arrives at a socket: it is frames that decode to the same meaning again, or it is refused; and where a fast
//! decoder answers, it says what the general one says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_protocol::{
    Command, Frame,
    hot::{OffsetView, PullView, SendView},
};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = Frame::split(rest) {
        let general = Command::decode(frame).ok();
        if let Some(command) = &general {
            check_meaning(command);
        }
        check_fast(frame, general.as_ref());
        rest = &rest[length..];
    }
});

fn check_meaning(command: &Command) {
    let encoded = command.to_bytes();
    // What came in one encoding may be too large in the other's terms, so a second frame need not exist.
    let Ok(Some((frame, _))) = Frame::split(&encoded) else { return };
    let again = Command::decode(frame).expect("what was encoded decodes");
    assert_eq!((again.code, again.opaque, again.flag), (command.code, command.opaque, command.flag));
    assert_eq!(again.body, command.body);
}

fn check_fast(frame: Frame<'_>, general: Option<&Command>) {
    let mut scratch = Vec::new();
    if let Some(view) = SendView::decode(frame, &mut scratch) {
        let command = general.expect("the general decoder takes what the fast one takes");
        assert_eq!(Some(view), SendView::from_command(command).ok());
    }
    if let Some(view) = PullView::decode(frame, &mut scratch) {
        let command = general.expect("the general decoder takes what the fast one takes");
        assert_eq!(Some(view), PullView::from_command(command).ok());
    }
    if let Some(view) = OffsetView::decode(frame, &mut scratch) {
        let command = general.expect("the general decoder takes what the fast one takes");
        assert_eq!(Some(view), OffsetView::from_command(command).ok());
    }
}
