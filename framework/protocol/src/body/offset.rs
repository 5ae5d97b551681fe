//! Tables of offsets by queue: bodies of codes 43, 220 and 222, and the files that keep offsets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    config::DataVersion,
    dialect::{IdMap, QueueMap},
    group::QueueRef,
};

/// Consumer offsets: `config/consumerOffset.json` and the answer to 43.
#[doc(alias = "ConsumerOffsetSerializeWrapper")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerOffsets {
    /// The table's version.
    pub data_version: DataVersion,
    /// Offset by queue, by `topic@group`.
    pub offset_table: BTreeMap<String, IdMap<i64>>,
}

/// Offsets by queue: the body of 220 for all clients but C++, of 222, and a broadcasting client's `offsets.json`.
#[doc(alias = "ResetOffsetBody")]
#[doc(alias = "OffsetSerializeWrapper")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueOffsets {
    /// The table.
    pub offset_table: QueueMap<i64>,
}

/// A queue and its offset: the body of 220 for C++, which cannot read object keys, is an array of these.
#[doc(alias = "ResetOffsetBodyForC")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListedOffset {
    /// The broker.
    pub broker_name: String,
    /// The offset.
    pub offset: i64,
    /// The queue.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

impl QueueOffsets {
    /// The same as a list.
    pub fn to_list(&self) -> Vec<ListedOffset> {
        let listed = |(queue, offset): (&QueueRef, &i64)| ListedOffset {
            broker_name: queue.broker_name.clone(),
            offset: *offset,
            queue_id: queue.queue_id,
            topic: queue.topic.clone(),
        };
        self.offset_table.0.iter().map(listed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{dialect, lenient};

    fn queue(queue_id: i32) -> QueueRef {
        QueueRef { broker_name: "b".into(), queue_id, topic: "t".into() }
    }

    #[test]
    fn each_kind_of_client_gets_the_form_that_it_reads() {
        let offsets = QueueOffsets { offset_table: [(queue(0), 7), (queue(1), -1)].into_iter().collect() };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(dialect::write(&offsets, dialect::Dialect::Fastjson)),
            concat!(
                r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:7,"#,
                r#"{"brokerName":"b","queueId":1,"topic":"t"}:-1}}"#
            )
        );
        assert_eq!(
            text(dialect::write(&offsets.to_list(), dialect::Dialect::Fastjson)),
            concat!(
                r#"[{"brokerName":"b","offset":7,"queueId":0,"topic":"t"},"#,
                r#"{"brokerName":"b","offset":-1,"queueId":1,"topic":"t"}]"#
            )
        );
    }

    #[test]
    fn tables_of_other_writers_are_read() {
        let expected: QueueMap<i64> = [(queue(0), 7)].into_iter().collect();
        for text in [
            r#"{"offsetTable":{{"topic":"t","brokerName":"b","queueId":0}:7}}"#,
            "{ \"offsetTable\" : {\n\t{ \"brokerName\":\"b\", queueId:0, \"topic\":\"t\" } : 7\n} }\n",
            r#"{"offsetTable":[[{"brokerName":"b","queueId":0,"topic":"t"},7]]}"#,
        ] {
            let read: QueueOffsets = lenient::read("offsets", text.as_bytes()).unwrap();
            assert_eq!(read.offset_table, expected, "{text}");
        }
        let read: ConsumerOffsets =
            lenient::read("offsets", br#"{"offsetTable":{"t@g":{0:12,"1":3}}}"#).unwrap();
        assert_eq!(read.offset_table["t@g"].0, BTreeMap::from([(0, 12), (1, 3)]));
    }

    #[test]
    fn a_key_that_is_no_queue_is_an_error() {
        for text in [r#"{"offsetTable":{0:7}}"#, r#"{"offsetTable":{"t":7}}"#, r#"{"offsetTable":[[7,7]]}"#] {
            assert!(lenient::read::<QueueOffsets>("offsets", text.as_bytes()).is_err(), "{text}");
        }
    }
}
