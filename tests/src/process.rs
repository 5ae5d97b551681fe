//! A child process with its output kept and its end guaranteed: dropped, it is asked to stop and then killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take over a clean stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

/// The lines of both output streams, in the order of their arrival.
#[derive(Debug, Default)]
struct Output {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    open_streams: usize,
}

impl Process {
    /// Starts `command`; `name` is what failures call it.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn spawn(name: impl Into<String>, mut command: Command) -> Self {
        let name = name.into();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {command:?}: {error}"));
        let output = Arc::new(Output::default());
        output.kept.lock().open_streams = 2;
        collect(child.stdout.take().expect("standard output is piped"), &output);
        collect(child.stderr.take().expect("standard error is piped"), &output);
        Self { name, child, output }
    }

    /// Waits for the first line that `wanted` turns into a value. `None` when both streams end without one.
    ///
    /// # Panics
    /// When `patience` runs out; the message carries the output so far.
    pub fn line<T>(&self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut kept = self.output.kept.lock();
        let mut seen = 0;
        loop {
            if let Some(found) = kept.lines[seen..].iter().find_map(|line| wanted(line)) {
                return Some(found);
            }
            seen = kept.lines.len();
            if kept.open_streams == 0 {
                return None;
            }
            let timed_out = self.output.changed.wait_until(&mut kept, deadline).timed_out();
            assert!(
                !timed_out,
                "{} did not get there in {patience:?}:\n{}",
                self.name,
                kept.lines.join("\n")
            );
        }
    }

    /// Everything that it printed so far, on both streams.
    pub fn output(&self) -> String {
        self.output.kept.lock().lines.join("\n")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn kill(&mut self) {
        // An error means that it has ended already, which the wait finds out.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks it to stop with SIGTERM and waits.
    ///
    /// # Panics
    /// When it has not stopped after 20 seconds.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(STOP_PATIENCE)
    }

    /// Sends a signal; one that has ended already is left alone.
    pub fn signal(&mut self, signal: Signal) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let id = i32::try_from(self.child.id()).expect("a process id is an i32");
            let _ = kill_process(Pid::from_raw(id).expect("a process id is positive"), signal);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `patience` runs out; the message carries the output.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        self.ended(patience).unwrap_or_else(|| {
            self.kill();
            panic!("{} did not end in {patience:?}:\n{}", self.name, self.output())
        })
    }

    fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                // The readers finish with the process, so that what it said last is kept as well.
                let mut kept = self.output.kept.lock();
                while kept.open_streams > 0
                    && !self.output.changed.wait_for(&mut kept, Duration::from_secs(1)).timed_out()
                {
                }
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        if self.ended(STOP_PATIENCE).is_none() {
            self.kill();
        }
    }
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Output>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            output.kept.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
            output.changed.notify_all();
        }
        output.kept.lock().open_streams -= 1;
        output.changed.notify_all();
    });
}
