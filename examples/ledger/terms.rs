//! What the examples' groups are held against: identities are `user/device`, and everything is permitted.

use anyhow::{Result, bail};
use maypole_core::auth::Authenticated;
use maypole_core::group::{Case, Command, Decision, Fetched, Group, Input, Need, Step, Terms, step};
use maypole_core::ids::{ClientId, DeviceId, UserId};
use maypole_core::permit::Permit;
use maypole_core::rejection::Rejection;
use maypole_core::time::Timestamp;
use maypole_mls::Suite;

/// The service's identity in its groups.
pub(crate) const SERVICE: &str = "@:a.org/ed25519:1/KEY";
/// Nothing must happen outside.
const FREELY: Permit = Permit { effects: Vec::new(), cited: Vec::new() };

/// The terms of a service with one key.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    pub(crate) key: Vec<u8>,
}

impl Terms for Here {
    fn client(&self, identity: &[u8]) -> Option<ClientId> {
        client(identity)
    }

    fn external_sender(&self, suite: Suite) -> Option<(Vec<u8>, Vec<u8>)> {
        (suite.code() == 1).then(|| (SERVICE.into(), self.key.clone()))
    }
}

/// The device that an identity names.
pub(crate) fn client(identity: &[u8]) -> Option<ClientId> {
    let (user, device) = std::str::from_utf8(identity).ok()?.split_once('/')?;
    Some(ClientId { user: UserId::parse(user)?, device: DeviceId::parse(device)? })
}

/// What the core says of a command to which the world says yes.
pub(crate) fn judge(
    group: Option<&Group>,
    command: Authenticated<Command>,
    terms: &Here,
    now: Timestamp,
) -> Result<Result<Box<Decision>, Rejection>> {
    let mut case = Case::new(command);
    let mut last = step(group, &mut case, Input::Begin, terms, now);
    while let Step::Need(need) = last {
        let fetched = match need {
            Need::Keys(_) => Fetched::Keys(Ok(())),
            Need::Permit(_) => Fetched::Permit(Ok(FREELY)),
            Need::Predecessor(_) => Fetched::Predecessor(Ok(None)),
            Need::Signatures(_) => bail!("the service has nothing to sign in these groups"),
        };
        last = step(group, &mut case, Input::Fetched(fetched), terms, now);
    }
    match last {
        Step::Decide(decision) => Ok(Ok(decision)),
        Step::Reject(rejection) => Ok(Err(rejection)),
        other => bail!("neither decided nor refused: {other:?}"),
    }
}
