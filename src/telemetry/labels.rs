//! The values that labels can have: closed sets, so that a user, a room or a URL cannot become one.

/// Makes an enum whose variants are all the values of a label.
macro_rules! closed_sets {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value as a label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    )*};
}

closed_sets! {
    /// Whether a to-device message is one that the service answers.
    MessageKind {
        /// `m.mls.message`, in either spelling.
        Known = "known",
        /// Anything else; it is ignored.
        Other = "other",
    }

    /// How a call to the homeserver ended.
    CallOutcome {
        /// As it should.
        Ok = "ok",
        /// The homeserver refused it for good.
        Refused = "refused",
        /// The homeserver asked to wait.
        Limited = "limited",
        /// There was no answer, or the homeserver was in trouble.
        Unavailable = "unavailable",
        /// The answer made no sense.
        Garbage = "garbage",
    }

    /// How an attempt to deliver something owed ended.
    DeliveryOutcome {
        /// The homeserver took it.
        Delivered = "delivered",
        /// It is tried again.
        Retried = "retried",
        /// It was refused for good and set aside.
        SetAside = "set_aside",
    }

    /// What became of a push transaction.
    PushOutcome {
        /// It is durable.
        Received = "received",
        /// It was received before.
        Repeated = "repeated",
        /// It could not be read.
        Refused = "refused",
        /// The store could not take it; the homeserver tries again.
        Unavailable = "unavailable",
    }

    /// What became of an invitation.
    InviteOutcome {
        /// The service joined.
        Joined = "joined",
        /// The service may not be in that room, and left it.
        Left = "left",
        /// The homeserver refused; it was set aside.
        Failed = "failed",
    }

    /// A method of HTTP, where a client may send any word.
    Method {
        /// `GET`
        Get = "GET",
        /// `HEAD`
        Head = "HEAD",
        /// `POST`
        Post = "POST",
        /// `PUT`
        Put = "PUT",
        /// `DELETE`
        Delete = "DELETE",
        /// `OPTIONS`
        Options = "OPTIONS",
        /// Any other word.
        Other = "other",
    }

    /// The first digit of an HTTP status.
    StatusClass {
        /// Below 200.
        Informational = "1xx",
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399.
        Redirection = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// From 500.
        ServerError = "5xx",
    }

    /// A listener of the service.
    Door {
        /// Where the homeserver and Matrix clients come in.
        Matrix = "matrix",
        /// Where the operator's machines come in.
        Operations = "operations",
    }

    /// Why a connection was ended before its time.
    Cut {
        /// The head of a request took too long.
        SlowHead = "slow_head",
        /// What came was not HTTP/1.1, or its head too large.
        Malformed = "malformed",
        /// The client did not take its answer.
        Stalled = "stalled",
        /// The client went away in the middle.
        Gone = "gone",
        /// The drain took too long.
        Drained = "drained",
    }

    /// Something that must hold for the service to be ready.
    Condition {
        /// The store can be written.
        Store = "store",
        /// The homeserver answers.
        Homeserver = "homeserver",
        /// Messages are being taken in.
        Intake = "intake",
    }
}

impl Method {
    /// The label of a method.
    pub fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET => Self::Get,
            http::Method::HEAD => Self::Head,
            http::Method::POST => Self::Post,
            http::Method::PUT => Self::Put,
            http::Method::DELETE => Self::Delete,
            http::Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }
}

impl StatusClass {
    /// The label of a status.
    pub fn of(status: http::StatusCode) -> Self {
        match status.as_u16() {
            0..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_somebody_made_up_is_other() {
        assert_eq!(Method::of(&http::Method::from_bytes(b"ALICE").unwrap()), Method::Other);
        assert_eq!(Method::of(&http::Method::PUT).label(), "PUT");
    }

    #[test]
    fn every_status_has_its_class() {
        let class = |code| StatusClass::of(http::StatusCode::from_u16(code).unwrap()).label();
        assert_eq!(
            [100, 200, 299, 301, 404, 499, 503, 999].map(class),
            ["1xx", "2xx", "2xx", "3xx", "4xx", "4xx", "5xx", "5xx"]
        );
    }
}
