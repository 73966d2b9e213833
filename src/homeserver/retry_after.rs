//! `Retry-After`, as homeservers and proxies write it: seconds, a date, or `retry_after_ms` in the body.

use std::time::Duration;

use maypole_core::time::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How long the answer's head asks to wait. A date counts from the answer's own `Date`, so that two clocks that
/// disagree do no harm, and from `now` only if it has none.
pub(super) fn of_head(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = unix_seconds(text)?;
    let sent = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(unix_seconds);
    Some(Duration::from_secs(until.saturating_sub(sent.unwrap_or(now.as_millis() / 1_000))))
}

/// How long the body asks to wait.
pub(super) fn of_body(millis: Option<f64>) -> Option<Duration> {
    let millis = millis.filter(|millis| millis.is_finite() && *millis >= 0.0)?;
    Some(Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or(Duration::MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7, the only form that may be sent) in seconds since 1970.
fn unix_seconds(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year) = (number(words.next()?)?, words.next()?, number(words.next()?)?);
    let mut clock = words.next()?.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let closed = words.next() == Some("GMT") && words.next().is_none() && clock.next().is_none();
    let before = MONTHS.iter().find_map(|(name, days)| (*name == month).then_some(*days))?;
    let sound =
        (1970..10_000).contains(&year) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !(closed && sound) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leap_day = u64::from(leap && before >= 59);
    let days = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + before + leap_day + day - 1;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Leap days up to the end of a year.
const fn leap_days(year: u64) -> u64 {
    year / 4 - year / 100 + year / 400
}

/// A number of at most four digits.
fn number(text: &str) -> Option<u64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Months, and how many days of an ordinary year lie before each.
const MONTHS: [(&str, u64); 12] = [
    ("Jan", 0),
    ("Feb", 31),
    ("Mar", 59),
    ("Apr", 90),
    ("May", 120),
    ("Jun", 151),
    ("Jul", 181),
    ("Aug", 212),
    ("Sep", 243),
    ("Oct", 273),
    ("Nov", 304),
    ("Dec", 334),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(retry_after: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        headers
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(unix_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(unix_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(unix_seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(unix_seconds("Sun, 01 Mar 2026 00:00:00 GMT"), Some(1_772_323_200));
        assert_eq!(unix_seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            ",",
            "Sun, ",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nuv 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, -6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_and_dates_become_waits() {
        let now = Timestamp::from_millis(784_111_777_000);
        assert_eq!(of_head(&head("3", None), now), Some(Duration::from_secs(3)));
        assert_eq!(of_head(&head("99999999999999999999999", None), now), Some(Duration::from_secs(u64::MAX)));
        let date = "Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(of_head(&head(date, None), now), Some(Duration::from_secs(10)));
        assert_eq!(
            of_head(&head(date, Some("Sun, 06 Nov 1994 08:49:45 GMT")), now),
            Some(Duration::from_secs(2))
        );
        assert_eq!(of_head(&head("Thu, 01 Jan 1970 00:00:00 GMT", None), now), Some(Duration::ZERO));
        assert_eq!(of_head(&head("soon", None), now), None);
        assert_eq!(of_head(&head("-1", None), now), None);
    }

    #[test]
    fn absurd_waits_in_a_body_do_no_harm() {
        assert_eq!(of_body(Some(1_500.0)), Some(Duration::from_millis(1_500)));
        assert_eq!(of_body(Some(1e300)), Some(Duration::MAX));
        for nonsense in [None, Some(-1.0), Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(of_body(nonsense), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", day in 0u64..40, year in 0u64..12_000, clock in "[0-9:]{0,10}") {
            let _ = unix_seconds(&text);
            let _ = unix_seconds(&format!("Sun, {day:02} Mar {year} {clock} GMT"));
        }
    }
}
