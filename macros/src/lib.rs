//! Attribute macros of rocketmq-boot.
