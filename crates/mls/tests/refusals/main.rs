//! Every reason to refuse, once at least: a message that is correctly signed and wrong in one point is refused for that
//! point, its honest twin is taken, and no refusal changes anything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test speaks, and nobody links one"
)]

/// Makes each case a test of its own, and a list of all of them.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        pub(crate) const ALL: &[fn(&crate::trial::Docket)] = &[$($case),+];

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
mod bytes;
mod external_commits;
mod facts;
mod group_infos;
mod honest;
mod key_packages;
mod leaves;
mod lists;
mod messages;
mod paths;
mod policy;
mod proposals;
mod removes;
mod trees;
mod trial;
mod welcomes;

use trial::Docket;

#[test]
fn every_rule_has_a_message_that_breaks_it() {
    let docket = Docket::default();
    let themes = [
        messages::ALL,
        leaves::ALL,
        key_packages::ALL,
        lists::ALL,
        paths::ALL,
        external_commits::ALL,
        proposals::ALL,
        trees::ALL,
        group_infos::ALL,
        welcomes::ALL,
        abilities::ALL,
        removes::ALL,
        facts::ALL,
        policy::ALL,
    ];
    for case in themes.into_iter().flatten() {
        case(&docket);
    }
    assert_eq!(docket.missing(), []);
}
