//! The front doors: each folder translates one protocol into the core's words and back.
//!
//! A dialect never imports another, and knows nothing of storage.

pub mod matrix;
