//! What the cross-process tests stand on: real server processes, ours and Apache's, foreign clients, and a raw wire.
//!
//! Nothing here shares code with the product: frames and records are written and read by hand in [`wire`] and
//! [`record`], so that a mistake in the product's codec cannot cancel itself out in its tests.

pub mod account;
pub mod cluster;
pub mod foreign;
pub mod load;
pub mod malice;
pub mod port;
pub mod process;
pub mod promises;
pub mod record;
pub mod route;
pub mod shape;
pub mod wire;
