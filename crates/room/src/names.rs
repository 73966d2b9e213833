//! The names of to-device events, in both spellings: `m.mls.*` as MSC4244 writes them, and unstable.

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

/// The to-device events that the service understands or sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// From a device: an MLS message.
    Message,
    /// To a device: its message was refused.
    Rejected,
}

impl Name {
    const ALL: [Self; 2] = [Self::Message, Self::Rejected];

    /// The name without its prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Rejected => "rejected",
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
        for other in
            ["m.mls", "m.mls.", "m.mls.messages", "M.MLS.MESSAGE", "org.matrix.msc4244.m.mls.message", ""]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
