//! MSC4244, the Matrix dialect: to-device messages in, to-device messages and state events out.

pub mod answers;
pub mod blobs;
pub mod commands;
pub mod describe;
pub mod effects;
pub mod inquiries;
pub mod invites;
pub mod permits;
pub mod questions;
pub mod reference;
pub mod telling;
pub mod terms;

use std::sync::Arc;

use maypole_core::group::ToSign;
use maypole_core::ids::UserId;
use maypole_room::description::Description;
use ruma::OwnedUserId;

use self::blobs::Blobs;
use self::permits::Permits;
use self::telling::Teller;
use self::terms::MatrixTerms;
use crate::homeserver::Homeserver;
use crate::keys::Keys;

/// All that groups need of the dialect, in one place.
pub struct Matrix {
    homeserver: Homeserver,
    terms: MatrixTerms,
    blobs: Arc<Blobs>,
    permits: Permits,
    teller: Teller,
    keys: Arc<Keys>,
}

impl Matrix {
    /// The dialect of a service with these keys, that says this of itself.
    pub fn new(
        homeserver: Homeserver,
        user: OwnedUserId,
        keys: &Arc<Keys>,
        description: Description,
    ) -> Self {
        let blobs = Arc::new(Blobs::new(homeserver.clone()));
        let our_user: &UserId = homeserver.user_id();
        Self {
            terms: MatrixTerms::new(our_user, keys),
            teller: Teller::new(keys.clone(), our_user.to_string(), blobs.clone()),
            permits: Permits::new(homeserver.clone(), user, blobs.clone(), description),
            keys: keys.clone(),
            blobs,
            homeserver,
        }
    }

    /// The homeserver.
    pub fn homeserver(&self) -> &Homeserver {
        &self.homeserver
    }

    /// Who can be a member.
    pub fn terms(&self) -> &MatrixTerms {
        &self.terms
    }

    /// Bytes by way of the media repository.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// What the rooms permit.
    pub fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Signs as an external sender. Nothing is signed for a group that knows the service by a key that it does not have, and
    /// what a key fails on is left unsigned.
    pub fn sign(&self, to_sign: &ToSign) -> Vec<Vec<u8>> {
        let scheme = terms::scheme(to_sign.suite);
        let is_ours = |(known, key): (_, &[u8])| known == scheme && key == to_sign.key;
        if !self.keys.public_keys().any(is_ours) {
            tracing::error!("a group knows the service by a key that it does not have");
            return Vec::new();
        }
        let signed = to_sign.contents.iter().map(|content| self.keys.sign(scheme, content));
        signed.map_while(Result::ok).collect()
    }

    /// Who puts decisions into words.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }
}
