//! A node's settings: `DIR/config.toml`, written commented by `init` and read strictly.
//!
//! Values carry their units; an unknown key is refused with its line. The data directory also
//! holds the network file, the identity key and the database; their names are here and nowhere
//! else.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::family::FamilyConsent;
use crate::files;
use crate::server::Limits;
use crate::store::HEADROOM;

/// The settings file of a data directory.
pub const CONFIG_FILE: &str = "config.toml";
/// The network file of a data directory.
pub const NETWORK_FILE: &str = "network.toml";
/// The identity key of a data directory, readable by its owner only.
pub const KEY_FILE: &str = "identity.key";
/// The database of a data directory.
pub const DATABASE_DIR: &str = "db";

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("{}: {source}; {hint}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {text}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        text: String,
    },
    /// A size without a unit or out of range.
    #[error("`{text}` is no size; write a number with KB, MB, GB or TB, such as 20GB")]
    Size {
        /// What was written.
        text: String,
    },
}

/// An amount of bytes, written with a decimal unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 5] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("B", 1)];

impl FromStr for ByteSize {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Size { text: text.to_owned() };
        let upper = text.trim().to_ascii_uppercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((upper.strip_suffix(name)?, *unit)))
            .ok_or_else(wrong)?;
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exact = UNITS.iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = exact.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where an authority or node listens when nothing else is said: UDP.
pub const DEFAULT_PORT: u16 = 22_100;

/// The settings of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The UDP address it listens on.
    pub listen: SocketAddr,
    /// The addresses it tells others, best first; the listening one if empty.
    #[serde(default)]
    pub advertise: Vec<SocketAddr>,
    /// Disk it offers to messages and chunks.
    pub storage: ByteSize,
    /// Where `/metrics`, `/health`, `/ready` and `/status` are served.
    pub http: SocketAddr,
    /// What one account may keep here at most.
    #[serde(default = "default_quota")]
    pub account_quota: ByteSize,
    /// Free space of the disk below which records are refused, so that all else goes on.
    #[serde(default = "default_headroom")]
    pub headroom: ByteSize,
    /// Requests a second that one link of a client may make here; no limit if 0.
    #[serde(default = "default_client_requests")]
    pub client_requests: u32,
    /// The family it belongs to, with that family's consent.
    #[serde(default)]
    pub family: Option<FamilyConsent>,
}

const fn default_quota() -> ByteSize {
    ByteSize::from_bytes(100_000_000)
}

const fn default_headroom() -> ByteSize {
    ByteSize::from_bytes(HEADROOM)
}

const fn default_client_requests() -> u32 {
    Limits::CLIENT_REQUESTS
}

impl NodeConfig {
    /// A node's settings with the default quota, headroom and requests.
    pub const fn new(listen: SocketAddr, http: SocketAddr, storage: ByteSize) -> Self {
        Self {
            listen,
            advertise: Vec::new(),
            storage,
            http,
            account_quota: default_quota(),
            headroom: default_headroom(),
            client_requests: default_client_requests(),
            family: None,
        }
    }

    /// The addresses others are told.
    pub fn advertised(&self) -> Vec<SocketAddr> {
        if self.advertise.is_empty() { vec![self.listen] } else { self.advertise.clone() }
    }

    /// The commented file.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let advertise: Vec<String> =
            self.advertise.iter().map(|address| format!("\"{address}\"")).collect();
        let lines = [
            ("UDP address to listen on.", format!("listen = \"{}\"", self.listen)),
            (
                "Addresses to tell others, best first; the one above if empty.",
                format!("advertise = [{}]", advertise.join(", ")),
            ),
            (
                "Disk offered to messages and file chunks (KB, MB, GB, TB).",
                format!("storage = \"{}\"", self.storage),
            ),
            (
                "Metrics, health and status over HTTP; keep it on loopback.",
                format!("http = \"{}\"", self.http),
            ),
            (
                "What one account may keep on this node at most.",
                format!("account_quota = \"{}\"", self.account_quota),
            ),
            (
                "Free disk below which messages are refused; less than 64MB may not be enough to start.",
                format!("headroom = \"{}\"", self.headroom),
            ),
            (
                "Requests a second of one client's link; beyond, it is told busy. 0 is no limit.",
                format!("client_requests = {}", self.client_requests),
            ),
        ];
        text.push_str("# Settings of an Enjambre service node. Restart it after a change.\n");
        for (comment, line) in lines {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n# {comment}\n{line}\n");
        }
        if let Some(family) = &self.family {
            let comment = "The family this node belongs to, and the consent of its key.";
            let _ = write!(text, "\n# {comment}\nfamily = \"{family}\"\n");
        }
        text
    }

    /// Reads `DIR/config.toml`.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(CONFIG_FILE);
        let hint = "make the node's directory with `enjambre-node init` first";
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::File {
            path: path.clone(),
            hint,
            source,
        })?;
        toml::from_str(&text).map_err(|error| {
            let text = format!("{}; correct it and start again", files::toml_error(&text, &error));
            ConfigError::Content { path, text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NodeConfig {
        NodeConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 22100)),
            advertise: vec![SocketAddr::from(([203, 0, 113, 7], 22100))],
            storage: ByteSize::from_bytes(20_000_000_000),
            http: SocketAddr::from(([127, 0, 0, 1], 22180)),
            account_quota: ByteSize::from_bytes(1_500_000),
            headroom: ByteSize::from_bytes(100_000_000),
            client_requests: 7,
            family: None,
        }
    }

    #[test]
    fn written_settings_are_read_back() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join(CONFIG_FILE), config().to_toml())?;
        assert_eq!(NodeConfig::load(dir.path())?, config());
        Ok(())
    }

    #[test]
    fn unknown_key_is_refused_with_its_line() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let text = format!("{}\nstorrage = \"1GB\"\n", config().to_toml());
        std::fs::write(dir.path().join(CONFIG_FILE), text)?;
        let error = NodeConfig::load(dir.path()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("storrage") && text.contains("line 24")));
        Ok(())
    }

    #[test]
    fn sizes_need_a_unit_and_fit() {
        let bytes = |text: &str| text.parse::<ByteSize>().ok().map(ByteSize::bytes);
        assert_eq!(bytes("20GB"), Some(20_000_000_000));
        assert_eq!(bytes("1500 kb"), Some(1_500_000));
        assert_eq!(bytes("20"), None);
        assert_eq!(bytes("-1GB"), None);
        assert_eq!(bytes("99999999999TB"), None);
        assert_eq!(ByteSize::from_bytes(1_500_000).to_string(), "1500KB");
    }
}
