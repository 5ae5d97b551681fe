//! RocketMQ's store: disk only, no sockets, no async runtime.
