//! What processes and the machine have spent, from the kernel's tables.

use std::{fs, io, time::Duration};

/// CPU time of a process, all threads, user and kernel.
///
/// # Errors
/// When there is no such process.
pub fn cpu(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name may hold spaces and brackets; the fields begin behind the last bracket.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks_to_time(ticks))
}

/// Resident memory of a process in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// All of it, as `ps` shows it.
    pub resident_bytes: u64,
    /// What is not backed by files.
    pub anonymous_bytes: u64,
}

/// Resident memory of a process.
///
/// # Errors
/// When there is no such process.
pub fn memory(process: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kibibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Memory { resident_bytes: kibibytes("VmRSS:") << 10, anonymous_bytes: kibibytes("RssAnon:") << 10 })
}

/// What the machine's cores have done since it started, in CPU time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine {
    /// Anything but idle.
    pub busy: Duration,
    /// Taken by the host.
    pub steal: Duration,
}

/// What the machine's cores have done so far.
///
/// # Errors
/// When the kernel does not say.
pub fn machine() -> io::Result<Machine> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let field =
        |at: usize| line.split_whitespace().nth(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // user, nice, system, irq, softirq; idle and iowait are left out.
    let busy = field(1) + field(2) + field(3) + field(6) + field(7);
    Ok(Machine { busy: ticks_to_time(busy), steal: ticks_to_time(field(8)) })
}

/// The kernel's version and its load averages, for the notes under a table.
pub fn kernel() -> (String, String) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let load = read("/proc/loadavg");
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    (read("/proc/sys/kernel/osrelease"), load)
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_nanos(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second())
}
