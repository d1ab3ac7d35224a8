//! The `enjambre-node` command.

fn main() -> std::process::ExitCode {
    enjambre_node::cli::main()
}
