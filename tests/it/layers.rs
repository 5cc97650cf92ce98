//! Who may use whom (design §10), how long a file may be, and that the tree is as agreed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may use besides itself, `model` and the leaf files. An edge not listed is an error.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("failpoint", &[]),
    ("metrics", &[]),
    ("sharding", &["model"]),
    ("mysql", &["model"]),
    ("topology", &["model", "mysql"]),
    ("mapping", &["model", "sharding"]),
    ("engine", &["model", "mysql", "topology", "metrics", "mapping"]),
    ("gateway", &["model", "mysql", "topology", "sharding", "metrics"]),
    ("local", &["model", "mysql", "topology"]),
    ("workflow", &["model", "failpoint", "mysql", "topology", "sharding", "engine", "mapping", "metrics"]),
    ("progress", &["model", "topology", "workflow"]),
    ("daemon", &["model", "mysql", "topology", "metrics", "sharding", "engine", "gateway", "workflow"]),
    (
        "demo",
        &[
            "model",
            "failpoint",
            "mysql",
            "topology",
            "metrics",
            "sharding",
            "engine",
            "gateway",
            "workflow",
            "local",
            "daemon",
            "progress",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "failpoint",
            "mysql",
            "topology",
            "metrics",
            "sharding",
            "engine",
            "gateway",
            "workflow",
            "local",
            "daemon",
            "demo",
            "progress",
        ],
    ),
];
/// No source file may be longer.
const LONGEST: usize = 400;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The top-level modules a file names after `crate::`, groups and line breaks included.
fn used(text: &str) -> Vec<String> {
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join(" ");
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = code[at + "crate::".len()..].trim_start();
        let word = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match rest.strip_prefix('{') {
            None => modules.push(word(rest)),
            Some(group) => {
                // Names at depth one of `crate::{a::{b, c}, d}`.
                let (mut depth, mut start) = (0, 0);
                for (place, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            modules.push(word(&group[start..place]));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            modules.push(word(&group[start..place]));
                            start = place + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    modules.retain(|module: &String| !module.is_empty());
    modules
}

#[test]
fn uses_go_downward() {
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, may) in &allowed {
        let (folder, file) = (root().join("src").join(module), root().join("src").join(format!("{module}.rs")));
        let mut files = if folder.is_dir() { sources(&folder) } else { Vec::new() };
        files.extend(file.is_file().then_some(file));
        for file in files {
            for target in used(&fs::read_to_string(&file).unwrap()) {
                if target != *module && allowed.contains_key(target.as_str()) && !may.contains(&target.as_str()) {
                    wrong.push(format!("{} uses {target}, which {module} must not", file.display()));
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_place() {
    let known: Vec<_> = MAY_USE.iter().map(|(module, _)| *module).collect();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(
            known.contains(&module) || ["lib", "main"].contains(&module),
            "src/{name} has no layer: name it in MAY_USE"
        );
    }
}

#[test]
fn files_can_be_read_at_one_sitting() {
    for folder in ["src", "tests", "benches"] {
        for file in sources(&root().join(folder)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= LONGEST, "{} has {lines} lines; the most is {LONGEST}", file.display());
        }
    }
}

#[test]
fn groups_of_imports_are_understood() {
    let text =
        "use crate::{model::{A, B},\n mysql::c, engine};\nuse crate::topology::X; // crate::cli\n// use crate::demo;";
    assert_eq!(used(text), ["model", "mysql", "engine", "topology", "cli"]);
}
