//! Makes a registration: the file by which the homeserver and the service know each other.

use ruma::{ServerName, UserId};

use crate::entropy::{self, NoEntropy};

use super::super::listener;

/// The localpart of the user that a homeserver makes for every application service. It must not be empty: Synapse
/// answers such a user's `/sync` with an error. The service does not act as this user.
pub const SENDER_LOCALPART: &str = "_mls_ds";

/// What homeservers call the service.
pub const ID: &str = "maypole";

/// The tokens of the reference form. They are refused wherever tokens are read.
pub const PLACEHOLDER_TOKENS: (&str, &str) =
    ("REPLACE-by-running-maypole-registration-1", "REPLACE-by-running-maypole-registration-2");

/// What is known when a registration is made.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'w> {
    /// The service's user, if it is known.
    pub user: Option<&'w UserId>,
    /// Where the homeserver reaches the service; the default listener if it is not known.
    pub url: Option<&'w str>,
}

/// A registration with new random tokens.
pub fn generate(wanted: &Wanted<'_>) -> Result<String, NoEntropy> {
    Ok(render(wanted, &token("as")?, &token("hs")?))
}

/// The reference form: what [`generate`] makes, with placeholders for the tokens.
pub fn reference_form() -> String {
    render(&Wanted::default(), PLACEHOLDER_TOKENS.0, PLACEHOLDER_TOKENS.1)
}

/// The service's user on a server, where nothing else is configured.
pub fn default_user(server: &ServerName) -> String {
    format!("@:{server}")
}

/// 256 random bits. The prefix says whose token it is, and keeps YAML from taking one for a number.
fn token(whose: &str) -> Result<String, NoEntropy> {
    let bytes: [u8; 32] = entropy::random()?;
    Ok(bytes.iter().fold(format!("{whose}_"), |token, byte| token + &format!("{byte:02x}")))
}

fn render(wanted: &Wanted<'_>, as_token: &str, hs_token: &str) -> String {
    let default_url = listener::default_url();
    let url = quoted(wanted.url.unwrap_or(&default_url));
    let users = users(wanted.user);
    format!(
        "\
# The registration of Maypole, an MLS Delivery Service, as an application service.
# The homeserver reads this file (Synapse: app_service_config_files), and so does Maypole (appservice.registration).
# `maypole registration` prints one with new tokens. Keep it secret: the tokens are passwords.

id: {ID}

# Where the homeserver reaches Maypole's listener.
url: {url}

# With as_token Maypole calls the homeserver, with hs_token the homeserver calls Maypole.
as_token: {as_token}
hs_token: {hs_token}

# Homeservers make this user for every application service. Maypole does not act as it, but it must not be empty.
sender_localpart: {SENDER_LOCALPART}

namespaces:
  users:
{users}
  aliases: []
  rooms: []

# One commit may concern hundreds of devices.
rate_limited: false

# Push wakes Maypole up early; without these it finds everything a little later, by /sync.
receive_ephemeral: true
de.sorunome.msc2409.push_ephemeral: true
org.matrix.msc3202: true
io.element.msc4190: true
"
    )
}

fn users(user: Option<&UserId>) -> String {
    let (comment, regex) = match user {
        Some(user) => ("# Maypole's own user.", format!("^{}$", regex::escape(user.as_str()))),
        None => (
            "# Maypole's own user, `@:` of whatever server. To narrow it, name the server: `maypole registration
    # --server-name a.org` writes '^@:a\\.org$' here.",
            "@:.+".to_owned(),
        ),
    };
    format!("    {comment}\n    - exclusive: true\n      regex: {}", quoted(&regex))
}

/// A YAML string in single quotes, in which a backslash is a backslash.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::registration::{check, token};
    use ruma::user_id;

    #[test]
    fn two_runs_never_agree() {
        let mut tokens = Vec::new();
        for _ in 0..50 {
            let text = generate(&Wanted::default()).unwrap();
            let (as_token, hs_token) = check(&text, None).tokens.unwrap();
            tokens.extend([as_token.expose().to_owned(), hs_token.expose().to_owned()]);
        }
        assert!(tokens.iter().all(|token| token::fault(token).is_none() && token.len() >= 64));
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 100);
    }

    #[test]
    fn the_reference_form_is_what_generate_makes_but_for_the_tokens() {
        let text = generate(&Wanted::default()).unwrap();
        let (as_token, hs_token) = check(&text, None).tokens.unwrap();
        let replaced = text
            .replace(as_token.expose(), PLACEHOLDER_TOKENS.0)
            .replace(hs_token.expose(), PLACEHOLDER_TOKENS.1);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/registration.yaml");
        assert_eq!(replaced, std::fs::read_to_string(path).unwrap());
        assert_eq!(replaced, reference_form());
    }

    #[test]
    fn what_is_made_passes_the_check_without_a_word() {
        for user in ["@:a.org", "@:localhost:8448", "@:[::1]:8448", "@it's.mls+x:a.org", "@mls-ds:a-b.org"] {
            let user = UserId::parse(user).unwrap();
            let text = generate(&Wanted { user: Some(&user), url: None }).unwrap();
            assert_eq!(check(&text, Some(&user)).findings, [], "{text}");
            let other = check(&text, Some(user_id!("@:b.org")));
            assert!(other.findings.iter().any(|finding| finding.is_error()), "{text}");
        }
        let any = generate(&Wanted::default()).unwrap();
        for user in [None, Some(user_id!("@:a.org")), Some(user_id!("@:localhost:1"))] {
            assert_eq!(check(&any, user).findings, [], "{any}");
        }
    }
}
