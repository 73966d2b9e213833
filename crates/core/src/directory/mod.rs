//! The directory of KeyPackages (RFC 9420 §10): devices leave them here, and who wants to add a device takes one.
//!
//! A KeyPackage that is no last resort is handed out once, ever. So each leaves the stock in the write that hands it out,
//! which fails if it is not there any more; and its reference stays known until nobody could use it, so that it does not come
//! back by another upload. What is stored is in [`KeyPackage`]; [`judge`] says whether an upload may be, [`Demand`] whether
//! a KeyPackage serves a claim, [`ClaimLimits`] how much one claimer may take. The writes are the ledger's.

mod claim;
mod limit;
mod records;
#[cfg(test)]
mod tests;
mod upload;

pub use claim::{Ask, Demand, Handed};
pub(crate) use claim::{Pick, Search};
pub use limit::{Asked, ClaimLimits};
pub use records::{KeyPackage, LastResort, Shelved, Standing, Stock};
pub(crate) use upload::broken;
pub use upload::{Offered, Refused, Upload, Vouched, judge};
