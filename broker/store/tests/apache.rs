//! Folders that Apache's brokers left behind open here, cleanly stopped or killed, and say what their manifests say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use flate2::read::GzDecoder;
use rocketmq_boot_protocol::{
    Clock,
    message::{
        MessageView, hash,
        id::OffsetMessageId,
        property,
        record::{Record, records},
    },
};
use rocketmq_boot_store::{
    Heat, IndexSize, KeyKind, KeyQuery, Options, Queue, ReadLimit, ReadStatus, Recovered, Store, TagsCode,
    disk::{Disk, File, RealDisk, SimDisk},
};
use serde_json::Value;
use tempfile::TempDir;

const STORES: [(&str, &str); 4] =
    [("4.9.7", "clean"), ("4.9.7", "killed"), ("5.5.0", "clean"), ("5.5.0", "killed")];
const LIMIT: ReadLimit = ReadLimit { max_messages: 7, max_bytes: 20_000, max_scan: 100 };

fn unpack(version: &str, state: &str) -> (TempDir, Value) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(version).join(state);
    let folder = tempfile::tempdir().unwrap();
    let packed = fs::File::open(vectors.join("store.tar.gz")).unwrap();
    for entry in tar::Archive::new(GzDecoder::new(packed)).entries().unwrap() {
        let mut entry = entry.unwrap();
        // 37 MiB of nearly nothing, of which the store knows nothing.
        if !entry.path().unwrap().ends_with("timerwheel") {
            entry.unpack_in(folder.path()).unwrap();
        }
    }
    let manifest = fs::read(vectors.join("manifest.json")).unwrap();
    (folder, serde_json::from_slice(&manifest).unwrap())
}

fn options(root: &Path) -> Options {
    Options {
        commit_log_file_bytes: 65_536,
        consume_queue_file_entries: 50,
        index: Some(IndexSize { slots: 100, entries: 200 }),
        tags_code: TagsCode::new(tags_code),
        ..Options::new(root)
    }
}

/// As the broker that wrote the folders: a waiting delayed message is found by when it is due.
fn tags_code(record: &Record<'_>) -> i64 {
    const LEVELS_MS: [(&str, i64); 2] = [("1", 1_000), ("18", 7_200_000)];
    let delay = record.property(property::DELAY).filter(|_| record.topic == "SCHEDULE_TOPIC_XXXX");
    match delay.and_then(|level| LEVELS_MS.iter().find(|(name, _)| *name == level)) {
        Some((_, delay)) => record.store_timestamp + delay,
        None => record.property(property::TAGS).map_or(0, hash::tags_code),
    }
}

fn open(folder: &Path, disk: Arc<dyn Disk>) -> (Store, Recovered) {
    Store::open(options(folder), Clock::system(), disk).unwrap()
}

/// A simulated disk with what lies in a real folder.
fn simulate(folder: &Path) -> SimDisk {
    fn add(disk: &SimDisk, real: &Path, root: &Path) {
        for entry in RealDisk.list(real).unwrap() {
            let path = real.join(&entry.name);
            if entry.folder {
                add(disk, &path, root);
            } else {
                let file: Arc<dyn File> = RealDisk.open(&path).unwrap();
                let mut bytes = vec![0; usize::try_from(entry.bytes).unwrap()];
                file.read_at(&mut bytes, 0).unwrap();
                disk.put(&Path::new("/store").join(path.strip_prefix(root).unwrap()), &bytes);
            }
        }
    }
    let disk = SimDisk::new();
    add(&disk, folder, folder);
    disk
}

/// Reads a queue to its end: records, with the tags codes of their entries.
fn read_all(store: &Store, queue: &Queue) -> Vec<(Vec<u8>, i64)> {
    let (mut offset, mut found) = (queue.min_offset(), Vec::new());
    while offset < queue.max_offset() {
        let (mut codes, mut out) = (Vec::new(), Vec::new());
        let mut note = |code| {
            codes.push(code);
            true
        };
        let outcome = store.read(queue, offset, LIMIT, &mut note, &mut out, Heat::Any).unwrap();
        assert_eq!(outcome.status, ReadStatus::Found, "{}-{} at {offset}", queue.topic(), queue.id());
        let mut codes = codes.into_iter();
        for record in records(&out) {
            let record = record.unwrap();
            let position = u64::try_from(record.physical_offset).unwrap();
            found.push((store.record(position).unwrap().unwrap(), codes.next().unwrap()));
        }
        offset = outcome.next_offset;
    }
    found
}

