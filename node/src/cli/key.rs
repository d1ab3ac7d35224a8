//! `key`: take an identity to safety and back, and make a family key.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use enjambre_protocol::identity::KeyPurpose;
use rand::rngs::StdRng;
use serde_json::json;

use super::{CliError, answer, passphrase};
use crate::config::KEY_FILE;
use crate::files::{self, FileError};
use crate::sealed_key::{self, SEALED_MAX, SealedKeyError, purpose_name};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write the identity of a node or an authority, encrypted with a passphrase.
    #[command(
        after_help = "Example: enjambre-node key export --dir /var/lib/enjambre node-key.txt"
    )]
    Export(KeyArgs),
    /// Put an exported identity into a directory that has none; `init` then goes on with it.
    #[command(
        after_help = "Example: enjambre-node key import --dir /var/lib/enjambre node-key.txt"
    )]
    Import(KeyArgs),
    /// Make a family key: it tells clients which nodes are of one operator. Keep it off the nodes.
    #[command(after_help = "Example: enjambre-node key family family.key")]
    Family {
        /// The file to make.
        file: PathBuf,
    },
}

/// Whose key, and where.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// The file to write or to read.
    file: PathBuf,
    /// The directory of the node or authority.
    #[arg(long)]
    dir: PathBuf,
    /// A file with the passphrase in its first line; asked for at the terminal without it.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
}

impl From<SealedKeyError> for CliError {
    fn from(error: SealedKeyError) -> Self {
        let kind = match error {
            SealedKeyError::Wrong | SealedKeyError::Short => "passphrase",
            SealedKeyError::Memory => return Self::later("memory", error),
            _ => "file",
        };
        Self::failed(kind, error)
    }
}

pub(crate) fn run(command: KeyCommand, json: bool) -> Result<(), CliError> {
    match command {
        KeyCommand::Export(args) => export(&args, json),
        KeyCommand::Import(args) => import(&args, json),
        KeyCommand::Family { file } => family(&file, json),
    }
}

fn export(args: &KeyArgs, json: bool) -> Result<(), CliError> {
    let (purpose, key) = files::load_identity(&args.dir.join(KEY_FILE))?;
    if args.file.exists() {
        return Err(FileError::Exists { path: args.file.clone() }.into());
    }
    let passphrase = passphrase::for_export(args.passphrase_file.as_deref())?;
    let mut rng: StdRng = rand::make_rng();
    let text = sealed_key::seal(purpose, &key, &passphrase, &mut rng)?;
    files::write_private(&args.file, text.as_bytes())?;
    let (id, kind) = (key.public().to_string(), purpose_name(purpose));
    let text = format!(
        "The key of {kind} {id} is in {}. Whoever has it and the passphrase is the {kind}.",
        args.file.display()
    );
    answer(json, &json!({"id": id, "purpose": kind, "file": args.file}), &text);
    Ok(())
}

fn import(args: &KeyArgs, json: bool) -> Result<(), CliError> {
    let path = args.dir.join(KEY_FILE);
    if path.exists() {
        return Err(FileError::Exists { path }.into());
    }
    let bytes = files::read_at_most(&args.file, SEALED_MAX)
        .map_err(|source| FileError::Io { path: args.file.clone(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| SealedKeyError::Heading)?;
    let passphrase = passphrase::for_import(args.passphrase_file.as_deref())?;
    let (purpose, key) = sealed_key::open(&text, &passphrase)?;
    if purpose == KeyPurpose::Family {
        let text = "this is a family key, which belongs to no node: keep it apart";
        return Err(CliError::failed("file", text));
    }
    files::check_writable(&args.dir)?;
    files::write_key(&path, purpose, &key)?;
    let (id, kind) = (key.public().to_string(), purpose_name(purpose));
    let (dir, next) = (args.dir.display(), next_step(purpose));
    let text = format!(
        "The key of {kind} {id} is in {dir}. Never run it in two places.\nIf the directory is new, go on with: enjambre-node {next} --dir {dir} …"
    );
    answer(json, &json!({"id": id, "purpose": kind, "dir": args.dir}), &text);
    Ok(())
}

const fn next_step(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Authority => "authority init",
        KeyPurpose::Node | KeyPurpose::Family => "init --network …",
    }
}

fn family(file: &Path, json: bool) -> Result<(), CliError> {
    let key = files::create_key(file, KeyPurpose::Family)?;
    let id = key.public().to_string();
    let text = format!(
        "Family {id}. Name it when you make each of your nodes: enjambre-node init --family {} …",
        file.display()
    );
    answer(json, &json!({"id": id, "file": file}), &text);
    Ok(())
}
