//! Measures how Maypole follows groups: beside the cryptography alone, and beside two MLS libraries, on the same bytes, in
//! one process, taking turns.

mod figures;
mod floor;
mod followers;
mod following;
mod goals;
mod importing;
mod machine;
mod memory;
mod numbers;
mod options;
mod plot;
mod profile;
mod report;
mod scene;
mod schedule;
mod tables;
mod tree;

use anyhow::Result;
use figures::Notebook;
use options::{Options, Topic};

fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    let measure: fn(&Options, &mut Notebook) -> Result<()> = match options.topic {
        Topic::Following => following::run,
        Topic::Import => importing::run,
        Topic::Memory => memory::run,
        Topic::All => schedule::run,
        Topic::Weigh => return memory::weigh(),
        Topic::Profile => return profile::run(&options),
        Topic::Report => return report::run(&options),
        Topic::Plot => return plot::run(&options),
    };
    let said = machine::said(&options)?;
    for (name, value) in &said {
        println!("{name}: {value}");
    }
    let mut notebook = Notebook::begin(options.figures.as_deref(), &said)?;
    machine::speed(&options, &mut notebook)?;
    measure(&options, &mut notebook)
}
