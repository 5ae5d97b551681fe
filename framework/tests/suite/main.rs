//! What applications see of the framework.

mod app;
mod macros;
mod whole;
