//! The codes of refusals, and what is known about each whatever the particular refusal.

/// What is known about a code, whatever the particular refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The code on the wire.
    pub errcode: &'static str,
    /// The status where the refusal travels by HTTP.
    pub http_status: u16,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What the caller can do about it, in a sentence.
    pub advice: &'static str,
    /// Whether the same message gets the same refusal again. Not where it may succeed later, and not where an earlier answer
    /// stands.
    pub remembered: bool,
}

/// Makes the enum, the list of all and what is known of each from one table.
macro_rules! codes {
    (@remembered remembered) => { true };
    (@remembered asked anew) => { false };
    ($(#[doc = $doc:literal] $code:ident, $errcode:literal, $status:literal, $($remembered:ident)+,
        $meaning:literal, $advice:literal;)*) => {
        /// The codes of refusals.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $doc] $code,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// What is known about this code.
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$code => Facts {
                        errcode: $errcode,
                        http_status: $status,
                        meaning: $meaning,
                        advice: $advice,
                        remembered: codes!(@remembered $($remembered)+),
                    },)*
                }
            }
        }
    };
}

codes! {
    /// See [`super::Rejection::BadJson`].
    BadJson, "M_BAD_JSON", 400, remembered,
        "The event content lacks something or has something of the wrong kind; `field` says what.",
        "Mend the field that is named and send again under a new `txn_id`.";
    /// See [`super::Rejection::Malformed`].
    Malformed, "M_MLS_MALFORMED", 400, remembered,
        "The decoded bytes are not an `MLSMessage` of RFC 9420; `offset` says where they stop being one.",
        "Send the bytes that the MLS library made, whole, as unpadded standard base64.";
    /// See [`super::Rejection::Unsupported`].
    Unsupported, "M_MLS_UNSUPPORTED", 400, remembered,
        "The message is well formed but not something that this service does; `supported` says what is.",
        "Compare with `GET /_matrix/client/unstable/org.matrix.msc4244/delivery_service`; do not repeat.";
    /// See [`super::Rejection::TooLarge`].
    TooLarge, "M_TOO_LARGE", 413, remembered,
        "There is more than the service takes; `limit_bytes`, or of things that are counted `limit`, says how much it does.",
        "Make it smaller: split the commit or the upload into several.";
    /// See [`super::Rejection::TxnReused`].
    TxnReused, "M_MLS_TXN_REUSED", 409, asked anew,
        "The same device used the same `txn_id` before, for other content. The first answer stands.",
        "Send the new content under a new `txn_id`.";
    /// See [`super::Rejection::UnknownGroup`].
    UnknownGroup, "M_MLS_UNKNOWN_GROUP", 404, remembered,
        "This delivery service has no group of that ID.",
        "Look up the room's delivery service (`m.mls.delivery_service` in the create event) and the group's \
         ID there; the creator registers the group first.";
    /// See [`super::Rejection::LimitExceeded`].
    LimitExceeded, "M_LIMIT_EXCEEDED", 429, asked anew,
        "This account sends faster than the service takes. It is told so at most once a second; what it \
         sends in between is not answered.",
        "Wait `retry_after_ms`, then send what was not answered again, each under its own `txn_id`.";
    /// See [`super::Rejection::StaleEpoch`].
    StaleEpoch, "M_MLS_STALE_EPOCH", 409, remembered,
        "Another commit made the next epoch first, or the group is registered already. A device with a leaf \
         gets the commits that it missed, as far as they fit, in `commits`.",
        "Apply `commits` (ask for the rest by `m.mls.request`), then make the change again in the current \
         epoch; without a leaf, ask for `group_info` again.";
    /// See [`super::Rejection::MissingProposals`].
    MissingProposals, "M_MLS_MISSING_PROPOSALS", 409, remembered,
        "The commit leaves somebody in the group whose leaf must go; `proposals` has the proposals that remove \
         such leaves.",
        "Take in `proposals`, discard the commit, and make it again so that it refers to them; send it under a \
         new `txn_id`.";
    /// See [`super::Rejection::Leaving`].
    Leaving, "M_MLS_LEAVING", 403, remembered,
        "The leaf of this very device must go: its user left the room, or the device is gone or has another key.",
        "Wait for the commit that removes it. If the user is in the room, join again then by an external commit.";
    /// See [`super::Rejection::EpochGone`].
    EpochGone, "M_MLS_EPOCH_GONE", 410, remembered,
        "What is asked for lies too far back; `oldest_epoch` says from which epoch on commits, or trees, can be had.",
        "Ask for `group_info` and join again by an external commit.";
    /// See [`super::Rejection::EpochAhead`].
    EpochAhead, "M_MLS_EPOCH_AHEAD", 404, asked anew,
        "What is asked for is of an epoch that the group has not come to; `current_epoch` says where it is.",
        "Ask again when the commit that begins the epoch was accepted; if it had been, the service has lost it: ask for \
         `group_info` and join again by an external commit.";
    /// See [`super::Rejection::Invalid`].
    InvalidCommit, "M_MLS_INVALID_COMMIT", 400, remembered,
        "The commit breaks a rule of MLS; `check` names it and `section` says where it stands.",
        "Discard the pending commit. If the library made it, its state differs from the group's: catch up \
         by `m.mls.request`, then try again.";
    /// See [`super::Rejection::Invalid`].
    InvalidProposal, "M_MLS_INVALID_PROPOSAL", 400, remembered,
        "The proposal breaks a rule of MLS; `check` names it and `section` says where it stands.",
        "Discard the proposal and make it again from the group's current state.";
    /// See [`super::Rejection::Invalid`].
    InvalidGroupInfo, "M_MLS_INVALID_GROUP_INFO", 400, remembered,
        "The GroupInfo is not what it must be; `check` names the rule and `section` says where it stands.",
        "With a commit: send the GroupInfo of the epoch that the commit makes, signed by the committer, \
         with `external_pub`. For a registration: make the group as `docs/protocol.md` says.";
    /// See [`super::Rejection::Invalid`].
    InvalidWelcome, "M_MLS_INVALID_WELCOME", 400, remembered,
        "The Welcome is not for exactly those whom the commit adds, or is missing, or adds nobody; `check` \
         names the rule.",
        "Send the Welcome that the library made with this very commit.";
    /// See [`super::Rejection::Invalid`].
    InvalidKeyPackage, "M_MLS_INVALID_KEY_PACKAGE", 400, remembered,
        "A KeyPackage breaks a rule of MLS, or was in use before; `check` names the rule and `section` says where it \
         stands.",
        "Make a new KeyPackage, with keys that were never used and a lifetime that has begun, and upload that one.";
    /// See [`super::Rejection::SenderMismatch`].
    SenderMismatch, "M_MLS_SENDER_MISMATCH", 403, remembered,
        "The account or device that sent the message is not the one in the leaf's credential; `sender` and \
         `leaf` say both.",
        "Send each commit from the device whose leaf makes it, with its own `device_id`.";
    /// See [`super::Rejection::Identity`].
    Identity, "M_MLS_IDENTITY", 403, remembered,
        "A leaf names nobody who can be a member, or its signature key is not the one that its device \
         publishes; `identity` and `leaf_index` say which.",
        "Publish the key in the device's `device_keys` as `mls_ed25519:DEVICEID`, and put \
         `@user:server/DEVICEID` into the credential; for another's device, take a newer KeyPackage.";
    /// See [`super::Rejection::Forbidden`].
    Forbidden, "M_FORBIDDEN", 403, remembered,
        "The room does not permit it, or what is asked for is not for this device; `error` says by which rule.",
        "Change the room's state first, or let somebody commit who may.";
    /// See [`super::Rejection::StaleAuthEvents`].
    StaleAuthEvents, "M_MLS_STALE_AUTH_EVENTS", 409, remembered,
        "The commit's authenticated data cites events that are not the room's current state; `auth_events` \
         lists what is.",
        "Judge anew whether the change is still permitted, then make the commit again, citing \
         `auth_events`.";
    /// See [`super::Rejection::MissingAuthEvents`].
    MissingAuthEvents, "M_MLS_MISSING_AUTH_EVENTS", 400, remembered,
        "The commit's authenticated data does not cite the events that the change rests on; `auth_events` \
         lists them.",
        "Make the commit again, citing `auth_events`.";
    /// See [`super::Rejection::NotJoined`].
    NotJoined, "M_MLS_NOT_JOINED", 403, remembered,
        "The commit adds, or comes from, users who are not in the room; `users` lists them.",
        "Add only devices of users who are in the room, or invite them by a commit that cites what an \
         invitation rests on; join the room before an external commit.";
    /// See [`super::Rejection::NotDeliveryService`].
    NotDeliveryService, "M_MLS_NOT_DELIVERY_SERVICE", 404, remembered,
        "The room names another delivery service, or this one is not a member of it; `delivery_service` \
         says which it is, if that is known.",
        "Send to the service that the room's create event names; the room's creator invites it first.";
    /// See [`super::Rejection::Frozen`].
    Frozen, "M_MLS_FROZEN", 409, remembered,
        "Nothing is ordered in this group at the moment; `error` says why.",
        "Give the service back what it lacks, or wait until its operator has unfrozen the group (see \
         `error`), then send the commit again under a new `txn_id`.";
    /// See [`super::Rejection::Blob`].
    Blob, "M_MLS_BLOB", 502, asked anew,
        "A blob could not be fetched, or is not what its size and hash say; `field` says which.",
        "Upload the bytes again if need be, and send the same message again.";
    /// See [`super::Rejection::Unavailable`].
    Unavailable, "M_MLS_UNAVAILABLE", 503, asked anew,
        "Somebody's server does not answer what the decision depends on; `users` says whose.",
        "Send the same message again later.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.facts().errcode).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_says_what_to_do() {
        for code in Code::ALL {
            let facts = code.facts();
            assert!(facts.advice.ends_with('.') && facts.meaning.ends_with('.'), "{code:?}");
            assert!((400..600).contains(&facts.http_status), "{code:?}");
        }
    }
}
