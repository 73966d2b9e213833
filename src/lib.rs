//! Maypole: an MLS (RFC 9420) Delivery Service for Matrix.
//!
//! So far the workspace, its dependencies and its tests' surroundings: a private Synapse that starts and stops.
