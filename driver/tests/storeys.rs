//! Tests of which file may import which: the storeys of the driver, and no circles, in the driver
//! and in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The path of a module from the root of its crate.
type Module = Vec<String>;

/// The storeys from the ground up. A storey imports only from itself and from those before it.
const STOREYS: [&str; 7] = ["base", "ckks", "wire", "circuits", "measure", "train", "cli"];

/// Returns the source of every module, without comments and unit tests.
fn modules(root: &Path) -> BTreeMap<Module, String> {
    let (mut folders, mut modules) = (vec![PathBuf::new()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of sources") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") && path != Path::new("main.rs") {
                let text = fs::read_to_string(entry.path()).expect("text");
                let code = text.split("\n#[cfg(test)]\nmod tests").next().expect("a first part");
                let code = code.lines().map(|line| line.split("//").next().expect("a first part"));
                let code: Vec<&str> = code.collect();
                let name = path.with_extension("");
                let mut module: Module = name.iter().map(|part| part.to_str().expect("text").to_owned()).collect();
                module.pop_if(|last| last == "mod" || last == "lib");
                modules.insert(module, code.join("\n"));
            }
        }
    }
    modules
}

/// Returns the paths of a tree such as `a::{b, c::d as e}`.
fn expand(tree: &str) -> Vec<Module> {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().expect("a first part");
        return vec![path.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self").collect()];
    };
    let prefix: Module = before.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let group = &group[..group.rfind('}').expect("the end of a group")];
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("there is one").push(c);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(part)).map(|path| [&prefix[..], &path].concat()).collect()
}

/// Returns a path from the root of the crate, if it leads to this crate.
fn absolute(module: &Module, path: &[String], children: &BTreeSet<&str>) -> Option<Module> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            Some([&module[..module.len() - up], &path[up..]].concat())
        }
        first if children.contains(first) => Some([&module[..], path].concat()),
        _ => None,
    }
}

/// Returns, for each module of a crate, the modules in which the items that it imports are defined.
fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let (mut used, mut passed_on) = (BTreeMap::new(), BTreeMap::new());
    for (module, code) in modules {
        let children = modules.keys().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
        let children: BTreeSet<&str> = children.map(|child| child.last().expect("has a name").as_str()).collect();
        let (mut paths, mut rest, mut statement) = (Vec::new(), String::new(), String::new());
        for line in code.lines() {
            let word = line.trim_start();
            let is_use = word.starts_with("use ") || word.starts_with("pub") && word.contains(" use ");
            if !statement.is_empty() || is_use {
                statement += line;
            } else {
                rest += line;
                rest.push('\n');
            }
            if statement.contains(';') {
                let (visibility, tree) = statement.split_once("use ").expect("a use");
                let public = !visibility.trim().is_empty();
                for path in expand(tree.trim_end().trim_end_matches(';')) {
                    let own_child = path.first().is_some_and(|first| children.contains(first.as_str()));
                    let Some(path) = absolute(module, &path, &children) else { continue };
                    if public {
                        let name = path.last().expect("has a name").clone();
                        passed_on.insert((module, name), path.clone());
                    }
                    // A module does not use an item that it only re-exports.
                    if !(public && own_child) {
                        paths.push(path);
                    }
                }
                statement.clear();
            }
        }
        for root in ["crate::", "super::"] {
            for (at, _) in rest.match_indices(root) {
                let before = rest[..at].chars().next_back();
                if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                    let end = rest[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                    let path = &rest[at..end.map_or(rest.len(), |end| at + end)];
                    let path: Module = path.split("::").map(str::to_owned).filter(|part| !part.is_empty()).collect();
                    paths.extend(absolute(module, &path, &children));
                }
            }
        }
        used.insert(module, paths);
    }
    // An item that a module re-exports is traced to where it comes from.
    let home = |mut path: Module| loop {
        let (module, _) = modules.get_key_value(
            (0..=path.len()).rev().map(|n| path[..n].to_vec()).find(|part| modules.contains_key(part)).as_ref()?,
        )?;
        let from = path.get(module.len()).and_then(|name| passed_on.get(&(module, name.clone())));
        match from.filter(|from| **from != path) {
            Some(from) => path = [&from[..], &path[module.len() + 1..]].concat(),
            None => return Some(module),
        }
    };
    used.into_iter()
        .map(|(module, paths)| (module, paths.into_iter().filter_map(home).filter(|other| *other != module).collect()))
        .collect()
}

/// Returns a way from a module back to itself, if there is one.
fn circle(imports: &BTreeMap<&Module, BTreeSet<&Module>>) -> Option<Vec<String>> {
    fn visit<'a>(
        module: &'a Module,
        imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
        way: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> Option<Vec<String>> {
        if let Some(at) = way.iter().position(|other| *other == module) {
            return Some(way[at..].iter().map(|module| module.join("::")).collect());
        }
        if done.insert(module) {
            way.push(module);
            let found = imports[module].iter().find_map(|other| visit(other, imports, way, done));
            way.pop();
            return found;
        }
        None
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| visit(module, imports, &mut Vec::new(), &mut done))
}

/// The modules of the driver import only from their own storey and below, never from the root, and
/// not in circles.
#[test]
fn driver() {
    let modules = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let imports = imports(&modules);
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 300, "no test of a driver without imports");
    let storey = |module: &Module| STOREYS.iter().position(|storey| *storey == module[0]).expect("a storey");
    for (module, others) in imports.iter().filter(|(module, _)| !module.is_empty()) {
        for other in others {
            assert!(!other.is_empty(), "{}: imports from the root: name the module itself", module.join("::"));
            let is_below = storey(other) <= storey(module);
            assert!(is_below, "{} imports {}, which is above it", module.join("::"), other.join("::"));
        }
    }
    assert_eq!(circle(&imports), None);
}

/// The kernel has no circles, and its RNS modules do not import polynomials.
#[test]
fn kernel() {
    let modules = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel/src"));
    let imports = imports(&modules);
    let named = |name: &'static str| move |module: &&&Module| module.first().is_some_and(|first| first == name);
    for (module, others) in imports.iter().filter(|(module, _)| named("rns")(module)) {
        assert_eq!(others.iter().find(named("poly")), None, "{} imports polynomials", module.join("::"));
    }
    assert_eq!(circle(&imports), None);
}

/// The check itself notices a circle, and traces items that are re-exported.
#[test]
fn sees_what_it_should() {
    let module = |path: &str| path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>();
    let of = |sources: &[(&str, &str)]| {
        sources.iter().map(|(path, code)| (module(path), (*code).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let sources = of(&[
        ("", "pub mod a;"),
        ("a", "mod b;\npub use b::Thing;\npub use crate::c::Other as Same;"),
        ("a::b", "use crate::{\n    c::{self, d::Inner},\n};\nfn f() { super::super::c::d::g() }"),
        ("c", "pub mod d;\npub struct Other;"),
        ("c::d", "use crate::a::Thing;"),
    ]);
    let found = imports(&sources);
    let wanted = |path: &str, others: &[&str]| {
        let others: BTreeSet<Module> = others.iter().map(|other| module(other)).collect();
        assert_eq!(
            found[&module(path)].iter().map(|other| (*other).clone()).collect::<BTreeSet<_>>(),
            others,
            "{path}"
        );
    };
    wanted("a", &["c"]);
    wanted("a::b", &["c", "c::d"]);
    wanted("c::d", &["a::b"]);
    assert_eq!(circle(&found), Some(vec!["a::b".to_owned(), "c::d".to_owned()]));
}
