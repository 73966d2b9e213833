//! One run of all that docs/performance.md shows, part after part.

use anyhow::Result;

use crate::{
    figures::Notebook,
    followers::Which::{self, MlsRs, MlsRsAwsLc, OpenMls, OpenMlsJson, Ours},
    following, importing, memory,
    options::Options,
    scene::Kind::{self, Add, External, Grow, Remove, Resync, Update},
};

type Measure = fn(&Options, &mut Notebook) -> Result<()>;

/// A part of the run.
struct Part {
    measure: Measure,
    bare: bool,
    kinds: &'static [Kind],
    with: &'static [Which],
    /// Smaller groups are left out.
    least: u32,
}

/// The store of OpenMLS is measured with some kinds alone: it takes most of the time, and of all kinds says the same.
const PARTS: [Part; 6] = [
    Part {
        measure: following::run,
        bare: false,
        kinds: &[Update, Remove, Add],
        with: &[Ours, OpenMls, OpenMlsJson, MlsRs, MlsRsAwsLc],
        least: 8,
    },
    Part {
        measure: following::run,
        bare: false,
        kinds: &[External, Resync],
        with: &[Ours, OpenMls, MlsRs, MlsRsAwsLc],
        least: 8,
    },
    Part {
        measure: following::run,
        bare: false,
        kinds: &[Grow],
        with: &[Ours, OpenMls, MlsRs, MlsRsAwsLc],
        least: 512,
    },
    Part {
        measure: following::run,
        bare: true,
        kinds: &[Update, Remove, External, Resync],
        with: &[Ours, OpenMls, MlsRs],
        least: 8,
    },
    Part {
        measure: importing::run,
        bare: false,
        kinds: &[],
        with: &[Ours, OpenMls, MlsRs, MlsRsAwsLc],
        least: 8,
    },
    Part { measure: memory::run, bare: false, kinds: &[], with: &[], least: 8 },
];

/// Measures it all; sizes, rounds, budget and seed are as asked for.
pub(crate) fn run(options: &Options, notebook: &mut Notebook) -> Result<()> {
    for Part { measure, bare, kinds, with, least } in &PARTS {
        let sizes = options.sizes.iter().copied().filter(|size| size >= least).collect();
        let part =
            Options { sizes, kinds: kinds.to_vec(), with: with.to_vec(), bare: *bare, ..options.clone() };
        measure(&part, notebook)?;
    }
    Ok(())
}
