//! Stored records, batch bodies and properties: every length is checked before it is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_protocol::message::{MessageView, batch, property, record::records};

const MAX_BODY_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    for record in records(bytes) {
        let Ok(record) = record else { break };
        let _ = record.check_crc();
        let _ = record.property("KEYS");
        if let Ok(view) = MessageView::decode(&record, MAX_BODY_BYTES) {
            assert!(view.body.len() <= MAX_BODY_BYTES.max(record.body.len()));
        }
    }
    for item in batch::items(bytes) {
        let Ok(item) = item else { break };
        let mut again = Vec::new();
        batch::encode(&item, &mut again).expect("what was read can be written");
        let first = batch::items(&again).next().expect("one was written").expect("it is whole");
        assert_eq!((first.flag, first.body, first.properties), (item.flag, item.body, item.properties));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        for (key, value) in property::iterate(text) {
            // The first of a name is found, whichever way it is looked for.
            let found = property::get(text, key);
            assert_eq!(found.map(str::as_bytes), property::find(bytes, key.as_bytes()));
            assert!(found.is_some(), "{key:?} = {value:?} was iterated over");
        }
    }
});
