//! What `#[rocketmq_boot::main]` makes of an application: a program.

use std::{
    fmt::Display,
    future::Future,
    io::{IsTerminal, Write, stderr, stdout},
    process::ExitCode,
    time::{Duration, Instant},
};

use tracing_subscriber::EnvFilter;

use crate::{app::App, error::ListenerError, report::StartError};

/// What a main function can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what the main function returns",
    label = "not an application",
    note = "return `App`, or a `Result` of it"
)]
pub trait IntoApp {
    /// The application, or why there is none.
    #[doc(hidden)]
    fn into_app(self) -> Result<App, String>;
}

impl IntoApp for App {
    fn into_app(self) -> Result<App, String> {
        Ok(self)
    }
}

impl<E: ListenerError> IntoApp for Result<App, E> {
    fn into_app(self) -> Result<App, String> {
        self.map_err(ListenerError::told)
    }
}

/// Runs the program: logging, runtime, start, hooks, signals, stop.
#[doc(hidden)]
pub fn main<F>(main: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output: IntoApp>,
{
    let started = Instant::now();
    log_to_stdout();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let code = runtime.block_on(async {
        match main().await.into_app() {
            Ok(app) => run(app, started).await,
            Err(error) => fail(&error),
        }
    });
    // Blocking work that outlives the deadline must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn run(app: App, started: Instant) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let start = tokio::select! {
        start = app.start() => start,
        () = signals.next() => return ExitCode::SUCCESS,
    };
    let running = match start {
        Ok(running) => running,
        Err(error) => return fail(&error),
    };
    let elapsed = started.elapsed().as_millis();
    say(format_args!("{}started in {elapsed} ms; stop with Ctrl-C\n", running.table()));
    let hooks = tokio::select! {
        hooks = running.run_hooks() => hooks,
        () = signals.next() => return stop(running, &mut signals, ExitCode::SUCCESS).await,
    };
    if let Err(error) = hooks {
        let code = told(&hook_report(&error));
        return stop(running, &mut signals, code).await;
    }
    signals.next().await;
    stop(running, &mut signals, ExitCode::SUCCESS).await
}

/// Stops; a second signal ends the wait.
async fn stop(running: crate::lifecycle::Running, signals: &mut Signals, code: ExitCode) -> ExitCode {
    tokio::select! {
        () = running.stop() => code,
        () = signals.next() => ExitCode::FAILURE,
    }
}

fn hook_report(error: &StartError) -> String {
    error.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}

fn fail(error: &dyn Display) -> ExitCode {
    told(&error.to_string())
}

fn told(message: &str) -> ExitCode {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(stderr(), "error: {message}");
    ExitCode::FAILURE
}

fn say(text: std::fmt::Arguments<'_>) {
    let mut out = stdout().lock();
    // A closed standard output is no reason to stop.
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}

/// The program's own messages from `info`, the framework's from `warn`; `RUST_LOG` says otherwise.
fn log_to_stdout() {
    const DEFAULT: &str = "info,rocketmq_boot=warn,rocketmq_boot_client=warn,rocketmq_boot_remoting=warn,\
        rocketmq_boot_broker=warn,rocketmq_boot_store=warn,rocketmq_boot_namesrv=warn";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stdout().is_terminal());
    // A program that has set up its own logging keeps it.
    let _ = subscriber.try_init();
}

/// Ctrl-C and SIGTERM.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Without a handler there is nothing to wait for but the end of the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
