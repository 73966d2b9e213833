//! What the documents name exists.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_hitlist_names_exists() {
    let hitlist = std::fs::read_to_string(Path::new(ROOT).join("docs/hitlist.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests"] {
        sources(&Path::new(ROOT).join(folder), &mut files);
    }
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names: Vec<&str> = hitlist
        .split(|c: char| !is_part(c))
        .filter(|word| word.matches('_').count() >= 3 && !word.ends_with('_'))
        .collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let is_file = files.iter().any(|file| file.file_stem().is_some_and(|stem| stem == name));
        assert!(is_file || text.contains(&format!("fn {name}(")), "docs/hitlist.md names {name}");
    }
}
