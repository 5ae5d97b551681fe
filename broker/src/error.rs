//! Why a broker does not start.

use std::{io, net::SocketAddr, path::PathBuf};

/// A broker that could not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration does not make sense.
    #[error("{0}")]
    Config(String),
    /// The data folder could not be opened. The text names the file.
    #[error("cannot open the store in {}: {source}", root.display())]
    Store {
        /// The data folder.
        root: PathBuf,
        /// What is wrong with it.
        source: rocketmq_boot_store::OpenError,
    },
    /// A file under `config/` is damaged, and so is its previous generation.
    #[error("{why}; mend {}, or move it and its .bak away to start without it", path.display())]
    StateFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The port is taken or the address is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Threads could not be made.
    #[error(transparent)]
    Server(rocketmq_boot_remoting::BindError),
}
