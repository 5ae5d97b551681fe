//! A RocketMQ name server.
