//! Around messages, and in all of them.

use maypole_mls::Rule as R;
use maypole_testkit::forge::chance::Kind as K;

use super::{How::*, Row, Who::*};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        OpenMls,
        Refuses(&["UnsupportedCiphersuite"]),
        "§5.1",
        "Its own cryptography has the suites 1, 2 and 3 alone; a group of suite 5 or 7 cannot be followed.",
    ),
    Row::new(
        MlsRs,
        Refuses(&["UnsupportedCipherSuite"]),
        "§5.1",
        "Its cryptography on RustCrypto has no P-521; a group of suite 5 cannot be followed.",
    ),
    Row::new(
        Both,
        Takes(&[R::MembershipTag]),
        "§6.2",
        "A membership tag of another length than the suite's MAC is not noticed, although no member \
         takes the message.",
    ),
    Row::new(
        Both,
        Takes(&[R::ConfirmationTag]),
        "§6.1",
        "A confirmation tag of another length than the suite's MAC is not noticed, although no member \
         takes the commit.",
    )
    .of(&[K::Commit, K::ExternalCommit]),
    Row::new(
        Both,
        Takes(&[R::Closed]),
        "§12.4.2",
        "After a commit with a ReInit the group goes on: what is sent to it is taken as before.",
    ),
    Row::new(
        Both,
        Overflows(R::LastEpoch),
        "§8.1",
        "A commit in epoch 2^64 − 1 leads to epoch 0; a build with overflow checks panics instead. It \
         needs no secret: whoever founds a group chooses its epoch.",
    ),
];
