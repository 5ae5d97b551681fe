//! Ours beside Apache's, on this machine, in one run: what the project promises about speed and memory.
//!
//! ```text
//! cargo bench -p rocketmq-boot-tests --bench side_by_side -- [rounds] [filter] [options]
//!   rounds           how often both are started and measured; 3 unless told
//!   filter           only rows whose key contains this, e.g. w64 or e2e
//!   --ours-only      leaves Apache out, and with it the ratios
//!   --apache-only    leaves ours out
//!   --seconds N      the length of a window; 3 unless told
//!   --broker ADDRESS measures whatever broker listens there, and starts nothing
//!   --profile KEY    puts one load on our broker for the window's length, for a profiler to attach
//! ```
//!
//! A round starts name server and broker on a fresh store, warms them up, and measures each row in a window of its
//! own; Apache and we take turns, and who comes first changes from round to round. Ratios are taken inside a round
//! and averaged geometrically over the rounds. Every topic is read back in the end: what was acknowledged must be
//! what is stored and what can be consumed, or the run fails.
//!
//! Apache's servers need a JDK and, the first time, Maven.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

mod arguments;
mod loads;
mod rows;
mod table;

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use arguments::{Arguments, Mode};
use loads::Subject;
use rocketmq_boot_tests::{cluster::Servers, load::pair::Pair};
use rows::{Readings, Row};
use table::Table;

/// The release that we compare with.
const APACHE: &str = "5.5.0";

/// How long servers are left alone before their memory is read.
const IDLE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1)).map_err(io::Error::other)?;
    match &arguments.mode {
        Mode::Broker(address) => foreign(&arguments, address),
        Mode::Profile(key) => profile(&arguments, key),
        Mode::SideBySide => rounds(&arguments, &[("ours", ours()?), ("Apache", Servers::Apache(APACHE))]),
        Mode::ApacheOnly => rounds(&arguments, &[("Apache", Servers::Apache(APACHE))]),
        Mode::OursOnly => rounds(&arguments, &[("ours", ours()?)]),
    }
}

/// Rounds of all systems, and the table.
fn rounds(arguments: &Arguments, systems: &[(&str, Servers)]) -> io::Result<()> {
    let rows = arguments.rows();
    let mut table = Table::new(rows.clone(), systems.iter().map(|(name, _)| *name).collect());
    for round in 0..arguments.rounds {
        let mut readings = vec![Readings::default(); systems.len()];
        for turn in 0..systems.len() {
            let at = (turn + round) % systems.len();
            let (name, servers) = &systems[at];
            println!("round {} of {}: {name}", round + 1, arguments.rounds);
            readings[at] = measure(arguments, servers, &rows)?;
        }
        table.add(readings);
    }
    table.print();
    Ok(())
}

/// All rows of one system in one round.
fn measure(arguments: &Arguments, servers: &Servers, rows: &[Row]) -> io::Result<Readings> {
    let mut readings = Readings::default();
    if rows.iter().any(|row| !row.needs_sync_flush()) {
        let pair = Pair::start(servers, home(), "")?;
        readings.set(Row::Start, pair.first_accepted().as_secs_f64() * 1e3);
        if rows.contains(&Row::IdleMemory) {
            std::thread::sleep(IDLE);
            readings.set(Row::IdleMemory, mebibytes(pair.memory()?.resident_bytes));
        }
        let subject = Subject { address: pair.address().to_owned(), process: Some(pair.broker()) };
        if rows.iter().any(|row| row.needs_warm_up()) {
            loads::warm_up(&subject)?;
        }
        loads::measure(&subject, arguments.window, rows, &mut readings)?;
        let memory = pair.memory()?;
        let (all, anonymous) = (mebibytes(memory.resident_bytes), mebibytes(memory.anonymous_bytes));
        println!("  resident after load: {all:.0} MiB, of which {anonymous:.0} MiB anonymous");
    }
    if rows.iter().any(|row| row.needs_sync_flush()) {
        let pair = Pair::start(servers, home(), "flushDiskType = SYNC_FLUSH")?;
        let subject = Subject { address: pair.address().to_owned(), process: Some(pair.broker()) };
        loads::warm_up_sync(&subject)?;
        loads::measure_sync(&subject, arguments.window, &mut readings)?;
    }
    Ok(readings)
}

/// Rows against a broker that somebody else runs.
fn foreign(arguments: &Arguments, address: &str) -> io::Result<()> {
    let rows: Vec<Row> = arguments.rows().into_iter().filter(|row| !row.needs_start()).collect();
    let subject = Subject { address: address.to_owned(), process: None };
    let mut table = Table::new(rows.clone(), vec![address]);
    for _ in 0..arguments.rounds {
        let mut readings = Readings::default();
        loads::measure(&subject, arguments.window, &rows, &mut readings)?;
        table.add(vec![readings]);
    }
    table.print();
    Ok(())
}

/// One load on our broker.
fn profile(arguments: &Arguments, key: &str) -> io::Result<()> {
    let row = Row::ALL.into_iter().find(|row| row.key() == key).ok_or_else(|| {
        io::Error::other(format!("no row `{key}`; rows are {}", Row::ALL.map(Row::key).join(", ")))
    })?;
    let extra = if row.needs_sync_flush() { "flushDiskType = SYNC_FLUSH" } else { "" };
    let pair = Pair::start(&ours()?, home(), extra)?;
    println!("the broker is process {}", pair.broker());
    let subject = Subject { address: pair.address().to_owned(), process: Some(pair.broker()) };
    let mut readings = Readings::default();
    if row.needs_sync_flush() {
        loads::measure_sync(&subject, arguments.window, &mut readings)
    } else {
        loads::measure(&subject, arguments.window, &[row], &mut readings)
    }
}

/// Our programs, built as they are now.
fn ours() -> io::Result<Servers> {
    let target = home().parent().unwrap_or(home());
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "-p", "rocketmq-boot-namesrv", "-p", "rocketmq-boot-broker", "--bins"]);
    build.arg("--target-dir").arg(target);
    if !build.status()?.success() {
        return Err(io::Error::other("our servers do not build"));
    }
    let program = |name: &str| -> PathBuf { target.join("release").join(name) };
    Ok(Servers::Ours { name_server: program("mqnamesrv"), broker: program("mqbroker") })
}

/// Where stores go: the build folder, so that they lie on a disk and not in memory.
fn home() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

#[expect(clippy::cast_precision_loss, reason = "a process has less than 2^53 bytes")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
