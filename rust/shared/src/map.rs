//! The bytes: layout of the file, its header, and the only `unsafe` of the crate.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::mem::size_of;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, fallocate};
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;
use crate::rows::RowHeader;
use crate::table::Slot;

const MAGIC: u64 = u64::from_le_bytes(*b"edgercel");
const VERSION: u64 = 1;

/// How many cells and rows a memory file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Exact cells; 256 bytes each.
    pub exact: u32,
    /// Names of gauges; 256 bytes each and 8 for every row.
    pub gauges: u32,
    /// Sums; 256 bytes each.
    pub sums: u32,
    /// Rows: the workers that can be alive or not yet reaped at one time.
    pub rows: u32,
}

/// The start of the file. `magic` is written last: a file without it is not ready.
#[repr(C, align(64))]
pub(crate) struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    layout: [AtomicU64; 4],
    digest: AtomicU64,
    pub(crate) generation: AtomicU64,
}

/// The mapped memory, seen as the types that lie in it.
pub(crate) struct Map {
    memory: MmapRaw,
    layout: Layout,
    regions: Regions,
    /// Where the file is; private memory has none.
    pub(crate) path: Option<PathBuf>,
}

/// Plain words in a file of their own beside the memory file, or in private memory; all zero at first.
#[derive(Debug)]
pub struct Words {
    memory: MmapRaw,
}

/// Where each part begins, in bytes: header, rows, exact, gauge and sum slots, gauge values.
#[derive(Clone, Copy)]
struct Regions {
    rows: usize,
    exact: usize,
    gauges: usize,
    sums: usize,
    values: usize,
    end: usize,
}

/// # Safety
/// Only for types made of atomics: every byte pattern is valid and shared access from anywhere is sound.
unsafe trait OfAtomics {}

// SAFETY: `AtomicU64` and `repr(C)` structs of nothing else.
unsafe impl OfAtomics for AtomicU64 {}
// SAFETY: as above.
unsafe impl OfAtomics for Header {}
// SAFETY: as above.
unsafe impl OfAtomics for RowHeader {}
// SAFETY: as above.
unsafe impl OfAtomics for Slot {}

impl Default for Layout {
    /// About 9 MiB: 16,384 exact cells, 4,096 gauges, 8,192 sums, 64 rows.
    fn default() -> Self {
        Self { exact: 16_384, gauges: 4_096, sums: 8_192, rows: 64 }
    }
}

impl Layout {
    /// The bytes that a memory file of this layout takes.
    pub fn bytes(&self) -> Result<usize, Error> {
        Ok(self.regions()?.end)
    }

    fn regions(&self) -> Result<Regions, Error> {
        let mut end = size_of::<Header>();
        let mut place = |size: usize, count: u64| {
            let start = end;
            let bytes = usize::try_from(count).ok()?.checked_mul(size)?.checked_next_multiple_of(64)?;
            end = end.checked_add(bytes).filter(|&end| isize::try_from(end).is_ok())?;
            Some(start)
        };
        let values = u64::from(self.gauges) * u64::from(self.rows);
        let mut regions = || {
            Some(Regions {
                rows: place(size_of::<RowHeader>(), self.rows.into())?,
                exact: place(size_of::<Slot>(), self.exact.into())?,
                gauges: place(size_of::<Slot>(), self.gauges.into())?,
                sums: place(size_of::<Slot>(), self.sums.into())?,
                values: place(size_of::<AtomicU64>(), values)?,
                end: place(0, 0)?,
            })
        };
        regions().ok_or(Error::TooLarge)
    }

    fn fields(&self) -> [u64; 4] {
        [self.exact, self.gauges, self.sums, self.rows].map(u64::from)
    }

