//! The `lychgate` program: everything is in the library, see its map.

fn main() -> std::process::ExitCode {
    lychgate::cli::run(std::env::args_os().collect())
}
