//! An explanation in words, for a terminal.

use std::time::Duration;

use maypole_core::time::Timestamp;

use super::{Explanation, Staged};

/// An explanation in words, as it is at a time.
pub fn in_words(explanation: &Explanation, now: Timestamp) -> String {
    let Explanation { members, members_total, last_commit, staged, frozen, .. } = explanation;
    let ago = |ms: u64| age(Duration::from_millis(now.as_millis().saturating_sub(ms)));
    let last_commit = last_commit.as_ref().map_or_else(
        || "none yet: the group is as it was registered".to_owned(),
        |last| format!("made epoch {}, by {}, {} ago", last.epoch, plain(&last.sender), ago(last.at_ms)),
    );
    let staged = staged.as_ref().map_or_else(
        || "nothing".to_owned(),
        |Staged { since_ms, effects }| {
            let effects: Vec<String> = effects.iter().map(|effect| plain(effect)).collect();
            format!("a commit, for {}: {}", ago(*since_ms), effects.join("; "))
        },
    );
    let frozen = frozen.as_ref().map_or_else(
        || "no".to_owned(),
        |frozen| format!("for {}: {}", ago(frozen.since_ms), plain(&frozen.reason)),
    );
    let lines = [
        ("group", plain(&explanation.group_id)),
        ("generation", format!("{}, term {}", explanation.generation, explanation.term)),
        ("events", format!("{}*", plain(&explanation.prefix))),
        ("ciphersuite", explanation.ciphersuite.to_string()),
        ("epoch", format!("{}, {} in the log", explanation.epoch, explanation.log_epochs)),
        ("last commit", last_commit),
        ("receipt", plain(&explanation.receipt)),
        ("staged", staged),
        ("frozen", frozen),
        ("waiting", format!("{} messages", explanation.waiting)),
    ];
    let mut text = format!("{}\n", plain(explanation.room.as_str()));
    for (name, value) in lines {
        text.push_str(&format!("  {name:<12} {value}\n"));
    }
    let ahead = |ms: u64| {
        let left = ms.checked_sub(now.as_millis()).filter(|left| *left > 0)?;
        Some(age(Duration::from_millis(left)))
    };
    explanation.agenda.write(&mut text, ago, ahead);
    text.push_str(&format!("  {:<12} {members_total}\n", "members"));
    for member in members {
        text.push_str(&format!("    leaf {:<6} {}\n", member.leaf, plain(&member.identity)));
    }
    let untold = members_total.saturating_sub(u64::try_from(members.len()).unwrap_or(u64::MAX));
    if untold > 0 {
        text.push_str(&format!("    and {untold} more\n"));
    }
    text
}

/// A text on one line, without what a terminal would obey: parts of it were chosen by users.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A duration in its two largest units.
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::explanation;
    use super::super::{Agenda, Freeze};
    use super::*;

    #[test]
    fn nothing_that_users_chose_commands_the_terminal() {
        let mut odd = explanation();
        odd.members[0].identity = "@alice:a.org/\u{1b}[2J\r\n".to_owned();
        odd.frozen = Some(Freeze { since_ms: 0, reason: "\u{1b}]0;x\u{7}".to_owned(), cause: None });
        odd.agenda.freezes[0].reason = "\u{1b}[1m".to_owned();
        odd.agenda.leaving[0].identity = "@carol:b.org/\u{9b}1m\n".to_owned();
        odd.agenda.proposals[0].does = "removes @carol:b.org/\u{1b}\n".to_owned();
        odd.agenda.wanted[0] = "@bob:b.org/\u{7}\n".to_owned();
        odd.staged = Some(Staged { since_ms: 0, effects: vec!["reason \u{9b}31m\u{7}".to_owned()] });
        let words = in_words(&odd, Timestamp::from_millis(1));
        assert!(!words.chars().any(|c| c.is_control() && c != '\n'), "{words:?}");
        assert_eq!(
            words.lines().count(),
            in_words(&explanation(), Timestamp::from_millis(1)).lines().count()
        );
    }

    #[test]
    fn a_group_is_told_in_words() {
        let mut told = explanation();
        told.members_total = 40;
        let words = in_words(&told, Timestamp::from_millis(7_000 + 61_000));
        for line in [
            "!room:a.org\n  group        !room:a.org\n",
            "  generation   0, term 1\n",
            "  events       m.mls.*\n",
            "  epoch        3, 4 in the log\n",
            "  last commit  made epoch 3, by @alice:a.org/PHONE, 1 min 1 s ago\n",
            "  staged       a commit, for 1 min 0 s: invite @carol:b.org\n",
            "  frozen       for 30 s: moving to another server\n",
            "  waiting      5 messages\n",
            "  members      40\n    leaf 0      @alice:a.org/PHONE\n    leaf 2      @bob:b.org/LAPTOP\n    and 38 more\n",
        ] {
            assert!(words.contains(line), "{line} is not in {words}");
        }
        for line in [
            "  stopped      for 1 min 8 s: the service lacks power in the room: it may not ban\n",
            "  reset        open: the group may be begun anew\n",
            "  duty         @alice:a.org/PHONE is to commit, asked 8 s ago, for 22 s more\n",
            "  must go      3\n               @carol:b.org/PHONE, for 18 s: its user left, its device is gone\n",
            "               and 2 more\n  proposals    1\n",
            "               the service removes @carol:b.org/PHONE, for 18 s\n",
            "  to be added  1\n               @bob:b.org/TABLET\n  members      40\n",
        ] {
            assert!(words.contains(line), "{line} is not in {words}");
        }
        assert!(!words.contains("dormant") && !words.contains("successor"), "{words}");
        (told.agenda.dormant, told.agenda.successor) = (true, Some("!room:a.org#1".to_owned()));
        let later = in_words(&told, Timestamp::from_millis(100_000));
        for line in [
            "  successor    !room:a.org#1\n",
            "  dormant      yes: every leaf must go, so that nobody in it can commit\n",
            "asked 40 s ago, let it pass 10 s ago\n",
        ] {
            assert!(later.contains(line), "{line} is not in {later}");
        }
        (told.last_commit, told.staged, told.frozen) = (None, None, None);
        told.agenda = Agenda::default();
        let words = in_words(&told, Timestamp::from_millis(0));
        assert!(
            words.contains("as it was registered") && words.contains("staged       nothing\n"),
            "{words}"
        );
        assert!(words.contains("frozen       no\n"), "{words}");
        for absent in ["stopped", "duty", "must go", "proposals", "added", "reset"] {
            assert!(!words.contains(absent), "{words}");
        }
    }

    #[test]
    fn ages_have_two_units_and_the_future_none() {
        let told = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 200_000].map(|s| age(Duration::from_secs(s)));
        assert_eq!(
            told,
            ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "23 h 59 min", "1 d 0 h", "2 d 7 h"]
        );
    }
}
