//! Places where nothing can be kept: one clear warning, the caller unaffected, and all is well once the place is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use edgeroute_store::Purge;
use support::{Directory, Worker, entry, note, settings, spawned_on, wait_until};

fn check(path: &Path, expected: &str) {
    let mut worker = Worker::open(settings(path));
    worker.store.put(entry(1, 100));
    (1..4).for_each(|number| worker.store.note(note(number)));
    worker.until("a warning has come", |worker| !worker.warnings.is_empty());
    assert_eq!(worker.fetch(1), None);
    let [warning] = &worker.warnings[..] else { unreachable!("{:?}", worker.warnings) };
    assert!(warning.contains(expected) && warning.contains(&*path.to_string_lossy()), "{warning}");
    assert!(warning.contains("Set cache.path"), "{warning}");
    worker.until("the put is counted", |worker| worker.store.statistics().dropped == 1);
    assert!(!worker.store.statistics().available);
    worker.until("the notes have come back", |worker| worker.notes == [note(1), note(2), note(3)]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    check("/dev/null/cache".as_ref(), "make the directory: Not a directory");
    check("/proc/cache".as_ref(), "make the directory: No such file");
    let directory = Directory::new();
    std::fs::write(directory.path(), "").unwrap();
    check(directory.path(), "make the directory: File exists");
    std::fs::remove_file(directory.path()).unwrap();
}

#[test]
fn a_file_that_another_process_has_alone_is_waited_for() {
    let directory = Directory::new();
    drop(Worker::on(&directory));
    let alone = File::open(directory.file()).unwrap();
    alone.lock().unwrap();
    let mut worker = Worker::open(settings(directory.path()));
    worker.put(entry(1, 100));
    assert_eq!(worker.fetch(2), None, "it has tried");
    assert!(!worker.store.statistics().available);
    drop(alone);
    worker.until("the store is there", |worker| worker.store.statistics().available);
    worker.settle();
    assert!(worker.warnings.is_empty(), "{:?}", worker.warnings);
    assert_eq!(worker.fetch(1).unwrap().body, entry(1, 100).body);
}

#[test]
fn a_read_only_directory_is_named() {
    let directory = Directory::new();
    std::fs::create_dir(directory.path()).unwrap();
    let permissions =
        |mode| std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    permissions(0o500);
    if std::fs::write(directory.path().join("probe"), "").is_ok() {
        return; // a superuser may write everywhere; /proc above stands for it
    }
    check(directory.path(), "write in the directory: Permission denied");
    permissions(0o700);
}

#[test]
fn a_place_that_comes_later_is_used() {
    let directory = Directory::new();
    std::fs::write(directory.path(), "").unwrap();
    let mut worker = Worker::open(settings(directory.path()));
    worker.until("a warning has come", |worker| !worker.warnings.is_empty());
    std::fs::remove_file(directory.path()).unwrap();
    worker.until("the store is there", |worker| worker.store.statistics().available);
    worker.put(entry(1, 100));
    assert!(worker.fetch(1).is_some());
    worker.until("that is told", |worker| worker.warnings.len() == 2);
    assert!(worker.warnings[1].ends_with(" is used again"), "{:?}", worker.warnings);
}

/// The limit on the size of files stands for a disk that is full: a write fails in the middle of a transaction.
fn with_file_limit(limit: &str, child: &str) {
    let directory = Directory::new();
    let command =
        format!(r#"trap '' XFSZ; ulimit -S -f {limit}; exec "$0" {child} --exact --ignored --nocapture"#);
    let status = Command::new("bash")
        .args(["-c", &command])
        .arg(std::env::current_exe().unwrap())
        .env("EDGEROUTE_TEST_DIRECTORY", directory.path())
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_disk_that_is_full_costs_only_what_does_not_fit() {
    with_file_limit("400", "child_fills_the_disk");
}

#[test]
fn a_purge_that_cannot_be_written_is_told() {
    with_file_limit("unlimited", "child_purges_what_cannot_be_written");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_purges_what_cannot_be_written() {
    let Some(directory) = spawned_on() else { return };
    let limit_files = |bytes: &str| {
        let (pid, limit) = (std::process::id().to_string(), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    let mut worker = Worker::open(settings(&directory));
    wait_until("the store is there", || worker.store.statistics().available);
    worker.put(entry(1, 5_000));
    worker.put(entry(2, 5_000));
    worker.settle();
    limit_files("8192"); // LMDB's first two pages
    worker.store.purge(Purge::Tenant(1));
    worker.until("it is given up", |worker| worker.store.statistics().unpurged == 1);
    worker.settle();
    limit_files("unlimited");
    let [problem, warning] = &worker.warnings[..] else { unreachable!("{:?}", worker.warnings) };
    assert!(problem.contains("cannot read or write the file"), "{problem}");
    assert_eq!(*warning, format!("a purge was not done, and is to be asked for again: {problem}"));
    worker.until("the store is there again", |worker| worker.store.statistics().available);
    assert_eq!(worker.known.len(), 2);
    worker.store.purge(Purge::Tenant(1));
    worker.until("it is purged", |worker| worker.known.len() == 1);
    worker.settle();
    assert_eq!((worker.store.statistics().unpurged, worker.fetch(1)), (1, None));
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_fills_the_disk() {
    let Some(directory) = spawned_on() else { return };
    let mut worker = Worker::open(settings(&directory));
    wait_until("the store is there", || worker.store.statistics().available);
    worker.put(entry(0, 5_000));
    worker.settle();
    let mut key = 0;
    worker.until("a warning has come", |worker| {
        key += 1;
        worker.store.put(entry(key, 10_000));
        worker.store.note(note(key as u64));
        !worker.warnings.is_empty()
    });
    // LMDB says so of a file that is too large, and "Input/output error" where half of a page was written.
    assert!(worker.warnings[0].contains("cannot read or write the file"), "{:?}", worker.warnings);
    worker.until("the store is there again", |worker| worker.store.statistics().available);
    assert!(worker.store.statistics().dropped > 0);
    assert_eq!(worker.fetch(0).unwrap().body, entry(0, 5_000).body, "what was there still is");
    let problems = worker.warnings.iter().filter(|warning| !warning.ends_with(" is used again"));
    assert_eq!(problems.count(), 1, "{:?}", worker.warnings);
    worker.settle();
    worker.until("the notes have come", |worker| worker.notes.len() as u128 >= key);
    worker.notes.sort_unstable();
    let mut expected: Vec<_> = (1..=key as u64).map(note).collect();
    expected.sort_unstable();
    assert_eq!(worker.notes, expected, "each note came once, kept or not");
}
