//! Which of the names that exist was probably meant.

/// The known name that is nearest to what was written, if one is near enough to be worth saying.
pub(super) fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| near_enough(*distance, name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A third of a name may be otherwise, and two characters of a short one, but not all of it.
fn near_enough(distance: usize, name: &str) -> bool {
    let length = name.chars().count();
    distance <= (length / 3).max(2) && distance < length
}

/// How many characters must be put in, taken out or changed to make one of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i.saturating_add(1);
        next.push(left);
        for (b, pair) in to.iter().zip(row.windows(2)) {
            let (diagonal, above) = match pair {
                [diagonal, above] => (*diagonal, *above),
                _ => continue,
            };
            left = (left.saturating_add(1)).min(above.saturating_add(1)).min(diagonal + usize::from(a != *b));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["server_name", "url", "user_id"];
        assert_eq!(nearest("servername", known), Some("server_name"));
        assert_eq!(nearest("USER_ID", known), Some("user_id"));
        assert_eq!(nearest("ulr", known), Some("url"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest("abc", known), None);
    }
}
