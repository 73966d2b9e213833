//! Every reason to refuse, once at least: a message that is correctly signed and wrong in one point is refused for that
//! point, its honest twin is taken, and no refusal changes anything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks, and nobody links one"
)]

/// Makes each case a test of its own, and a list of all of them with their names.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        pub(crate) const ALL: &[crate::trial::Case] =
            &[$((concat!(module_path!(), "::", stringify!($case)), $case)),+];

        mod each {
            $(
                #[test]
                fn $case() {
                    super::$case(&crate::trial::Docket::default());
                }
            )+
        }
    };
}

mod abilities;
mod app_data;
mod bytes;
mod extensions;
mod external_commits;
mod facts;
mod group_infos;
mod honest;
mod key_packages;
mod keys;
mod leaves;
mod lists;
mod messages;
mod paths;
mod policy;
mod proposals;
mod removes;
mod tables;
mod trees;
mod trial;
mod welcomes;
