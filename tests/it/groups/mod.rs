//! Whole groups: real clients in MLS rooms of a real Synapse.

mod again;
mod cast;
mod commits;
mod crash;
mod database;
mod flow;
mod hall;
mod late;
mod many;
mod must_go;
mod operated;
mod outlaw;
mod power;
mod registrations;
mod requests;
mod restored;
mod scene;
mod told;
mod twins;
