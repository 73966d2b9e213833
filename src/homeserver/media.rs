//! The media repository: where bytes lie that are too many for an event.

use std::fmt;

use maypole_core::limits;
use ruma::{MxcUri, OwnedServerName};
use serde::Deserialize;

use super::Homeserver;
use super::call::Call;
use super::error::CallError;

/// An address in the media repository: `mxc://server/id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mxc {
    server: OwnedServerName,
    id: String,
}

impl Mxc {
    /// Takes an address whose parts are neither empty nor too long.
    pub fn parse(text: &str) -> Option<Self> {
        let (server, id) = <&MxcUri>::from(text).parts().ok()?;
        let sound = text.len() <= limits::MXC_BYTES && !id.is_empty();
        sound.then(|| Self { server: server.to_owned(), id: id.to_owned() })
    }

    /// The name of the server that took the bytes.
    pub fn server(&self) -> &str {
        self.server.as_str()
    }

    /// What that server calls them.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Mxc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mxc://{}/{}", self.server, self.id)
    }
}

/// Bytes that were not got from the media repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// Not now: the homeserver, or the one that has the bytes, is in trouble.
    #[error("not now: {0}")]
    Passing(CallError),
    /// The homeserver has no such bytes, or not for us.
    #[error("gone: {0}")]
    Gone(CallError),
    /// More bytes came than were promised, or more were promised than a blob may have.
    #[error("it has more than {limit_bytes} bytes")]
    TooLong {
        /// How many there may be.
        limit_bytes: u64,
    },
    /// Fewer bytes came than were promised.
    #[error("it has {got_bytes} bytes instead of {size_bytes}")]
    TooShort {
        /// How many there should be.
        size_bytes: u64,
        /// How many there are.
        got_bytes: u64,
    },
}

impl DownloadError {
    /// Whether the same download may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Passing(_))
    }
}

impl From<CallError> for DownloadError {
    fn from(error: CallError) -> Self {
        if error.is_transient() { Self::Passing(error) } else { Self::Gone(error) }
    }
}

#[derive(Deserialize)]
struct Uploaded {
    content_uri: String,
}

impl Homeserver {
    /// Puts bytes into the media repository. The same bytes again get another address.
    pub async fn upload(&self, bytes: Vec<u8>) -> Result<Mxc, CallError> {
        const NAME: &str = "POST /media/upload";
        if size_of(&bytes) > limits::BLOB_BYTES {
            let why = format!("it has more than {} bytes", limits::BLOB_BYTES);
            return Err(CallError::Unaskable { call: NAME, why });
        }
        let call = Call::post(NAME, &["media", "v3", "upload"], bytes).of_type("application/octet-stream");
        let Uploaded { content_uri } = self.ask_for(call).await?;
        Mxc::parse(&content_uri)
            .ok_or_else(|| CallError::Broken { call: NAME, why: "an address that is none".to_owned() })
    }

    /// Gets bytes of which there must be exactly so many. Reads no further than that.
    pub async fn download(&self, mxc: &Mxc, size_bytes: u64) -> Result<Vec<u8>, DownloadError> {
        let path = ["client", "v1", "media", "download", mxc.server(), mxc.id()];
        let limit = usize::try_from(size_bytes).ok().filter(|_| size_bytes <= limits::BLOB_BYTES);
        let limit = limit.ok_or(DownloadError::TooLong { limit_bytes: limits::BLOB_BYTES })?;
        let bytes = self.ask_within(Call::get("GET /media/download", &path), limit).await?;
        let bytes = bytes.ok_or(DownloadError::TooLong { limit_bytes: size_bytes })?;
        if bytes.len() < limit {
            return Err(DownloadError::TooShort { size_bytes, got_bytes: size_of(&bytes) });
        }
        Ok(bytes)
    }
}

fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
