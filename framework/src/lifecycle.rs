//! The order of start and stop.
//!
//! Start: auto-configurations (the bundled server among them), templates, components, consumers. Stop is the
//! reverse, with one deadline for all of it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{error, warn};

use crate::{
    app::Checked,
    auto::{Boot, Part, configurations},
    component::{Component, Container},
    config::settings::MAIN,
    context::Context,
    hook::HookEntry,
    listener::bridge::{Consuming, make_topics},
    place::Telling,
    report::StartError,
    table::table,
    template::{Template, send::Cluster},
};

/// An application that is running. Stop it with [`Running::stop`].
pub struct Running {
    cx: Context,
    parts: Vec<(&'static str, Box<dyn Part>)>,
    consumers: Vec<Consuming>,
    hooks: Vec<&'static HookEntry>,
    telling: Telling,
    name_server: String,
    table: String,
    within: Duration,
}

/// Starts what was checked. What was started is stopped again when something fails.
pub(crate) async fn launch(checked: Checked) -> Result<Running, StartError> {
    for warning in &checked.config.warnings {
        warn!("{warning}");
    }
    let mut parts = Vec::new();
    if let Err(error) = start_parts(&checked, &mut parts).await {
        stop_parts(parts, checked.settings.shutdown_timeout).await;
        return Err(error);
    }
    let Checked { config, settings, groups, container, plan, hooks, telling, server } = checked;
    // A server of the application's own has offsets of its own too.
    let server = server.then(|| config.home.join(&settings.server.data).join("client-offsets"));
    let within = settings.shutdown_timeout;
    let outside = settings.clusters.get(MAIN).and_then(|cluster| cluster.name_server.clone());
    let mut headlines: Vec<String> = parts.iter().filter_map(|(_, part)| part.headline()).collect();
    if let Some(name_server) = &outside {
        headlines.insert(0, format!("name server {name_server}"));
    }
    let own = parts.iter().find_map(|(_, part)| part.name_server());
    let name_server = outside.or(own).unwrap_or_default();

    let mut clusters = BTreeMap::new();
    for (name, settings) in &settings.clusters {
        let address = settings.name_server.clone().unwrap_or_else(|| name_server.clone());
        clusters.insert(name.clone(), Arc::new(Cluster::new(&address, settings)));
    }
    let template = Template::new(clusters);
    let mut running = Running {
        cx: Context::new(container.clone(), template.clone()),
        parts,
        consumers: Vec::new(),
        hooks,
        telling,
        name_server,
        table: table(&config.profiles, &headlines, &groups),
        within,
    };
    let made = async {
        running.cx = components(container, &plan.order, &template, telling).await?;
        if let (Some(_), Some(main)) = (&server, template.clusters().get(MAIN)) {
            make_topics(main, groups.iter().filter(|group| group.cluster == MAIN)).await;
        }
        for group in &groups {
            let offsets = server.as_deref().filter(|_| group.cluster == MAIN);
            // The plan takes no group of a cluster that there is not.
            let Some(cluster) = template.clusters().get(&group.cluster) else { continue };
            running.consumers.push(Consuming::start(group, &running.cx, cluster, offsets).await?);
        }
        Ok(())
    };
    match made.await {
        Ok(()) => Ok(running),
        Err(error) => {
            running.stop().await;
            Err(error)
        }
    }
}

async fn start_parts(
    checked: &Checked,
    parts: &mut Vec<(&'static str, Box<dyn Part>)>,
) -> Result<(), StartError> {
    let boot = Boot::new(checked);
    for configuration in configurations() {
        match (configuration.start)(&boot).await {
            Ok(part) => parts.extend(part.map(|part| (configuration.name, part))),
            Err(message) => return Err(StartError::one("", format!("{}: {message}", configuration.name))),
        }
    }
    Ok(())
}

/// Makes the components, each after those that it asks for.
async fn components(
    mut container: Container,
    order: &[&'static crate::component::ComponentEntry],
    template: &Template,
    telling: Telling,
) -> Result<Context, StartError> {
    for entry in order {
        let cx = Context::new(container.clone(), template.clone());
        let made = (entry.make)(cx).await;
        let value = made.map_err(|error| {
            StartError::one(
                telling.tell(&entry.place),
                format!("component `{}` was not made: {error}", entry.name),
            )
        })?;
        container.insert((entry.provides)().id, value);
    }
    Ok(Context::new(container, template.clone()))
}

impl Running {
    /// The template of the application.
    pub fn template(&self) -> Template {
        self.cx.template().clone()
    }

    /// A component by its type.
    pub fn component<T: Send + Sync + 'static>(&self) -> Option<Component<T>> {
        self.cx.component()
    }

    /// The name server that the application uses, its own or another: `host:port`, several parted by `;`.
    pub fn name_server(&self) -> &str {
        &self.name_server
    }

    /// The start-up table: one line about the application, and one for each listener.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Runs the start hooks, in the order of the source.
    ///
    /// # Errors
    /// The first hook that fails, with its place; later ones are not run.
    pub async fn run_hooks(&self) -> Result<(), StartError> {
        for hook in &self.hooks {
            (hook.call)(self.cx.clone()).await.map_err(|error| {
                StartError::one(
                    self.telling.tell(&hook.place),
                    format!("start hook `{}` failed: {error}", hook.name),
                )
            })?;
        }
        Ok(())
    }

    /// Stops everything within `rocketmq.shutdown-timeout`: consumers stop pulling, calls under way end, offsets
    /// are committed, and the bundled server goes last.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.within;
        let left = || deadline.saturating_duration_since(Instant::now());
        let consumers = self.consumers.into_iter().map(|consumer| consumer.stop(left()));
        futures_util::future::join_all(consumers).await;
        for cluster in self.cx.template().clusters().values() {
            cluster.close(left()).await;
        }
        stop_parts(self.parts, left()).await;
    }
}

async fn stop_parts(mut parts: Vec<(&'static str, Box<dyn Part>)>, within: Duration) {
    let deadline = Instant::now() + within;
    while let Some((name, part)) = parts.pop() {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        if tokio::time::timeout(left, part.stop(left)).await.is_err() {
            error!(part = name, "did not stop in time");
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("name_server", &self.name_server).finish_non_exhaustive()
    }
}
