//! Spring Boot and rocketmq-spring for Rust.
