//! Cross-process tests: real servers, real sockets, real clients of other people.

mod interop;
mod servers;
