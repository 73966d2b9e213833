//! What the document says in numbers, out of files of figures.
//!
//! A part of the document between `<!-- figures: name -->` and `<!-- end -->` is made here and nowhere else.

use anyhow::{Context as _, Result, bail};

use crate::{
    figures::{Figures, Of},
    goals, machine,
    numbers::short,
    options::Options,
    tables::Table,
};

const BEGINS: &str = "<!-- figures: ";
const NAMED: &str = " -->";
const ENDS: &str = "<!-- end -->";

/// Prints all parts, or puts them in a document.
pub(crate) fn run(options: &Options) -> Result<()> {
    let figures = Figures::of_files(&options.files)?;
    let Some(document) = &options.into else {
        for name in PARTS {
            println!("{BEGINS}{name}{NAMED}\n{}\n{ENDS}\n", part(name, &figures)?);
        }
        return Ok(());
    };
    let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    Ok(std::fs::write(document, rewritten(&text, &figures)?)?)
}

const PARTS: [&str; 7] = ["machine", "warm", "grow", "bare", "goals", "import", "memory"];

fn part(name: &str, figures: &Figures) -> Result<String> {
    let is_grow = |of: &Of| of.commit == "grow";
    Ok(match name {
        "machine" => of_machine(figures),
        "warm" => Table::whole("following", figures, |of| of.tree == "warm" && !is_grow(of)),
        "grow" => Table::whole("following", figures, is_grow),
        "bare" => Table::whole("following", figures, |of| of.tree == "bare" && !is_grow(of)),
        "goals" => goals::table(figures),
        "import" | "memory" => Table::whole(name, figures, |_| true),
        _ => bail!("no figures are called {name}"),
    })
}

fn of_machine(figures: &Figures) -> String {
    let speed = |what| figures.value(&machine::itself(), "aws-lc-rs", what).map_or("–".to_owned(), short);
    format!(
        "The figures are of {}, where aws-lc-rs verifies an Ed25519 signature in {} µs and hashes 180 bytes in {} µs; {}; {}; {}; `{}`.",
        figures.said("machine"),
        speed("ed25519_verify_us"),
        speed("sha256_180_bytes_us"),
        figures.said("versions"),
        figures.said("compiler"),
        figures.said("date"),
        figures.said("command"),
    )
}

/// A document with its parts made anew.
pub(crate) fn rewritten(document: &str, figures: &Figures) -> Result<String> {
    let mut written = String::new();
    let mut rest = document;
    while let Some((before, after)) = rest.split_once(BEGINS) {
        let (name, after) = after.split_once(NAMED).context("a part without a name")?;
        let (_, after) = after.split_once(ENDS).with_context(|| format!("{name} has no end"))?;
        written.push_str(&format!("{before}{BEGINS}{name}{NAMED}\n{}\n{ENDS}", part(name, figures)?));
        rest = after;
    }
    written.push_str(rest);
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &str = "memory,warm,8,,ours,memory_bytes,6400\n";

    #[test]
    fn parts_are_replaced_and_all_else_stays() {
        let mut figures = Figures::default();
        figures.take(FIGURES).unwrap();
        let document = "before\n<!-- figures: memory -->\nold\n<!-- end -->\nbetween\n<!-- figures: goals --><!-- end -->";
        let once = rewritten(document, &figures).unwrap();
        assert!(once.starts_with("before\n<!-- figures: memory -->\n| members |"), "{once}");
        assert!(once.contains("| 8 | 800 | – |") && once.contains("<!-- end -->\nbetween\n"), "{once}");
        assert!(!once.contains("old"));
        assert_eq!(rewritten(&once, &figures).unwrap(), once);
    }

    #[test]
    fn parts_that_nobody_knows_are_refused() {
        for document in
            ["<!-- figures: tales -->\n<!-- end -->", "<!-- figures: memory -->\n", "<!-- figures: memory"]
        {
            assert!(rewritten(document, &Figures::default()).is_err(), "{document}");
        }
    }

    #[test]
    fn the_document_and_its_pictures_are_of_the_figures_that_lie_beside_it() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let figures = Figures::of_files(&[docs.join("performance/figures.csv")]).unwrap();
        let document = std::fs::read_to_string(docs.join("performance.md")).unwrap();
        assert_eq!(rewritten(&document, &figures).unwrap(), document);
        for name in PARTS {
            assert!(document.contains(&format!("{BEGINS}{name}{NAMED}")), "{name} is shown nowhere");
        }
        for (name, picture) in crate::plot::pictures(&figures).unwrap() {
            assert_eq!(
                std::fs::read_to_string(docs.join("performance").join(&name)).unwrap(),
                picture,
                "{name}"
            );
            assert!(document.contains(&format!("(performance/{name})")), "{name} is shown nowhere");
        }
    }
}
