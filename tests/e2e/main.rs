//! Cross-process tests: real servers, real sockets, real clients of other people; and the rules of the house.

mod architecture;
mod house;
mod interop;
mod servers;
