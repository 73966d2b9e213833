//! `docs/errors.md`: every refusal, made from the codes themselves.

use maypole_core::rejection::Code;

/// The page.
pub fn reference() -> String {
    let mut page = String::from(
        "# Refusals\n\n\
         Made from `crates/core/src/rejection/`. Every `m.mls.rejected` carries `errcode`, `error` (a sentence on the very \
         message), `advice` (what to do next), and what tells you which message it is about; see [protocol.md](protocol.md).\n\n\
         A refusal that is *remembered* is given again, to the byte, when the same message comes again within 24 hours. One \
         that is not may turn out otherwise the next time.\n",
    );
    for code in Code::ALL {
        let facts = code.facts();
        let remembered = if facts.remembered { "yes" } else { "no" };
        page.push_str(&format!(
            "\n## {}\n\n{}\n\n**What to do.** {}\n\nRemembered: {remembered}. HTTP status where it travels by HTTP: {}. \
             Metric: `maypole_answered_total{{code=\"{}\"}}`.\n",
            facts.errcode, facts.meaning, facts.advice, facts.http_status, facts.errcode
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn docs_errors_md_is_current() {
        maypole_testkit::generated::assert_current(
            env!("CARGO_MANIFEST_DIR"),
            "docs/errors.md",
            &super::reference(),
        );
    }
}
