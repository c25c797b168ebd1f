//! The binary `spec-kitty`.

fn main() -> std::process::ExitCode {
    spec_kitty::main()
}
