//! Cross-process tests: real servers, real sockets, real clients of other people; and the rules of the house.

mod architecture;
mod crash;
mod hostile;
mod house;
mod interop;
mod own_client;
mod own_consumers;
mod servers;
mod startup;
mod stopping;
