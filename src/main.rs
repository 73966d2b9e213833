//! The `maypole` binary.

fn main() {
    println!("maypole {}: there is nothing to run yet", env!("CARGO_PKG_VERSION"));
}