    fn digest(&self) -> u64 {
        let [exact, gauges, sums, rows] = self.fields();
        let sizes = [size_of::<Header>(), size_of::<RowHeader>(), size_of::<Slot>()];
        let words = [VERSION, exact, gauges, sums, rows].into_iter().chain(sizes.map(|size| size as u64));
        xxh3_64(&words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
    }
}

impl Map {
    pub(crate) fn create(path: &Path, layout: Layout) -> Result<Self, Error> {
        let regions = layout.regions()?;
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(
                |source| match source.kind() {
                    std::io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
                    _ => failed("create", path)(source),
                },
            )?;
        let filled = Self::fill(&file, path, layout, regions);
        if filled.is_err() {
            // The first error is the one to report; a file left behind is refused by `open` for want of a magic.
            drop(std::fs::remove_file(path));
        }
        filled
    }

    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed("open", path))?;
        let metadata = file.metadata().map_err(failed("open", path))?;
        let not_ours = || Error::NotAMemoryFile { path: path.to_owned() };
        if !metadata.is_file() || metadata.len() < size_of::<Header>() as u64 {
            return Err(not_ours());
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Permissions { path: path.to_owned(), mode });
        }
        let memory = MmapRaw::map_raw(&file).map_err(failed("map", path))?;
        let damaged = || Error::Damaged { path: path.to_owned(), size: metadata.len() };
        let none = Layout { exact: 0, gauges: 0, sums: 0, rows: 0 };
        let head = Self { memory, layout: none, regions: none.regions()?, path: None };
        let header = head.header();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(not_ours());
        }
        let found = header.version.load(Ordering::Relaxed);
        if found != VERSION {
            return Err(Error::Version { path: path.to_owned(), found, wanted: VERSION });
        }
        let layout = header.layout().ok_or_else(damaged)?;
        let regions = layout.regions()?;
        if header.digest.load(Ordering::Relaxed) != layout.digest() || head.memory.len() != regions.end {
            return Err(damaged());
        }
        Ok(Self { memory: head.memory, layout, regions, path: Some(path.to_owned()) })
    }

    pub(crate) fn anonymous(layout: Layout) -> Result<Self, Error> {
        let regions = layout.regions()?;
        Ok(Self { memory: private(regions.end)?, layout, regions, path: None })
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    #[expect(clippy::indexing_slicing, reason = "a view of one has one element")]
    pub(crate) fn header(&self) -> &Header {
        &self.view(0, 1)[0]
    }

    pub(crate) fn rows(&self) -> &[RowHeader] {
        self.view(self.regions.rows, self.layout.rows)
    }

    pub(crate) fn exact(&self) -> &[Slot] {
        self.view(self.regions.exact, self.layout.exact)
    }

    pub(crate) fn gauges(&self) -> &[Slot] {
        self.view(self.regions.gauges, self.layout.gauges)
    }

    pub(crate) fn sums(&self) -> &[Slot] {
        self.view(self.regions.sums, self.layout.sums)
    }

    /// The values of one gauge, one per row. They lie together because readers sum them.
    pub(crate) fn values(&self, gauge: u32) -> &[AtomicU64] {
        assert!(gauge < self.layout.gauges, "a gauge of another memory file");
        let row_bytes = self.layout.rows as usize * size_of::<AtomicU64>();
        self.view(self.regions.values + gauge as usize * row_bytes, self.layout.rows)
    }

    fn fill(file: &File, path: &Path, layout: Layout, regions: Regions) -> Result<Self, Error> {
        allocate(file, path, regions.end)?;
        let memory = MmapRaw::map_raw(file).map_err(failed("map", path))?;
        let map = Self { memory, layout, regions, path: Some(path.to_owned()) };
        let header = map.header();
        for (cell, value) in header.layout.iter().zip(layout.fields()) {
            cell.store(value, Ordering::Relaxed);
        }
        header.version.store(VERSION, Ordering::Relaxed);
        header.digest.store(layout.digest(), Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(map)
    }

    fn view<T: OfAtomics>(&self, start: usize, count: u32) -> &[T] {
        let pointer = self.memory.as_ptr().wrapping_add(start).cast::<T>();
        // SAFETY: `start` and `count` come from `Regions`, whose end is the length of the mapping (checked when it was
        // made) and whose parts begin at multiples of 64 in page-aligned memory; `T` is made of atomics, so every byte
        // pattern is valid and other processes may write at the same time. The mapping lives as long as `self`.
        unsafe { std::slice::from_raw_parts(pointer, count as usize) }
    }
}

impl Words {
    /// The words of the file, which is made if it does not exist. Several processes may make it at once: allocating
    /// changes nothing that is there.
    pub(crate) fn shared(path: &Path, count: usize) -> Result<Self, Error> {
        let bytes = bytes_of(count)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed("open", path))?;
        let mode = file.metadata().map_err(failed("open", path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Permissions { path: path.to_owned(), mode });
        }
        allocate(&file, path, bytes)?;
        let memory = MmapOptions::new().len(bytes).map_raw(&file).map_err(failed("map", path))?;
        Ok(Self { memory })
    }

    pub(crate) fn private(count: usize) -> Result<Self, Error> {
        Ok(Self { memory: private(bytes_of(count)?)? })
    }
}

impl std::ops::Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        let count = self.memory.len() / size_of::<AtomicU64>();
        // SAFETY: the words lie within the mapping, which is page-aligned, allocated and lives as long as `self`; they
        // are atomics, so every byte pattern is valid and other processes may write at the same time.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<AtomicU64>(), count) }
    }
}

impl Header {
    fn layout(&self) -> Option<Layout> {
        let [exact, gauges, sums, rows] =
            self.layout.each_ref().map(|field| u32::try_from(field.load(Ordering::Relaxed)).ok());
        Some(Layout { exact: exact?, gauges: gauges?, sums: sums?, rows: rows? })
    }
}

fn bytes_of(words: usize) -> Result<usize, Error> {
    let bytes = words.checked_mul(size_of::<AtomicU64>());
    bytes.filter(|&bytes| isize::try_from(bytes).is_ok()).ok_or(Error::TooLarge)
}

/// Allocated, not only sized: a write to a page that cannot be had would be a SIGBUS in the middle of a request.
fn allocate(file: &File, path: &Path, bytes: usize) -> Result<(), Error> {
    rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes as u64))
        .map_err(|errno| failed("allocate", path)(errno.into()))
}

fn private(bytes: usize) -> Result<MmapRaw, Error> {
    let memory = MmapOptions::new().len(bytes).map_anon();
    memory.map(Into::into).map_err(|source| Error::Memory { bytes, source })
}

#[cold]
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::File { doing, path: path.to_owned(), source }
}
