//! Who a leaf says it is: `@user:server/DEVICEID`, and the name under which the device publishes its signature key.

use maypole_core::ids::{ClientId, DeviceId, UserId};
use maypole_mls::Suite;

/// Reads the identity of a basic credential; `None` if it names no device of a Matrix user.
///
/// A server's name has no `/`, so the first one after the first `:` ends the user ID.
///
/// ```
/// use maypole_room::identity;
///
/// let client = identity::parse(b"@alice:a.org/LAPTOP").unwrap();
/// assert_eq!(client.user.as_str(), "@alice:a.org");
/// assert_eq!(client.device.as_str(), "LAPTOP");
/// assert_eq!(identity::write(&client), b"@alice:a.org/LAPTOP");
/// ```
pub fn parse(identity: &[u8]) -> Option<ClientId> {
    let text = std::str::from_utf8(identity).ok()?;
    let (localpart, rest) = text.split_once(':')?;
    let (server, device) = rest.split_once('/')?;
    let user = format!("{localpart}:{server}");
    ruma::UserId::parse(user.as_str()).ok()?;
    Some(ClientId { user: UserId::parse(user)?, device: parse_device(device)? })
}

/// The identity of a device, as its credential holds it.
pub fn write(client: &ClientId) -> Vec<u8> {
    client.to_string().into_bytes()
}

/// Under which name a device publishes the key that its leaves sign with, in the `keys` of its `device_keys`.
///
/// ```
/// use maypole_core::ids::DeviceId;
/// use maypole_mls::Suite;
/// use maypole_room::identity::published_name;
///
/// let device = DeviceId::parse("LAPTOP").unwrap();
/// assert_eq!(published_name(Suite::X25519Aes128, &device), "mls_ed25519:LAPTOP");
/// ```
pub fn published_name(suite: Suite, device: &DeviceId) -> String {
    let scheme = match suite {
        Suite::X25519Aes128 | Suite::X25519ChaCha20 => "mls_ed25519",
        Suite::P256Aes128 => "mls_p256",
        Suite::P384Aes256 => "mls_p384",
        Suite::P521Aes256 => "mls_p521",
    };
    format!("{scheme}:{device}")
}

/// The ID of one device: `*` stands for all of them, and databases take no NUL.
pub(crate) fn parse_device(text: &str) -> Option<DeviceId> {
    if text == "*" || text.chars().any(char::is_control) { None } else { DeviceId::parse(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_names_no_device_of_a_user_is_refused() {
        let long = format!("@alice:a.org/{}", "D".repeat(256));
        let wrong: [&[u8]; 16] = [
            b"",
            b"alice",
            b"@alice:a.org",
            b"@alice:a.org/",
            b"@alice:a.org/*",
            b"@alice:a.org/A\x00",
            b"@alice:a.org/A\n",
            "@alice:a.org/A\u{85}".as_bytes(),
            b"@alice/A",
            b"@alice:/A",
            b"alice:a.org/A",
            b"#alice:a.org/A",
            b"@alice:a org/A",
            b"@alice:a.org:x/A",
            b"@alice:a.org/\xff",
            long.as_bytes(),
        ];
        for identity in wrong {
            assert_eq!(parse(identity), None, "{}", identity.escape_ascii());
        }
    }

    #[test]
    fn the_first_slash_after_the_first_colon_separates() {
        let read = |text: &str| {
            let client = parse(text.as_bytes()).unwrap();
            (client.user.as_str().to_owned(), client.device.as_str().to_owned())
        };
        assert_eq!(read("@:a.org/A"), ("@:a.org".to_owned(), "A".to_owned()));
        assert_eq!(read("@a/b:a.org/A"), ("@a/b:a.org".to_owned(), "A".to_owned()));
        assert_eq!(read("@alice:a.org:8448/A/B:c"), ("@alice:a.org:8448".to_owned(), "A/B:c".to_owned()));
        assert_eq!(read("@alice:[::1]:80/A"), ("@alice:[::1]:80".to_owned(), "A".to_owned()));
    }

    #[test]
    fn every_scheme_has_its_name() {
        let device = DeviceId::parse("D").unwrap();
        let names = Suite::ALL.map(|suite| published_name(suite, &device));
        assert_eq!(names, ["mls_ed25519:D", "mls_p256:D", "mls_ed25519:D", "mls_p521:D", "mls_p384:D"]);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(text in "@[a-z/:]{0,4}:[a-z/:0-9]{0,6}/[A-Z/:]{0,3}") {
            if let Some(client) = parse(text.as_bytes()) {
                prop_assert_eq!(write(&client), text.into_bytes());
            }
        }
    }
}
