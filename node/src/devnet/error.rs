//! What can go wrong with a devnet, and what to do then.

use std::path::PathBuf;

use super::PROCESSES_MAX;
use crate::files::FileError;

/// Why a devnet cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Wrong numbers.
    #[error("a devnet has 1 to 31 authorities and at most {PROCESSES_MAX} processes in all")]
    Size,
    /// There is one already.
    #[error("{} holds a devnet that runs already; stop it with `enjambre-node devnet down --dir {}` first", dir.display(), dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// There is one of another shape.
    #[error("{} holds a devnet of {nodes} nodes and {authorities} authorities; start it without --nodes, --authorities, --epoch and --param, or choose another directory for another network", dir.display())]
    Other {
        /// The directory.
        dir: PathBuf,
        /// Its nodes.
        nodes: usize,
        /// Its authorities.
        authorities: usize,
    },
    /// Another command changes it.
    #[error("another command is at work on {} and did not end; try again when it has", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// There is none.
    #[error("{} holds no devnet; start one with `enjambre-node devnet up --dir {}`", dir.display(), dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// The list of processes is damaged.
    #[error("{} is damaged ({text}); stop what it started by hand and remove the directory", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        text: String,
    },
    /// No process of that name.
    #[error("no process is called {name}; `devnet status` lists them")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The process does not run.
    #[error("{name} does not run; start it with `devnet start {name}`")]
    NotRunning {
        /// The name.
        name: String,
    },
    /// The process runs.
    #[error("{name} runs already; to start it anew, `devnet kill {name}` first")]
    Running {
        /// The name.
        name: String,
    },
    /// The parameters do not make a network.
    #[error(transparent)]
    Genesis(#[from] enjambre_protocol::directory::GenesisError),
}

/// What the system refused, in words.
pub(super) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DevnetError {
    let what = what.into();
    move |source| DevnetError::System { what, source }
}
