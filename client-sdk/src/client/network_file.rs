//! `network.toml`, as a person hands it over.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use enjambre_protocol::directory::NetworkFile;

use super::{JoinedNetwork, NETWORK_CARD_SCHEME};
use crate::error::{Error, ErrorKind};

/// Bytes of a `network.toml`: 31 authorities with eight addresses each, many times over.
const NETWORK_FILE_MAX: u64 = 64 << 10;

/// Reads a file; each error says what to name instead.
pub(super) fn read_network_file(path: &Path) -> Result<JoinedNetwork, Error> {
    let unreadable = |error: std::io::Error| {
        let text = format!(
            "`{}` cannot be read ({error}): name a network.toml, or paste a network card, which \
             begins with `{NETWORK_CARD_SCHEME}`",
            path.display()
        );
        Error::new(ErrorKind::File, text).with_source(error)
    };
    let wrong = |reason: String| {
        let text = format!("`{}` is not a network file ({reason}): get it anew", path.display());
        Error::new(ErrorKind::InvalidInput, text)
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(NETWORK_FILE_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > NETWORK_FILE_MAX {
        return Err(wrong(format!("more than {NETWORK_FILE_MAX} bytes")));
    }
    let file: NetworkFile = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let reason = error.message().to_owned();
        wrong(reason).with_source(error)
    })?;
    let genesis =
        file.into_genesis().map_err(|error| wrong(error.to_string()).with_source(error))?;
    Ok(JoinedNetwork::Genesis(genesis))
}
