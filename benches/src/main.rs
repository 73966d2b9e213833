//! Measures how Maypole follows groups: beside the cryptography alone, and beside two MLS libraries, on the same bytes, in
//! one process, taking turns.

mod floor;
mod followers;
mod following;
mod importing;
mod memory;
mod numbers;
mod options;
mod profile;
mod scene;
mod tree;

use anyhow::Result;
use options::{Options, Topic};

fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    match options.topic {
        Topic::Following => following::run(&options),
        Topic::Import => importing::run(&options),
        Topic::Memory => memory::run(&options),
        Topic::Weigh => memory::weigh(),
        Topic::Profile => profile::run(&options),
    }
}
