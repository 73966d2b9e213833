//! The adapter against a homeserver that misbehaves: raw bytes in, raw bytes out.

mod answers;
pub(crate) mod faulty;
pub(crate) mod keys;
mod media;
mod pages;
mod probing;
mod requests;
mod state;

use std::time::Duration;

use maypole_core::auth::AuthToken;

use super::{AccessToken, Bounds, Homeserver, Settings};
use faulty::Faulty;

const TOKEN: &str = "as-secret-0123456789-abcdefghijklmnop";

/// An adapter that talks to `url`, with patience for a test.
pub(crate) fn adapter(url: &str) -> Homeserver {
    adapter_with(url, |_| ())
}

#[expect(clippy::disallowed_methods, reason = "tests stand in for main, which makes the one token")]
pub(crate) fn adapter_with(url: &str, change: impl FnOnce(&mut Settings)) -> Homeserver {
    let mut settings = Settings {
        url: url.to_owned(),
        as_token: AccessToken::parse(TOKEN).unwrap(),
        user_id: "@:localhost".to_owned(),
        appservice_id: "maypole".to_owned(),
        bounds: Bounds {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(5),
            sync_grace: Duration::from_secs(5),
            response_bytes: 16 * 1024 * 1024,
        },
    };
    change(&mut settings);
    Homeserver::new(settings, AuthToken::make()).unwrap()
}

/// A homeserver that gives one answer to everything, and an adapter for it.
pub(crate) async fn facing(reply: faulty::Reply) -> (Faulty, Homeserver) {
    let faulty = Faulty::serve(vec![reply]).await;
    let homeserver = adapter(&faulty.url());
    (faulty, homeserver)
}
