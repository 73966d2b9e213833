//! One action, carried out.

use super::checking::is_to_be_checked;
use super::http::new_txn_id;
use super::{Client, MatrixError};
use crate::device::{Action, Event, Outgoing, RoomMessage};

impl Client {
    /// Keeps an event for the caller, and for the checks. The next write has it.
    pub(super) fn tell(&mut self, event: Event) {
        if is_to_be_checked(&event) {
            self.stored.unchecked.push_back(event.clone());
        }
        self.stored.keep(event);
    }

    /// Carries one action out; gives what follows from it.
    pub(super) async fn carry_out(&mut self, action: Action) -> Result<Vec<Action>, MatrixError> {
        match action {
            Action::Tell(event) => {
                self.tell(event);
                Ok(Vec::new())
            }
            Action::Persist(device) => {
                self.write(Some(device.into_vec())).await?;
                Ok(Vec::new())
            }
            Action::Send(Outgoing { to, kind, content }) => {
                // The service tells repeats apart by the content's own name, and the homeserver must let them through.
                self.http.send_to_device(to.as_str(), &kind, &new_txn_id()?, &content).await?;
                Ok(Vec::new())
            }
            Action::SendEvent(RoomMessage { room_id, txn_id, content }) => {
                let kind = "m.room.encrypted";
                let sent = self.http.send_event(room_id.as_str(), kind, &txn_id, &content).await;
                match sent {
                    // It would be refused after every start.
                    Err(error) if error.is_final() => {
                        for action in self.device.sent(&room_id, &txn_id)? {
                            if let Action::Persist(device) = action {
                                self.write(Some(device.into_vec())).await?;
                            }
                        }
                        Err(error)
                    }
                    sent => sent.and_then(|()| Ok(self.device.sent(&room_id, &txn_id)?)),
                }
            }
            Action::Upload { id, bytes } => match self.http.upload_bytes(bytes.into_vec()).await {
                Err(error) if error.is_final() => Ok(self.device.not_uploaded(id, &error.to_string())?),
                mxc => Ok(self.device.uploaded(id, &mxc?)?),
            },
            Action::Download { id, blob } => match self.http.download_blob(&blob).await {
                // What cannot be had is not what was announced.
                Err(error) if error.is_final() => Ok(self.device.downloaded(id, &[])?),
                bytes => Ok(self.device.downloaded(id, &bytes?)?),
            },
        }
    }
}
