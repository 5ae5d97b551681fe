//! A RocketMQ client, usable with or without the framework.
