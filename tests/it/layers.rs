//! Arrows point down only: the pure crates, and a client without its driver, reach nothing that performs I/O.

use std::process::Command;

/// Every crate that a package of the workspace is built with, tests and what can be left out apart.
fn built_with(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .args((package == "maypole-client").then_some("--no-default-features"))
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_pure_crates_reach_no_io() {
    for package in ["maypole-mls", "maypole-core", "maypole-room", "maypole-client"] {
        let crates = built_with(package);
        assert!(crates.len() > 2, "{package}: {crates:?}");
        for forbidden in ["tokio", "axum", "hyper", "reqwest", "sled", "sqlx", "mio", "socket2", "async-std"]
        {
            assert!(!crates.iter().any(|name| name == forbidden), "{package} reaches {forbidden}");
        }
    }
}

#[test]
fn mls_knows_no_matrix_and_the_core_none_either() {
    for (package, forbidden) in [
        ("maypole-mls", &["ruma", "serde_json", "maypole-core", "maypole-room", "maypole"][..]),
        ("maypole-core", &["ruma", "maypole-room", "maypole"]),
        ("maypole-room", &["maypole"]),
        ("maypole-client", &["maypole"]),
    ] {
        let crates = built_with(package);
        for name in forbidden {
            assert!(!crates.iter().any(|built| built == name), "{package} reaches {name}");
        }
    }
}

#[test]
fn the_service_itself_is_seen_to_reach_io() {
    // The tests above would pass on an empty list: this one would not.
    let crates = built_with("maypole");
    for name in ["tokio", "axum", "sled", "maypole-core"] {
        assert!(crates.iter().any(|built| built == name), "{name}");
    }
}
