//! Welcomes (RFC 9420 §12.4.3.1): for whom they are, and cut down to one of them.

use crate::{
    envelope::{WELCOME, bare},
    group::Committed,
    policy::READ_WELCOME_ENTRIES,
    reader::Broken,
    refusal::{Refusal, Rule},
    writer::Write as _,
};

/// A Welcome's outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// Its cipher suite.
    pub suite: u16,
    /// One entry for each reader.
    pub secrets: Vec<WelcomeEntry<'a>>,
    /// The encrypted GroupInfo.
    pub encrypted_group_info: &'a [u8],
}

/// An `EncryptedGroupSecrets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WelcomeEntry<'a> {
    /// The `KeyPackageRef` of its reader.
    pub key_package: &'a [u8],
    /// The whole entry as it was written.
    pub raw: &'a [u8],
}

impl<'a> Welcome<'a> {
    /// Reads one, bare or as an `MLSMessage`.
    ///
    /// ```
    /// use maypole_mls::service::Welcome;
    /// use maypole_testkit::mls::Member;
    ///
    /// let mut alice = Member::new("@alice:a.org/PHONE", 1)?;
    /// let mut bob = Member::new("@bob:b.org/LAPTOP", 1)?;
    /// let carol = Member::new("@carol:b.org/TABLET", 1)?;
    /// alice.create_group(b"!room:a.org", &[])?;
    /// let commit = alice.add(&[bob.key_package()?, carol.key_package()?])?;
    /// let bytes = commit.welcome.unwrap();
    /// let welcome = Welcome::read(&bytes)?;
    /// assert_eq!(welcome.secrets.len(), 2);
    ///
    /// let for_bob = welcome.cut_to(welcome.secrets[0].key_package).unwrap();
    /// assert_eq!(Welcome::read(&for_bob)?.secrets, welcome.secrets[..1]);
    /// bob.join(&[&[0, 1, 0, 3][..], &for_bob].concat(), &commit.ratchet_tree)?;
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are not a Welcome.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = bare(bytes, WELCOME)?;
        let suite = reader.u16("the cipher suite is missing")?;
        let mut inside = reader.vector("the secrets are cut short")?;
        let mut secrets = Vec::new();
        while !inside.rest().is_empty() {
            if secrets.len() >= READ_WELCOME_ENTRIES {
                return Err(inside.broken("a Welcome has more readers than are read"));
            }
            let start = inside.clone();
            let key_package = inside.opaque("a KeyPackage's reference is cut short")?;
            inside.opaque("a KEM output is cut short")?;
            inside.opaque("encrypted secrets are cut short")?;
            secrets.push(WelcomeEntry { key_package, raw: inside.since(&start) });
        }
        let encrypted_group_info = reader.opaque("the encrypted GroupInfo is cut short")?;
        reader.end()?;
        Ok(Self { suite, secrets, encrypted_group_info })
    }

    /// A bare Welcome that has the entry of one reader alone; nothing where it has none.
    pub fn cut_to(&self, key_package: &[u8]) -> Option<Vec<u8>> {
        let entry = self.secrets.iter().find(|entry| entry.key_package == key_package)?;
        let mut bytes = Vec::with_capacity(entry.raw.len() + self.encrypted_group_info.len() + 12);
        bytes.put_u16(self.suite);
        bytes.put_opaque(entry.raw);
        bytes.put_opaque(self.encrypted_group_info);
        Some(bytes)
    }

    /// Judges that its readers are exactly those whom a commit adds, each once.
    ///
    /// # Errors
    /// When they are not.
    pub fn check_readers(&self, suite: crate::Suite, commit: &Committed) -> Result<(), Refusal> {
        let mut readers: Vec<&[u8]> = self.secrets.iter().map(|entry| entry.key_package).collect();
        let added = commit.joined.iter().filter_map(|joined| joined.key_package.as_ref());
        let mut added: Vec<&[u8]> = added.map(AsRef::as_ref).collect();
        readers.sort_unstable();
        added.sort_unstable();
        if self.suite == suite.code() && readers == added {
            Ok(())
        } else {
            Err(Rule::WelcomeRecipients.whole())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_readers_are_read_than_are_bounded() {
        let welcome = |readers: usize| {
            let mut bytes = vec![0, 1];
            bytes.put_vector(|inside| inside.put(&[0, 0, 0].repeat(readers)));
            bytes.put_opaque(&[]);
            bytes
        };
        let most = welcome(READ_WELCOME_ENTRIES);
        assert_eq!(Welcome::read(&most).map(|welcome| welcome.secrets.len()), Ok(READ_WELCOME_ENTRIES));
        assert!(Welcome::read(&welcome(READ_WELCOME_ENTRIES + 1)).is_err());
    }
}
