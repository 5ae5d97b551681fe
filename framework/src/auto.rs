//! Auto-configurations: parts that a program gets by depending on a crate.
//!
//! Each contributes one entry to [`AUTO_CONFIGURATIONS`]; whether it does anything is its own decision, made from
//! the configuration. They start before the components, by their order, and stop last.

use std::{future::Future, path::Path, pin::Pin, time::Duration};

use crate::app::Checked;

pub use linkme;

/// The program's auto-configurations.
///
/// A crate adds one like this; a crate that is never named in source is dropped by the linker, so that programs
/// say `use my_starter as _;`.
///
/// ```
/// use rocketmq_boot::auto::{AUTO_CONFIGURATIONS, AutoConfiguration, linkme};
///
/// #[linkme::distributed_slice(AUTO_CONFIGURATIONS)]
/// #[linkme(crate = linkme)]
/// static GREETING: AutoConfiguration = AutoConfiguration {
///     name: "greeting",
///     order: 0,
///     start: |boot| {
///         Box::pin(async move {
///             tracing::info!(name = boot.setting("greeting.name"), "hello");
///             Ok(None)
///         })
///     },
/// };
/// ```
#[linkme::distributed_slice]
pub static AUTO_CONFIGURATIONS: [AutoConfiguration];

/// What other crates contributed and what this one brings, in the order of their start.
pub(crate) fn configurations() -> Vec<&'static AutoConfiguration> {
    // An element of the slice in the crate that declares it counts as unsafe code, so this one is named.
    #[cfg(feature = "server")]
    let own = [&crate::embedded::SERVER];
    #[cfg(not(feature = "server"))]
    let own = [];
    let mut configurations: Vec<_> = AUTO_CONFIGURATIONS.iter().chain(own).collect();
    configurations.sort_by_key(|configuration| (configuration.order, configuration.name));
    configurations
}

/// A part that starts and stops with the application.
#[derive(Debug, Clone, Copy)]
pub struct AutoConfiguration {
    /// What it is called in reports.
    pub name: &'static str,
    /// Lower starts earlier, and stops later.
    pub order: i32,
    /// Starts it, or decides not to.
    pub start: for<'a> fn(&'a Boot<'a>) -> Starting<'a>,
}

/// A start under way: what was started, nothing, or why it failed.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Option<Box<dyn Part>>, String>> + Send + 'a>>;

/// What an auto-configuration can see when it starts.
pub struct Boot<'a> {
    checked: &'a Checked,
}

impl std::fmt::Debug for Boot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Boot").field("profiles", &self.profiles()).finish_non_exhaustive()
    }
}

impl<'a> Boot<'a> {
    pub(crate) fn new(checked: &'a Checked) -> Self {
        Self { checked }
    }

    /// The active profiles.
    pub fn profiles(&self) -> &[String] {
        &self.checked.config.profiles
    }

    /// The folder that relative paths start from.
    pub fn home(&self) -> &Path {
        &self.checked.config.home
    }

    /// A setting by its key, with its placeholders replaced.
    pub fn setting(&self, key: &str) -> Option<String> {
        let parts: Vec<&str> = key.split('.').collect();
        self.checked.config.read(&parts, &mut crate::report::Problems::default())
    }

    /// The bundled server, when it is to start.
    #[cfg(feature = "server")]
    pub(crate) fn server(&self) -> Option<&'a crate::config::settings::ServerSettings> {
        self.checked.server.then_some(&self.checked.settings.server)
    }
}

/// A part that was started.
#[async_trait::async_trait]
pub trait Part: Send + Sync {
    /// The name server that it brings, for an application that has none.
    fn name_server(&self) -> Option<String> {
        None
    }

    /// What the first line of the start-up table says of it.
    fn headline(&self) -> Option<String> {
        None
    }

    /// Stops it, within the time that is left.
    async fn stop(self: Box<Self>, within: Duration);
}
