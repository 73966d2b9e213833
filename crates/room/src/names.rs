//! The names of events, in both spellings: `m.mls.*` as MSC4244 writes them, and unstable.

/// What stands before an event's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `m.mls.`
    Stable,
    /// `org.matrix.msc4244.mls.`
    Unstable,
}

impl Prefix {
    /// The prefix as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "m.mls.",
            Self::Unstable => "org.matrix.msc4244.mls.",
        }
    }

    /// The full event type of a name.
    ///
    /// ```
    /// use maypole_room::names::{Name, Prefix};
    ///
    /// assert_eq!(Prefix::Unstable.event_type(Name::Rejected), "org.matrix.msc4244.mls.rejected");
    /// ```
    pub fn event_type(self, name: Name) -> String {
        format!("{}{}", self.as_str(), name.as_str())
    }
}

/// The events that the service understands or sends, to-device but for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// From a device: an MLS message.
    Message,
    /// To a device: its message was refused.
    Rejected,
    /// To a device: its registration or proposal was accepted.
    Accepted,
    /// To every device of a group: a commit was accepted.
    Commit,
    /// To a device that a commit adds: how to join.
    Welcome,
    /// From a device: what it wants to know.
    Request,
    /// To a device: what it asked for.
    Response,
    /// The state event that says which group is a room's; its state key is the service's account.
    DeliveryService,
}

impl Name {
    const ALL: [Self; 8] = [
        Self::Message,
        Self::Rejected,
        Self::Accepted,
        Self::Commit,
        Self::Welcome,
        Self::Request,
        Self::Response,
        Self::DeliveryService,
    ];

    /// The name without its prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Rejected => "rejected",
            Self::Accepted => "accepted",
            Self::Commit => "commit",
            Self::Welcome => "welcome",
            Self::Request => "request",
            Self::Response => "response",
            Self::DeliveryService => "delivery_service",
        }
    }
}

/// Takes an event type apart; `None` if it is none of ours.
///
/// ```
/// use maypole_room::names::{Name, Prefix, parse};
///
/// assert_eq!(parse("m.mls.message"), Some((Prefix::Stable, Name::Message)));
/// assert_eq!(parse("m.room_key"), None);
/// ```
pub fn parse(event_type: &str) -> Option<(Prefix, Name)> {
    [Prefix::Stable, Prefix::Unstable].into_iter().find_map(|prefix| {
        let name = event_type.strip_prefix(prefix.as_str())?;
        Name::ALL.into_iter().find(|known| known.as_str() == name).map(|known| (prefix, known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_come_back() {
        for prefix in [Prefix::Stable, Prefix::Unstable] {
            for name in Name::ALL {
                assert_eq!(parse(&prefix.event_type(name)), Some((prefix, name)));
            }
        }
    }

    #[test]
    fn neighbours_are_not_ours() {
        for other in [
            "m.mls",
            "m.mls.",
            "m.mls.messages",
            "M.MLS.MESSAGE",
            "org.matrix.msc4244.m.mls.message",
            "m.mls.commit ",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
