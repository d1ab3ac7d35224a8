//! Where a passphrase comes from: a file, or the terminal without echo.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use super::CliError;
use crate::files::{self, FileError};
use crate::sealed_key::{PASSPHRASE_MIN, SealedKeyError};

/// A passphrase, wiped when dropped.
pub(crate) type Passphrase = Zeroizing<String>;

/// Bytes of a passphrase file.
const FILE_MAX: u64 = 4096;

/// Bytes of a typed line: what a terminal collects at most.
const LINE_MAX: usize = 4096;

/// The characters that interrupt a program: Ctrl-C and Ctrl-\, unless the user has chosen others.
const INTERRUPTS: [SpecialCodeIndex; 2] = [SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT];

/// A special character that is switched off.
const DISABLED: u8 = 0;

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

/// Asks at the terminal. Ctrl-C and Ctrl-\ come as characters that end the line, not as signals that
/// would end the process with the echo off.
fn ask(question: &str) -> Result<Passphrase, CliError> {
    let none = |_| {
        let text = "there is no terminal to ask for the passphrase: give --passphrase-file FILE";
        CliError::usage(text)
    };
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(none)?;
    let before = tcgetattr(&terminal).map_err(|error| none(error.into()))?;
    let interrupts = INTERRUPTS.map(|index| before.special_codes[index]);
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VEOL] = interrupts[0];
    silent.special_codes[SpecialCodeIndex::VEOL2] = interrupts[1];
    let unasked = |error: std::io::Error| CliError::failed("terminal", error);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| unasked(error.into()))?;
    let mut silence = Silence { terminal, before };
    // Only now: whoever sees the question can answer it unseen.
    silence.terminal.write_all(question.as_bytes()).map_err(unasked)?;
    let typed = read_line(&mut silence.terminal, interrupts);
    drop(silence);
    typed.map_err(unasked)?.ok_or_else(CliError::interrupted)
}

/// Reads a line; none if it ends with one of the characters that interrupt.
fn read_line(mut from: impl Read, interrupts: [u8; 2]) -> std::io::Result<Option<Passphrase>> {
    // Never grown, so that no copy is left behind: a terminal gives no longer line.
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX));
    let mut next = Zeroizing::new([0]);
    while line.len() < LINE_MAX && from.read(next.as_mut_slice())? == 1 && next[0] != b'\n' {
        if next[0] != DISABLED && interrupts.contains(&next[0]) {
            return Ok(None);
        }
        line.push(next[0]);
    }
    let text = core::str::from_utf8(&line)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    Ok(Some(Zeroizing::new(text.trim_end_matches('\r').to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_at_its_end_and_at_nothing_else_that_was_typed() {
        let read = |typed: &[u8]| {
            read_line(typed, [3, DISABLED]).map(|line| line.map(|line| line.to_string())).ok()
        };
        assert_eq!(read("contraseña\r\nx".as_bytes()), Some(Some("contraseña".to_owned())));
        assert_eq!(read(b"as far as it goes"), Some(Some("as far as it goes".to_owned())));
        assert_eq!(read(b"half\x03"), Some(None));
        assert_eq!(read(b"a\0b\n"), Some(Some("a\0b".to_owned())));
        assert_eq!(read(b"\xff\n"), None);
    }
}
