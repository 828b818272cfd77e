//! Words beside the memory file: shared by name, private without a file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::Ordering::Relaxed;

use edgeroute_shared::{Cells, Error};
use support::{SMALL, TemporaryFile};

#[test]
fn all_processes_share_the_words_of_a_name() {
    let file = TemporaryFile::new();
    let (ours, theirs) = (Cells::create(file.path(), SMALL).unwrap(), Cells::open(file.path()).unwrap());
    let name = format!("{}-words", file.path().file_name().unwrap().to_str().unwrap());
    let path = file.path().with_file_name(&name);
    let (first, second) = (ours.words(&name, 1_000).unwrap(), theirs.words(&name, 1_000).unwrap());
    assert_eq!((first.len(), second.len()), (1_000, 1_000));
    assert!(first.iter().all(|word| word.load(Relaxed) == 0));
    first[999].store(7, Relaxed);
    assert_eq!(second[999].load(Relaxed), 7);
    assert_eq!(ours.words(&name, 1_000).unwrap()[999].load(Relaxed), 7, "opening it again changes nothing");

    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, 8_000));
    assert!(metadata.blocks() * 512 >= metadata.len(), "wholly allocated");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(ours.words(&name, 1_000), Err(Error::Permissions { mode: 0o640, .. })));
    fs::remove_file(path).unwrap();
}

#[test]
fn private_cells_have_private_words() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let (first, second) = (cells.words("index", 64).unwrap(), cells.words("index", 64).unwrap());
    first[0].store(1, Relaxed);
    assert_eq!(second[0].load(Relaxed), 0);
    assert!(matches!(cells.words("index", usize::MAX), Err(Error::TooLarge)));
}
