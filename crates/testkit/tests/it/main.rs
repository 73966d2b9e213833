//! The testkit against real Synapses.

mod histories;
mod lives;
mod members;
mod services;
mod users;
