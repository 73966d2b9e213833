//! Bytes in the media repository.

use std::time::Duration;

use maypole_core::limits;
use maypole_room::bytes::Blob;

use super::http::{part, text_of};
use super::{Http, MatrixError};

impl Http {
    /// Uploads bytes; gives their `mxc:` address.
    pub async fn upload_bytes(&self, bytes: Vec<u8>) -> Result<String, MatrixError> {
        let path = "/_matrix/media/v3/upload";
        let answer = self.upload(path, bytes).await?;
        Ok(text_of(&answer, "/content_uri", "POST /_matrix/media/v3/upload", "has no `content_uri`")?
            .to_owned())
    }

    /// Downloads a blob, and no more bytes than it says.
    pub async fn download_blob(&self, blob: &Blob) -> Result<Vec<u8>, MatrixError> {
        self.download_blob_within(blob, limits::REQUEST_TIMEOUT).await
    }

    /// The same with another bound on the time.
    pub(super) async fn download_blob_within(
        &self,
        blob: &Blob,
        bound: Duration,
    ) -> Result<Vec<u8>, MatrixError> {
        let wrong = || MatrixError::Settings("a blob's address is none".into());
        let (server, id) =
            blob.mxc.strip_prefix("mxc://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let path = format!("/_matrix/client/v1/media/download/{}/{}", part(server), part(id));
        let limit_bytes = usize::try_from(blob.size_bytes).unwrap_or(usize::MAX);
        self.download(&path, limit_bytes, bound).await
    }
}
