//! A raw load generator for any RocketMQ broker: frames encoded beforehand, answers read in place, every code checked.
//!
//! It is not a client. It knows one broker by its address, and it spends so little on a message (a few tenths of a
//! microsecond with many in flight) that what is measured is the broker.
//!
//! | module | what it holds |
//! |---|---|
//! | [`request`] | frames of sends and pulls, ready but for their numbers |
//! | [`line`](mod@line) | one connection and the answers on it |
//! | [`closed`] | closed loop: so many connections, so many requests in flight on each |
//! | [`open`] | open loop: a fixed rate, whatever the broker does |
//! | [`long_poll`] | from a send to the held pull that it answers |
//! | [`work`] | what the closed loop does: sending, pulling |
//! | [`ledger`] | whether what was acknowledged is what is stored, and what is stored can be consumed |
//! | [`usage`] | what a server and the machine spend meanwhile |
//! | [`pair`] | a name server and a broker, started as users start them, against the clock |

pub mod closed;
pub mod ledger;
pub mod line;
pub mod long_poll;
pub mod open;
pub mod pair;
pub mod request;
pub mod usage;
pub mod work;

pub use closed::{Plan, Shape, Window};
pub use ledger::Ledger;
pub use work::{Pulls, Sends, Work};
