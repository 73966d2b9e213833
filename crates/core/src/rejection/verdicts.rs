//! What the MLS engine says, as a refusal.

use maypole_mls::reader::Broken;
use maypole_mls::{Bounds, Place, Refusal, Rule};

use super::{Check, Part, Rejection, Unsupported};
use crate::ids::Epoch;

impl Rejection {
    /// What the engine refused, of a part of a message; `current` is the group's epoch, for those who may know it.
    pub fn of_mls(part: Part, refusal: Refusal, current: Option<Epoch>) -> Self {
        if let Place::Byte(broken) = refusal.place
            && refusal.rule == Rule::Malformed
        {
            return Self::malformed(part, broken);
        }
        match refusal.rule {
            Rule::StaleEpoch => Self::StaleEpoch { current, reserved: None },
            Rule::TooLarge => {
                let limit_bytes = u64::try_from(Bounds::default().message_bytes).unwrap_or(u64::MAX);
                Self::TooLarge { what: part.noun(), limit_bytes }
            }
            Rule::Encrypted => Self::Unsupported(Unsupported::PrivateHandshake),
            Rule::Suite
            | Rule::PskRefused
            | Rule::ReInitRefused
            | Rule::ProposalUndeclared
            | Rule::ProposalUnsupported => Self::Unsupported(Unsupported::ByRule(refusal)),
            rule => {
                let check =
                    Check { name: rule.name(), section: rule.section(), problem: refusal.to_string() };
                Self::Invalid { part, check }
            }
        }
    }

    /// Bytes that are not the structure that they should be.
    pub const fn malformed(part: Part, broken: Broken) -> Self {
        Self::Malformed { part, offset: broken.offset, problem: broken.problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::Code;

    #[test]
    fn every_rule_of_the_engine_has_a_code_of_its_part() {
        let current = Some(Epoch::ZERO);
        for rule in Rule::ALL {
            let refusal = Refusal { rule: *rule, place: Place::Whole };
            let code = Rejection::of_mls(Part::Commit, refusal, current).code();
            let known = [Code::InvalidCommit, Code::StaleEpoch, Code::TooLarge, Code::Unsupported];
            assert!(known.contains(&code), "{rule:?} gave {code:?}");
        }
        let stale = Refusal { rule: Rule::StaleEpoch, place: Place::Whole };
        assert_eq!(
            Rejection::of_mls(Part::Commit, stale, current),
            Rejection::StaleEpoch { current, reserved: None }
        );
    }

    #[test]
    fn a_broken_structure_says_where() {
        let broken = Broken { offset: 7, problem: "the epoch is cut short" };
        let refusal = Refusal { rule: Rule::Malformed, place: Place::Byte(broken) };
        let rejection = Rejection::of_mls(Part::Welcome, refusal, None);
        assert_eq!(rejection, Rejection::malformed(Part::Welcome, broken));
        assert_eq!(
            rejection.to_string(),
            "the Welcome breaks off being MLS at byte 7: the epoch is cut short"
        );
    }
}
