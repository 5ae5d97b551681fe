//! Peers that are not ours. Asked for with `CI=true` or `INTEROP=1`, every test here runs, and a missing JDK, Maven, Go,
//! Node or Python is a failure; otherwise every test here is listed as ignored.

mod admin_table;
mod apache;
mod behaviours;
mod foreign;
mod handover;
mod mqadmin;
mod name_servers;
mod quickstart;
