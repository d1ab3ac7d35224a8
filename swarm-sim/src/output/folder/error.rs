//! Why a run's results, or what is made from them, were not written.

use std::io;

use crate::output::manifest::{MANIFEST, plain};

/// Why a run's results were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder holds another run of the same scenario.
    #[error(
        "{folder} holds results of {} with {}: give another --out, or --overwrite",
        plain(.scenario),
        plain(.with)
    )]
    OtherRun {
        /// The folder.
        folder: String,
        /// The scenario there.
        scenario: String,
        /// What they were run with.
        with: String,
    },
    /// The folder holds another scenario's results.
    #[error(
        "{folder} holds results of another scenario, {}: give another --out",
        plain(.scenario)
    )]
    OtherScenario {
        /// The folder.
        folder: String,
        /// The scenario there.
        scenario: String,
    },
    /// The folder holds something else's manifest.
    #[error(
        "{folder} holds a {MANIFEST} that no run wrote, or that is damaged: give another --out"
    )]
    NotOfARun {
        /// The folder.
        folder: String,
    },
    /// The folder holds what another version wrote.
    #[error("{folder} holds results of another version of {MANIFEST}, {found}: give another --out")]
    OtherFormat {
        /// The folder.
        folder: String,
        /// The version there.
        found: u64,
    },
    /// The folder holds files, and no run.
    #[error("{folder} holds no run, but {}: give another --out", plain(.file))]
    Foreign {
        /// The folder.
        folder: String,
        /// One of the files.
        file: String,
    },
    /// A file that the run needs to replace was not written by a run, or not as it stands.
    #[error(
        "{folder} holds a {file} that no run wrote, or that was changed since: move it away, or give another --out"
    )]
    NotWritten {
        /// The folder.
        folder: String,
        /// The file's name.
        file: String,
    },
    /// The folder holds a file of a name that the run needs, with other contents.
    #[error(
        "{folder} holds a {file} that is not of this run, or of other settings: give another --out, or --overwrite"
    )]
    OtherFile {
        /// The folder.
        folder: String,
        /// The file's name.
        file: String,
    },
    /// A page or a plot of that name has other contents.
    #[error("{file} has other contents: give another --out, or --overwrite")]
    OtherPage {
        /// The file.
        file: String,
    },
    /// A file that is no page, plot or table of this program stands where one should be.
    #[error("{file} is nothing that this command wrote: it is not replaced; give another name")]
    OtherKind {
        /// The file.
        file: String,
    },
    /// A file stands where the folder should be.
    #[error("{file} is a file: give a folder with --out")]
    File {
        /// The file.
        file: String,
    },
    /// The system refused to read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The system refused to write.
    #[error("cannot write to {folder}: {source}")]
    Write {
        /// The folder.
        folder: String,
        /// Why.
        source: io::Error,
    },
}

impl FolderError {
    /// Whether the caller can correct it by naming another folder.
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::Write { .. })
    }

    /// The kind that scripts read.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            _ => "folder",
        }
    }
}
