//! The testkit against real Synapses.

mod lives;
mod members;
mod services;
mod users;
