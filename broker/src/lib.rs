//! A RocketMQ broker.
