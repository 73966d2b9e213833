//! The testkit against real servers.

mod databases;
mod histories;
mod lives;
mod members;
mod services;
mod users;
