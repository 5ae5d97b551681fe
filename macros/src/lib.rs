//! The attribute macros of rocketmq-boot.
//!
//! Applications use them through the `rocketmq_boot` crate, which re-exports every one of them. Each macro reads
//! its input into a model, collecting every mistake on the way, and only then expands. The item that it stands on
//! is always emitted as it was written: a listener stays an ordinary function that can be called in a test. What
//! an expansion adds mentions nothing but paths under `::rocketmq_boot::__private`.
//!
//! | module       | what it is                                                       |
//! |--------------|------------------------------------------------------------------|
//! | `attr`       | `key = value` lists: aliases, duplicates, suggestions            |
//! | `diag`       | collects errors, so that one build shows all of them             |
//! | `function`   | the checks that listeners, hooks and components have in common   |
//! | `listener`   | `#[rocketmq_listener]`                                           |
//! | `hook`       | `#[on_start]`                                                    |
//! | `component`  | `#[component]`                                                   |
//! | `properties` | `#[derive(Properties)]`                                          |
//! | `entry`      | `#[rocketmq_boot::main]`                                         |

mod attr;
mod component;
mod diag;
mod entry;
mod function;
mod hook;
mod listener;
mod properties;

use proc_macro::TokenStream;

/// Makes an `async fn` a listener: it is called with every message of a topic that its group receives.
///
/// ```ignore
/// #[rocketmq_listener(topic = "orders", group = "billing", tag = "placed")]
/// async fn bill(Json(order): Json<Order>, template: Template) -> Result<(), Error> { .. }
/// ```
///
/// | key            | value                                   | default           | also accepted as                                    |
/// |----------------|-----------------------------------------|-------------------|-----------------------------------------------------|
/// | `topic`        | text, `${key:default}` allowed          | from a contract   |                                                     |
/// | `group`        | text, `${key:default}` allowed          | required          | `consumer_group`                                    |
/// | `tag`          | `"a"`, `"a \|\| b"` or `"*"`            | `"*"`             | `selector_expression`                               |
/// | `model`        | `"clustering"`, `"broadcasting"`        | `"clustering"`    | `message_model`                                     |
/// | `order`        | `"concurrent"`                          | `"concurrent"`    | `consume_mode`                                      |
/// | `concurrency`  | how many run at once                    | 20                | `consume_thread_number`                             |
/// | `max_attempts` | deliveries before a message is buried   | 17                | `max_reconsume_times` (one less)                    |
/// | `batch`        | messages per call; arguments are `Vec`s | one by one        | `consume_message_batch_max_size`                    |
/// | `pull_batch`   | messages per pull                       | 32                | `pull_batch_size`                                   |
/// | `start`        | `"last"`, `"first"`                     | `"last"`          | `consume_from_where`                                |
/// | `cluster`      | a name under `rocketmq.clusters`        | the main cluster  |                                                     |
/// | `id`           | its name under `rocketmq.listeners`     | the function's    |                                                     |
///
/// Each of them can be set in `application.yaml` under `rocketmq.listeners.<id>`.
#[proc_macro_attribute]
pub fn rocketmq_listener(attribute: TokenStream, item: TokenStream) -> TokenStream {
    listener::expand(attribute.into(), item.into()).into()
}

/// Runs an `async fn` once, when every listener is consuming.
///
/// Its arguments are what an application holds: `Template` and `Component<T>`. It returns nothing or a `Result`;
/// an error stops the application with exit code 1.
#[proc_macro_attribute]
pub fn on_start(attribute: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(attribute.into(), item.into()).into()
}

/// Makes a function the constructor of a component: what it returns can be asked for as `Component<T>`.
///
/// It runs once, before any listener, after the components that it asks for. It may be `async`, and it returns
/// the value or a `Result` of it.
#[proc_macro_attribute]
pub fn component(attribute: TokenStream, item: TokenStream) -> TokenStream {
    component::expand(attribute.into(), item.into()).into()
}

/// Turns `async fn main() -> App` into a program: it starts the application, prints what started, and stops it
/// on Ctrl-C or SIGTERM. Every start-up problem is printed in one report, with exit code 1.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(attribute.into(), item.into()).into()
}

/// Reads a struct from the configuration, strictly: an unknown key under its prefix is a start-up problem.
///
/// ```ignore
/// #[derive(Properties)]
/// #[properties(prefix = "shop")]
/// struct Shop { #[default(30)] fee_cents: u32 }
/// ```
///
/// A field is required unless it has `#[default]`, `#[default(value)]` or the type `Option<T>`. A field marked
/// `#[nested]` is a struct that derives `Properties` without a prefix. `Default` comes with it when every field
/// has one.
#[proc_macro_derive(Properties, attributes(properties, default, nested))]
pub fn derive_properties(item: TokenStream) -> TokenStream {
    properties::expand(item.into()).into()
}
