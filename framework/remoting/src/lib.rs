//! RocketMQ's remoting transport: `Peer` on the calling side, `serve` on the answering side.
