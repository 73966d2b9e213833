//! The disk recorder: proves what a program's files are worth after a power loss.
//!
//! `kill -9` proves little, because the kernel keeps every write of a killed process. A power loss keeps only what was
//! synced, and of the rest whatever the disk pleases. So a program is run under `ptrace`, every system call that changes
//! files below one folder is recorded in one total order ([`Recording::run`]), and then the power is cut in hindsight, at any
//! place in that order, under any [`Policy`] for the writes that were not synced yet ([`Recording::materialise`]). The program
//! says what it holds for durable by printing lines `ack <n>`; whatever was acknowledged before a cut must still be there
//! after it.
//!
//! # The model of the disk
//!
//! It is pessimistic: it promises what POSIX promises, and no file system's kindness.
//!
//! - `fsync` and `fdatasync` of a file make its content and its size durable, for those writes that had *finished* before the
//!   sync *began*. They do not make the file's entry in its folder durable.
//! - `fsync` of a folder makes its entries durable (creations, removals, renames), nothing below it and nothing above it.
//! - `sync_file_range` makes nothing durable: it neither writes the file's size nor empties the disk's cache.
//! - `ftruncate` and growing by a write change the size, which is part of the file and becomes durable with its sync.
//! - What is not durable may be there or not, each change for itself and in any order; a write may be torn at sectors of
//!   512 bytes; a size may be there without the data, which then reads as zeros. Content older than the last sync is never lost.
//! - A rename within one folder is one change, kept or lost as a whole; between folders it is two.
//! - A write that was in flight at the cut is one that was not synced: the record has it once it has finished.
//!
//! Calls that the model cannot follow (shared writable mappings, io_uring, reflinks, symbolic links, O_SYNC)
//! end the recording with an error: a wrong record would be worse than none. When the program has ended, the record is
//! played to its end and compared with the folder itself, so that an unseen change cannot go by unnoticed.

mod base;
mod bounded;
mod calls;
mod cut;
mod effects;
mod generator;
mod live;
mod materialise;
mod op;
mod process;
mod recording;
mod registers;
mod replay;
mod tracer;

pub use bounded::output_within;
pub use cut::{Cut, Cuts, Policy};
pub use generator::SplitMix64;
pub use op::{NodeId, Op};
pub use recording::{Recording, Until, example_program};
pub use replay::Replay;
