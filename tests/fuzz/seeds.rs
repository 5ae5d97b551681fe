//! Writes the first inputs of the fuzz targets into `corpus/`, from the frames and stores that tests keep as data.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{Clock, message::record::Draft};
use rocketmq_boot_store::{
    Append, Flush, Options, Store, TimerOptions, TimerUnit, Timers,
    disk::{Disk, SimDisk},
};

#[allow(dead_code, reason = "the tests that share this use the rest of it")]
#[path = "../../framework/protocol/tests/golden/captured.rs"]
mod captured;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for folder in ["frames", "bodies", "messages", "compression", "settings", "store", "timers"] {
        fs::create_dir_all(corpus.join(folder))?;
    }
    for (number, captured) in captured::all().into_iter().enumerate() {
        let mut encoded = Vec::new();
        let whole = captured.command();
        whole.encode(&mut encoded);
        fs::write(corpus.join("frames").join(number.to_string()), &encoded)?;
        if !captured.body.is_empty() {
            let target = if captured.body.starts_with(b"{") { "bodies" } else { "messages" };
            fs::write(corpus.join(target).join(number.to_string()), &captured.body)?;
            fs::write(corpus.join("compression").join(number.to_string()), &captured.body)?;
        }
    }
    let settings = b"# master\nbrokerClusterName = DefaultCluster\nbrokerId=0\ndeleteWhen: 04\nlong=a\\\n  b\\u0041\n";
    fs::write(corpus.join("settings").join("conf"), settings)?;
    fs::write(corpus.join("store").join("messages"), stored())?;
    fs::write(corpus.join("timers").join("waiting"), waiting())
}

/// A small store in the form that the target lays out: which file, its length, its bytes.
fn stored() -> Vec<u8> {
    let disk = SimDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = Options {
        commit_log_file_bytes: 4096,
        consume_queue_file_entries: 16,
        flush: Flush::Async { interval: Duration::from_secs(3600) },
        ..Options::new("/store")
    };
    let (store, _) = Store::open(options, Clock::manual(1_700_000_000_000), shared).expect("an empty folder opens");
    let queue = store.queue("t", 0);
    for number in 0..30_i64 {
        let draft = Draft {
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: number,
            born_host: ([127, 0, 0, 1], 5000).into(),
            store_host: ([127, 0, 0, 1], 10911).into(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"a body",
            topic: b"t",
            properties: b"TAGS\x01a\x02",
            more_properties: b"",
        };
        let mut batch = [Append { queue: &queue, draft, tags_code: 97, joined: false, outcome: None }];
        store.append(&mut batch);
    }
    store.close().expect("a simulated disk does not fail");
    let mut out = Vec::new();
    for (which, name) in [
        "commitlog/00000000000000000000",
        "commitlog/00000000000000004096",
        "consumequeue/t/0/00000000000000000000",
        "consumequeue/t/0/00000000000000000320",
        "checkpoint",
    ]
    .into_iter()
    .enumerate()
    {
        let content = disk.content(&Path::new("/store").join(name)).unwrap_or_default();
        out.push(which as u8);
        out.extend_from_slice(&(content.len() as u16).to_be_bytes());
        out.extend_from_slice(&content);
    }
    out
}

/// A timer log whose units share ticks, and no wheel.
fn waiting() -> Vec<u8> {
    let disk = SimDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = TimerOptions { precision_ms: 1000, log_file_bytes: 1040 };
    let (mut timers, _) = Timers::open(&shared, Path::new("/store"), options).expect("an empty folder opens");
    let units: Vec<_> = (0..40_u64)
        .map(|number| TimerUnit {
            position: number * 100,
            size: 100,
            due_ms: 1_700_000_000_000 + (number as i64 % 5) * 1000,
            enqueued_ms: 1_700_000_000_000,
            recalls: number == 7,
            ..TimerUnit::default()
        })
        .collect();
    timers.put(&units, |_| true).expect("a simulated disk does not fail");
    timers.sync(0, 40, 1_700_000_000_000).expect("a simulated disk does not fail");
    let mut out = vec![255, 0];
    for (path, content) in disk.files() {
        if path.starts_with("/store/timerlog") {
            out.extend_from_slice(&content);
        }
    }
    out
}
