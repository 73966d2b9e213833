//! MLS (RFC 9420) as somebody sees it who follows a group without being in it.
//!
//! A delivery service puts the commits of a group into one order. This crate says of each of them whether RFC 9420 lets it
//! happen, as far as that can be known without a secret, and keeps the tree that it leads to. Bytes go in, a verdict
//! and a [`Delta`] come out; nothing here knows Matrix, performs I/O or reads a clock.
//!
//! - [`Group`] is a group at an epoch: imported from a GroupInfo, or restored from a snapshot. [`Group::validate`]
//!   judges a message and changes nothing, [`Group::apply`] carries the verdict out, and cannot fail.
//! - [`Refusal`] says which [`Rule`] was broken, where, and in which section it stands. [`requirements`] has what RFC 9420
//!   asks, section by section, and which rules hold it.
//! - [`Policy`] is what the RFC leaves to the application, and every bound.
//! - [`service`] is what a delivery service gives back: GroupInfos that it checked, Welcomes cut to one reader, Removes of
//!   its own.
//! - [`envelope`], [`wire`], [`reader`] and [`writer`] read and write the structures themselves.
//!
//! # What nobody outside can know
//!
//! Membership and confirmation tags are MACs of members' secrets, and path secrets are encrypted to members: here they
//! have the right number and the right sizes, and no more is known. A commit that is valid here and cannot be processed
//! by members is possible; they must be able to say so.

#![forbid(unsafe_code)]

pub mod envelope;
mod group;
mod policy;
pub mod reader;
mod refusal;
#[doc = include_str!("../docs/sections.md")]
pub mod requirements {}
mod rules;
pub mod service;
mod suite;
mod tree;
pub mod wire;
pub mod writer;

pub use group::{
    Committed, Delta, Group, Joined, Left, Member, Pending, Replaced, ReplayError, RestoreError, WrongBase,
    check_key_package,
};
pub use policy::{Bounds, Component, Declared, Lifetimes, Policy, Strict, UnixSeconds};
pub use refusal::{Place, Refusal, Rule};
pub use suite::{Hash, Suite};