/// Asserts that the store holds what the manifest says, and nothing else.
fn assert_manifest(store: &Store, manifest: &Value, what: &str) {
    let number = |value: &Value, key: &str| value[key].as_i64().unwrap_or_else(|| panic!("{key} in {value}"));
    let text = |value: &Value, key: &str| value[key].as_str().map(ToOwned::to_owned).unwrap_or_default();
    let mut expected: BTreeMap<(String, i64, i64), &Value> = BTreeMap::new();
    for message in manifest["messages"].as_array().unwrap() {
        let place = (text(message, "topic"), number(message, "queueId"), number(message, "queueOffset"));
        expected.insert(place, message);
    }
    for entry in manifest["queues"].as_array().unwrap() {
        let (topic, id) = (text(entry, "topic"), number(entry, "queueId"));
        let queue = store
            .find_queue(&topic, u32::try_from(id).unwrap())
            .unwrap_or_else(|| panic!("{what}: {topic}-{id}"));
        let ends = (queue.min_offset(), queue.max_offset());
        assert_eq!(ends, (number(entry, "minOffset"), number(entry, "maxOffset")), "{what}: {topic}-{id}");
        for (bytes, code) in read_all(store, &queue) {
            let record = Record::decode(&bytes).unwrap();
            let message = expected.remove(&(topic.clone(), id, record.queue_offset)).unwrap();
            let at = format!("{what}: {topic}-{id} at {}", record.queue_offset);
            assert_eq!(code, number(message, "tagsCode"), "{at}");
            assert!(record.check_crc(), "{at}");
            assert_eq!(i64::from(record.body_crc), number(message, "bodyCrc"), "{at}");
            assert_eq!(record.physical_offset, number(message, "physicalOffset"), "{at}");
            assert_eq!(i64::from(record.total_size), number(message, "size"), "{at}");
            assert_eq!(i64::from(record.sys_flag), number(message, "sysFlag"), "{at}");
            assert_eq!(i64::from(record.flag), number(message, "flag"), "{at}");
            assert_eq!(record.born_timestamp, number(message, "bornTimestamp"), "{at}");
            assert_eq!(record.store_timestamp, number(message, "storeTimestamp"), "{at}");
            assert_eq!(record.born_host.to_string(), text(message, "bornHost"), "{at}");
            assert_eq!(record.store_host.to_string(), text(message, "storeHost"), "{at}");
            assert_eq!(i64::from(record.reconsume_times), number(message, "reconsumeTimes"), "{at}");
            let prepared = number(message, "preparedTransactionOffset");
            assert_eq!(record.prepared_transaction_offset, prepared, "{at}");

            let view = MessageView::decode(&record, 1 << 20).unwrap();
            let hex: String = view.body.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, text(message, "bodyHex"), "{at}");
            assert_eq!(view.offset_message_id, text(message, "offsetMsgId"), "{at}");
            let parsed: OffsetMessageId = view.offset_message_id.parse().unwrap();
            assert_eq!(parsed.host, record.store_host, "{at}");
            if let Some(id) = view.property(property::UNIQ_KEY) {
                assert_eq!(
                    (id, &view.message_id),
                    (text(message, "msgId").as_str(), &text(message, "msgId")),
                    "{at}"
                );
            }
            let properties: BTreeMap<_, _> = view.properties.iter().collect();
            let wanted: BTreeMap<_, _> = message["properties"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
                .collect();
            assert_eq!(properties, wanted, "{at}");
        }
    }
    assert!(expected.is_empty(), "{what}: not found: {:?}", expected.keys());
}

#[test]
fn every_message_of_apaches_stores_reads_back_as_its_manifest_says() {
    for (version, state) in STORES {
        let (folder, manifest) = unpack(version, state);
        let what = format!("{version} {state}");
        let root = folder.path().join("store");
        let (store, found) = open(&root, Arc::new(RealDisk));
        assert_eq!(found.unclean, state == "killed", "{what}");
        assert_eq!((found.truncated_bytes, found.quarantined.len()), (0, 0), "{what}");
        assert_manifest(&store, &manifest, &what);
        drop(store);
        let (store, _) = open(&root, Arc::new(RealDisk));
        assert_manifest(&store, &manifest, &format!("{what}, opened after a crash of ours"));
        store.close().unwrap();
        drop(store);
        let (store, found) = open(&root, Arc::new(RealDisk));
        assert!(!found.unclean);
        assert_manifest(&store, &manifest, &format!("{what}, opened again"));
    }
}

#[test]
fn apaches_stores_read_the_same_on_the_simulated_disk_and_without_their_queues() {
    for (version, state) in STORES {
        let (folder, manifest) = unpack(version, state);
        let disk = simulate(&folder.path().join("store"));
        let (store, _) = open(Path::new("/store"), Arc::new(disk.kill()));
        assert_manifest(&store, &manifest, &format!("{version} {state}, simulated"));

        let disk = disk.kill();
        disk.remove_dirs(Path::new("/store/consumequeue")).unwrap();
        let (store, found) = open(Path::new("/store"), Arc::new(disk));
        assert!(found.rebuilt_queues);
        assert_manifest(&store, &manifest, &format!("{version} {state}, without queues"));
    }
}

#[test]
fn queue_files_made_again_are_apaches_byte_for_byte() {
    for (version, state) in STORES {
        let (folder, _) = unpack(version, state);
        let disk = simulate(&folder.path().join("store"));
        let queues = |disk: &SimDisk| -> BTreeMap<_, _> {
            disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/consumequeue")).collect()
        };
        let apaches = queues(&disk);
        disk.remove_dirs(Path::new("/store/consumequeue")).unwrap();
        let (store, _) = open(Path::new("/store"), Arc::new(disk.clone()));
        store.close().unwrap();
        let ours = queues(&disk);
        assert!(!ours.is_empty());
        for (path, bytes) in &ours {
            assert!(apaches.get(path) == Some(bytes), "{version} {state}: {}", path.display());
        }
        for path in apaches.keys() {
            assert!(ours.contains_key(path), "{version} {state}: {} is missing", path.display());
        }
    }
}

