//! What was measured, as lines of a file, so that tables and plots are made of it and nobody copies a number by hand.
//!
//! The file is CSV. Lines that begin with `#` say what it was measured on; every other line is one figure: what it speaks
//! of (topic, tree, members, commit), whose it is, what it says, and the value. A later line replaces an earlier one.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::{Context as _, Result, ensure};

/// What figures speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) topic: String,
    /// `warm` or `bare`.
    pub(crate) tree: String,
    pub(crate) members: u32,
    /// The kind of commit, where one is spoken of.
    pub(crate) commit: String,
}

impl Of {
    pub(crate) fn new(topic: &str, tree: &str, members: u32, commit: &str) -> Self {
        Self { topic: topic.to_owned(), tree: tree.to_owned(), members, commit: commit.to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Figure {
    of: Of,
    who: String,
    what: String,
    value: f64,
}

/// Figures in the order in which they were measured, and what is said of all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    said: Vec<(String, String)>,
    all: Vec<Figure>,
}

const COLUMNS: &str = "topic,tree,members,commit,who,what,value";

impl Figures {
    /// Reads files, one after the other.
    pub(crate) fn of_files(files: &[impl AsRef<Path>]) -> Result<Self> {
        ensure!(!files.is_empty(), "name a file of figures");
        let mut figures = Self::default();
        for file in files {
            let file = file.as_ref();
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            figures.take(&text).with_context(|| file.display().to_string())?;
        }
        Ok(figures)
    }

    /// Reads the text of one file.
    pub(crate) fn take(&mut self, text: &str) -> Result<()> {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some((name, value)) = line.strip_prefix("# ").and_then(|said| said.split_once(": ")) {
                self.say(name, value);
            } else if line != COLUMNS && !line.starts_with('#') {
                let figure = Figure::read(line).with_context(|| format!("line {number}: {line}"))?;
                self.all.push(figure);
            }
        }
        Ok(())
    }

    fn say(&mut self, name: &str, value: &str) {
        self.said.retain(|(known, _)| known != name);
        self.said.push((name.to_owned(), value.to_owned()));
    }

    /// What is said of all of them under a name.
    pub(crate) fn said(&self, name: &str) -> &str {
        self.said.iter().find(|(known, _)| known == name).map_or("unknown", |(_, value)| value)
    }

    /// A figure.
    pub(crate) fn value(&self, of: &Of, who: &str, what: &str) -> Option<f64> {
        let named = |figure: &&Figure| figure.of == *of && figure.who == who && figure.what == what;
        self.all.iter().rfind(named).map(|figure| figure.value)
    }

    /// All that there are figures of in a topic, each once, in the order of first mention.
    pub(crate) fn subjects(&self, topic: &str) -> Vec<&Of> {
        let mut subjects: Vec<&Of> = Vec::new();
        for Figure { of, .. } in self.all.iter().filter(|figure| figure.of.topic == topic) {
            if !subjects.contains(&of) {
                subjects.push(of);
            }
        }
        subjects
    }
}

impl Figure {
    fn read(line: &str) -> Result<Self> {
        let cells: Vec<&str> = line.split(',').collect();
        let [topic, tree, members, commit, who, what, value] = cells.as_slice() else {
            anyhow::bail!("not seven cells");
        };
        let value: f64 = value.parse()?;
        ensure!(value.is_finite(), "no number");
        let of = Of::new(topic, tree, members.parse()?, commit);
        Ok(Self { of, who: (*who).to_owned(), what: (*what).to_owned(), value })
    }

    fn line(&self) -> String {
        let Self { of: Of { topic, tree, members, commit }, who, what, value } = self;
        let value = if value.fract() == 0.0 { value.to_string() } else { format!("{value:.4}") };
        format!("{topic},{tree},{members},{commit},{who},{what},{value}\n")
    }
}

/// Figures as they are measured: kept, and written to a file at once if there is one.
#[derive(Debug)]
pub(crate) struct Notebook {
    figures: Figures,
    file: Option<File>,
}

impl Notebook {
    /// Begins, with what is said of all figures.
    pub(crate) fn begin(file: Option<&Path>, said: &[(&str, String)]) -> Result<Self> {
        let create = |path: &Path| {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            File::create(path)
        };
        let file = file.map(|path| create(path).with_context(|| path.display().to_string())).transpose()?;
        let mut notebook = Self { figures: Figures::default(), file };
        for (name, value) in said {
            notebook.figures.say(name, value);
            notebook.write(&format!("# {name}: {value}\n"))?;
        }
        notebook.write(&format!("{COLUMNS}\n"))?;
        Ok(notebook)
    }

    /// Notes a figure.
    pub(crate) fn note(&mut self, of: &Of, who: &str, what: &str, value: f64) -> Result<()> {
        let figure = Figure { of: of.clone(), who: who.to_owned(), what: what.to_owned(), value };
        self.write(&figure.line())?;
        self.figures.all.push(figure);
        Ok(())
    }

    /// What was noted so far.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    fn write(&mut self, text: &str) -> Result<()> {
        Ok(self.file.as_mut().map_or(Ok(()), |file| file.write_all(text.as_bytes()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let path = std::env::temp_dir().join(format!("maypole-figures-{}.csv", std::process::id()));
        let mut notebook = Notebook::begin(Some(&path), &[("date", "today: a day".to_owned())]).unwrap();
        let (small, large) = (Of::new("following", "warm", 8, "update"), Of::new("import", "warm", 64, ""));
        notebook.note(&small, "ours", "us", 81.25).unwrap();
        notebook.note(&large, "ours", "ms", 3.0).unwrap();
        notebook.note(&small, "ours", "us", 0.5).unwrap();
        let read = Figures::of_files(&[&path]);
        std::fs::remove_file(&path).unwrap();
        let read = read.unwrap();
        assert_eq!(&read, notebook.figures());
        assert_eq!(read.value(&small, "ours", "us"), Some(0.5), "the later one");
        assert_eq!(read.value(&large, "ours", "us"), None);
        assert_eq!(read.subjects("following"), [&small]);
        assert_eq!(read.said("date"), "today: a day");
    }

    #[test]
    fn a_line_that_is_no_figure_is_named() {
        for line in
            ["following,warm,8,update,ours,us", "following,warm,many,update,ours,us,1", "a,b,1,c,d,e,NaN"]
        {
            let error = Figures::default().take(&format!("{COLUMNS}\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{error:?}");
        }
    }
}
