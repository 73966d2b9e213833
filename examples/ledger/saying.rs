//! What a writer says on standard output: each line in one write, so that a reader sees whole lines in order.

use std::io::Write as _;

/// Says something of a message.
pub(crate) fn say(word: &str, number: u64) -> std::io::Result<()> {
    say_line(&format!("{word} {number}"))
}

/// Says a line.
pub(crate) fn say_line(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

/// Says `mark N` as soon as `N` is asked on standard input, beside everything else.
pub(crate) fn say_marks() {
    std::thread::spawn(|| {
        for asked in std::io::stdin().lines().map_while(Result::ok) {
            if say_line(&format!("mark {asked}")).is_err() {
                break;
            }
        }
    });
}
