//! `broker.conf` and its kin, as Java reads properties.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_protocol::properties_file::Properties;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|byte| *byte == b'\n').count() + bytes.iter().filter(|byte| **byte == b'\r').count();
    if let Ok(properties) = Properties::parse(bytes) {
        for entry in properties.entries() {
            assert!((1..=lines).contains(&entry.line), "line {} of {lines}", entry.line);
            assert_eq!(properties.get(&entry.key), Some(entry));
        }
    }
});