/// Asserts that every message is found by its unique key, and by keys what the manifest says.
fn assert_found_by_key(store: &Store, manifest: &Value, what: &str) {
    let find = |topic: &str, key: &str| -> Vec<i64> {
        let max_bytes = 1 << 20;
        let query =
            KeyQuery { topic, key, kind: KeyKind::Key, max_messages: 64, max_bytes, begin: 0, end: i64::MAX };
        let found = store.find_by_key(&query).unwrap();
        records(&found.records).map(|record| record.unwrap().physical_offset).collect()
    };
    for query in manifest["queriesByKey"].as_array().unwrap() {
        let (topic, key) = (query["topic"].as_str().unwrap(), query["key"].as_str().unwrap());
        let expected: Vec<i64> =
            query["physicalOffsets"].as_array().unwrap().iter().map(|at| at.as_i64().unwrap()).collect();
        assert_eq!(find(topic, key), expected, "{what}: {topic} {key}");
    }
    for message in manifest["messages"].as_array().unwrap() {
        let Some(id) = message["properties"]["UNIQ_KEY"].as_str() else { continue };
        let found = find(message["topic"].as_str().unwrap(), id);
        assert!(found.contains(&message["physicalOffset"].as_i64().unwrap()), "{what}: {message}");
    }
}

#[test]
fn messages_are_found_by_key_in_apaches_index_and_in_one_made_again() {
    for (version, state) in STORES {
        let (folder, manifest) = unpack(version, state);
        let disk = simulate(&folder.path().join("store"));
        let (store, _) = open(Path::new("/store"), Arc::new(disk.kill()));
        assert_found_by_key(&store, &manifest, &format!("{version} {state}"));
        let disk = disk.kill();
        disk.remove_dirs(Path::new("/store/index")).unwrap();
        let (store, _) = open(Path::new("/store"), Arc::new(disk));
        assert_found_by_key(&store, &manifest, &format!("{version} {state}, made again"));
    }
}

#[test]
fn index_files_are_apaches_byte_for_byte() {
    let index = |disk: &SimDisk| -> BTreeMap<_, _> {
        disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/index")).collect()
    };
    for state in ["clean", "killed"] {
        let (folder, manifest) = unpack("5.5.0", state);
        let apaches = simulate(&folder.path().join("store"));
        assert_eq!(index(&apaches).len(), 3, "{state}");

        let kept = apaches.kill();
        let (store, _) = open(Path::new("/store"), Arc::new(kept.clone()));
        assert_found_by_key(&store, &manifest, state);
        store.close().unwrap();
        if state == "clean" {
            assert!(index(&kept) == index(&apaches), "a clean index is left as it is");
        }

        let made = apaches.kill();
        made.remove_dirs(Path::new("/store/index")).unwrap();
        let (store, _) = open(Path::new("/store"), Arc::new(made.clone()));
        assert_found_by_key(&store, &manifest, state);
        store.close().unwrap();
        for disk in [&made, &kept] {
            let (ours, theirs) = (index(disk), index(&apaches));
            assert_eq!(ours.len(), theirs.len(), "{state}");
            for (number, (ours, theirs)) in ours.values().zip(theirs.values()).enumerate() {
                assert!(ours == theirs, "{state}: file {number}");
            }
        }
    }
}

#[test]
fn appending_goes_on_behind_what_apache_wrote() {
    for (version, state) in STORES {
        let (folder, manifest) = unpack(version, state);
        let root = folder.path().join("store");
        let (store, _) = open(&root, Arc::new(RealDisk));
        let queue = store.queue("GoldenRoll", 0);
        let next = queue.max_offset();
        let mut draft = rocketmq_boot_protocol::message::record::Draft {
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 0,
            born_host: "127.0.0.1:1".parse().unwrap(),
            store_host: "127.0.0.1:2".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: &[7; 1000],
            topic: b"GoldenRoll",
            properties: b"",
            more_properties: b"",
        };
        for _ in 0..150 {
            draft.born_timestamp += 1;
            let append = rocketmq_boot_store::Append {
                queue: &queue,
                draft,
                tags_code: 0,
                joined: false,
                outcome: None,
            };
            let mut batch = [append];
            store.append(&mut batch);
            batch[0].outcome.as_ref().unwrap().as_ref().unwrap();
        }
        store.close().unwrap();
        drop(store);
        let (store, _) = open(&root, Arc::new(RealDisk));
        let queue = store.queue("GoldenRoll", 0);
        assert_eq!(queue.max_offset(), next + 150);
        let all = read_all(&store, &queue);
        assert_eq!(all.len(), usize::try_from(next + 150).unwrap());
        let queues = manifest["queues"].as_array().unwrap().len();
        assert!(store.topics().iter().map(|topic| store.queues(topic).len()).sum::<usize>() >= queues);
    }
}
