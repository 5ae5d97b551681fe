//! A timer log and a wheel full of anything: they are read or refused, and walking over what waits comes to an end.
#![no_main]

use std::{path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_store::{
    TimerOptions, Timers,
    disk::{Disk, SimDisk},
};

const FILE_BYTES: u64 = 1040;
const WHEEL_BYTES: usize = 38_707_200;

fuzz_target!(|bytes: &[u8]| {
    let [split, wheel_at, rest @ ..] = bytes else { return };
    let (log, wheel) = rest.split_at(rest.len() * usize::from(*split) / 255);
    let disk = SimDisk::new();
    disk.create_dirs(Path::new("/store/timerlog")).expect("the simulated disk takes folders");
    for (index, part) in log.chunks(FILE_BYTES as usize).enumerate() {
        let mut part = part.to_vec();
        part.resize(FILE_BYTES as usize, 0);
        disk.put(Path::new(&format!("/store/timerlog/{:020}", index as u64 * FILE_BYTES)), &part);
    }
    if *wheel_at > 250 {
        let mut content = wheel.to_vec();
        content.resize(WHEEL_BYTES, 0);
        disk.put(Path::new("/store/timerwheel"), &content);
    } else {
        disk.put(Path::new("/store/config/timermetrics"), wheel);
    }
    let shared: Arc<dyn Disk> = Arc::new(disk);
    let options = TimerOptions { precision_ms: 1000, log_file_bytes: FILE_BYTES };
    let Ok((mut timers, _)) = Timers::open(&shared, Path::new("/store"), options) else { return };
    while let Some(tick) = timers.first_tick() {
        let mut reading = timers.units(tick).expect("a simulated disk does not fail");
        let mut given = 0;
        loop {
            let units = timers.next_units(&mut reading).expect("a simulated disk does not fail");
            given += units.len();
            if units.is_empty() {
                break;
            }
            assert!(given <= log.len(), "more units than there is room for");
        }
        timers.done(tick);
    }
});
