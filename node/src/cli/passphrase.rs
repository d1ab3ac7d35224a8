//! Where a passphrase comes from: a file, or the terminal without echo.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize, Zeroizing};

use super::CliError;
use crate::files::{self, FileError};
use crate::sealed_key::{PASSPHRASE_MIN, SealedKeyError};

/// A passphrase, wiped when dropped.
pub(crate) type Passphrase = Zeroizing<String>;

/// Bytes of a passphrase file.
const FILE_MAX: u64 = 4096;

/// A new passphrase: long enough, and typed twice if it is typed.
pub(crate) fn for_export(file: Option<&Path>) -> Result<Passphrase, CliError> {
    let passphrase = match file {
        Some(file) => read(file)?,
        None => ask("New passphrase: ")?,
    };
    if passphrase.chars().count() < PASSPHRASE_MIN {
        return Err(SealedKeyError::Short.into());
    }
    if file.is_none() && *ask("The same again: ")? != *passphrase {
        return Err(CliError::failed("passphrase", "the two passphrases differ: try again"));
    }
    Ok(passphrase)
}

/// The passphrase of what was exported.
pub(crate) fn for_import(file: Option<&Path>) -> Result<Passphrase, CliError> {
    file.map_or_else(|| ask("Passphrase: "), read)
}

/// The first line of a file.
fn read(path: &Path) -> Result<Passphrase, CliError> {
    let unreadable = |source| FileError::Io { path: path.to_path_buf(), source };
    let bytes = Zeroizing::new(files::read_at_most(path, FILE_MAX).map_err(unreadable)?);
    let text = core::str::from_utf8(&bytes).map_err(|_| {
        let text =
            format!("{} holds no text: write the passphrase in its first line", path.display());
        CliError::failed("passphrase", text)
    })?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Switches the echo on again, however the question ends.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Drop for Silence {
    fn drop(&mut self) {
        // The terminal may be gone; then there is no echo either.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
        let _ = writeln!(self.terminal);
    }
}

fn ask(question: &str) -> Result<Passphrase, CliError> {
    let none = |_| {
        let text = "there is no terminal to ask for the passphrase: give --passphrase-file FILE";
        CliError::usage(text)
    };
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(none)?;
    let before = tcgetattr(&terminal).map_err(|error| none(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let unasked = |error: std::io::Error| CliError::failed("terminal", error);
    terminal.write_all(question.as_bytes()).map_err(unasked)?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| unasked(error.into()))?;
    let copy = terminal.try_clone().map_err(unasked)?;
    let silence = Silence { terminal, before };
    let mut line = String::new();
    let read = BufReader::new(copy).read_line(&mut line);
    drop(silence);
    let typed = Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned());
    line.zeroize();
    read.map_err(unasked)?;
    Ok(typed)
}
