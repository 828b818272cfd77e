//! The memory file: who may open it, and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::atomic::Ordering::Relaxed;

use edgeroute_shared::{Cells, Error, Layout};
use support::{SMALL, TemporaryFile};

#[test]
fn all_who_open_it_see_the_same_cells() {
    let file = TemporaryFile::new();
    let ours = Cells::create(file.path(), SMALL).unwrap();
    let theirs = Cells::open(file.path()).unwrap();
    assert_eq!(theirs.layout(), SMALL);

    let exact = ours.exact("budget").unwrap();
    ours.at(exact).store(7, Relaxed);
    assert_eq!(theirs.exact("budget").unwrap(), exact);
    assert_eq!(theirs.at(exact).load(Relaxed), 7);

    let sum = theirs.sum("requests").unwrap();
    theirs.add(sum, 2);
    ours.add(sum, 3);
    ours.sum("errors").unwrap();
    let mut sums: Vec<_> = ours.sums().collect();
    sums.sort();
    assert_eq!(sums, [("errors".to_owned(), 0), ("requests".to_owned(), 5)]);
    assert_eq!(ours.exacts().collect::<Vec<_>>(), [("budget".to_owned(), 7)]);

    ours.generation().store(4, Relaxed);
    assert_eq!(theirs.generation().load(Relaxed), 4);
}

#[test]
fn it_is_private_and_wholly_allocated() {
    use std::os::unix::fs::MetadataExt;
    let file = TemporaryFile::new();
    Cells::create(file.path(), Layout::default()).unwrap();
    let metadata = fs::metadata(file.path()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(metadata.len(), Layout::default().bytes().unwrap() as u64);
    assert!(metadata.blocks() * 512 >= metadata.len());
}

#[test]
fn the_default_layout_fits_a_small_container() {
    assert!(Layout::default().bytes().unwrap() < 16 << 20);
}

#[test]
fn a_file_that_exists_is_not_overwritten() {
    let file = TemporaryFile::new();
    fs::write(file.path(), "precious").unwrap();
    assert!(matches!(Cells::create(file.path(), SMALL), Err(Error::Exists { .. })));
    assert_eq!(fs::read(file.path()).unwrap(), b"precious");
}

#[test]
fn a_layout_that_cannot_be_had_leaves_no_file() {
    let file = TemporaryFile::new();
    let all = u32::MAX;
    let layout = Layout { exact: all, gauges: all, sums: all, rows: all };
    assert!(matches!(Cells::create(file.path(), layout), Err(Error::TooLarge)));
    assert!(matches!(Cells::anonymous(layout), Err(Error::TooLarge)));
    assert!(!file.path().exists());
    let missing = file.path().join("no such folder");
    assert!(matches!(Cells::create(missing, SMALL), Err(Error::File { doing: "create", .. })));
}

#[test]
fn wrong_files_are_refused_with_a_reason() {
    type Spoil = fn(&fs::File);
    let check = |expected: &str, spoil: Spoil| {
        let file = TemporaryFile::new();
        drop(Cells::create(file.path(), SMALL).unwrap());
        spoil(&OpenOptions::new().write(true).open(file.path()).unwrap());
        let error = Cells::open(file.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    check("is not a memory file", |file| file.set_len(0).unwrap());
    check("is not a memory file", |file| file.set_len(60).unwrap());
    check("is not a memory file", |file| file.write_all_at(b"SQLite format 3\0", 0).unwrap());
    check("not finished it", |file| file.write_all_at(&[0; 8], 0).unwrap());
    check("has format 9, this edgeroute needs 1", |file| file.write_all_at(&[9], 8).unwrap());
    check("damaged", |file| file.write_all_at(&[7], 16).unwrap());
    check("damaged", |file| file.write_all_at(&[0xff; 32], 16).unwrap());
    check("damaged", |file| file.write_all_at(&[1], 48).unwrap());
    check("damaged", |file| file.set_len(4096).unwrap());
    check("damaged", |file| file.set_len(1 << 20).unwrap());
    for mode in [0o640, 0o606, 0o666] {
        let file = TemporaryFile::new();
        Cells::create(file.path(), SMALL).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(Cells::open(file.path()), Err(Error::Permissions { mode: found, .. }) if found == mode)
        );
    }
    let missing = TemporaryFile::new();
    assert!(matches!(Cells::open(missing.path()), Err(Error::File { doing: "open", .. })));
    assert!(Cells::open(std::env::temp_dir()).is_err());
}

#[test]
fn clones_are_one_memory_and_go_to_other_threads() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let sum = cells.sum("requests").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let clone = cells.clone();
            scope.spawn(move || (0..1_000).for_each(|_| clone.add(sum, 1)));
        }
    });
    assert_eq!(cells.sums().collect::<Vec<_>>(), [("requests".to_owned(), 4_000)]);
}
