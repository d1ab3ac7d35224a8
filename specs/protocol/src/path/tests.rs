#![allow(clippy::unwrap_used)]

mod failures;
mod guards;
mod hold;
mod oracle;
mod rules;
mod stored;
mod world;
