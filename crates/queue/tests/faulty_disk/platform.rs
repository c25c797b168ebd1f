//! The disk that fails: SQLite's own file layer, with three of its functions replaced by ones that may
//! give an error first. The only unsafe code of the tests; each block names what it relies on.
#![allow(unsafe_code)]

use rusqlite::ffi;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, Once, PoisonError};

/// Failure of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write finds no space.
    NoSpace,
    /// A write finds space for half of its bytes.
    ShortWrite,
    /// The disk reports an error when asked to make sure.
    SyncFails,
    /// A file cannot be made shorter.
    TruncateFails,
}

/// Planned failures of this thread's disk.
#[derive(Clone, Copy)]
struct Plan {
    fault: Fault,
    /// Operations of that kind that still succeed.
    left: u32,
    /// Whether it keeps failing.
    lasting: bool,
    hit: bool,
}

thread_local! {
    static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
}

/// Lets the operation number `after` of a kind fail in this thread; and every later one, if `lasting`.
pub fn arm(fault: Fault, after: u32, lasting: bool) {
    PLAN.set(Some(Plan { fault, left: after, lasting, hit: false }));
}

/// Repairs the disk of this thread; returns whether anything had failed.
pub fn disarm() -> bool {
    PLAN.take().is_some_and(|plan| plan.hit)
}

/// Whether an operation of one of these kinds fails now, and how.
fn fails(kinds: &[Fault]) -> Option<Fault> {
    let mut plan = PLAN.get()?;
    if !kinds.contains(&plan.fault) {
        return None;
    }
    let failing = if plan.hit { plan.lasting } else { plan.left == 0 };
    plan.left = plan.left.saturating_sub(1);
    plan.hit |= failing;
    PLAN.set(Some(plan));
    failing.then_some(plan.fault)
}

/// The methods of a file, with ours among them; SQLite sees the first field only.
#[repr(C)]
struct Methods {
    ours: ffi::sqlite3_io_methods,
    original: ffi::sqlite3_io_methods,
}

/// One [`Methods`] for each table of methods that SQLite uses, by the address of SQLite's.
static TABLES: Mutex<Option<HashMap<usize, &'static Methods>>> = Mutex::new(None);

/// The file layer that SQLite would use without us.
static ORIGINAL: Mutex<Option<Original>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Original {
    vfs: *mut ffi::sqlite3_vfs,
    open: Open,
}

// SAFETY: SQLite's own file layer is a static that is never changed after start, and may be used by any
// thread.
unsafe impl Send for Original {}

type Open = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    ffi::sqlite3_filename,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;

/// Makes the failing disk the default of this process.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite initialises itself, and the default file layer lives as long as the process. A copy of it is
        // as good as itself, because its functions take the layer as an argument and use only fields that are copied.
        // The copy is leaked, so it lives as long, too.
        unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
            let vfs = ffi::sqlite3_vfs_find(std::ptr::null());
            let open = (*vfs).xOpen.expect("a file layer opens files");
            *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Original { vfs, open });
            let copy = Box::leak(Box::new(ffi::sqlite3_vfs {
                zName: c"failing".as_ptr(),
                pNext: std::ptr::null_mut(),
                xOpen: Some(open_file),
                ..*vfs
            }));
            assert_eq!(ffi::sqlite3_vfs_register(copy, 1), ffi::SQLITE_OK);
        }
    });
}

/// Opens a file as SQLite does, and puts our methods in front of its own.
unsafe extern "C" fn open_file(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let original = *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Original { vfs, open }) = original else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: the arguments are SQLite's, passed on as they are, to the function they are meant for; a
    // file that was opened points at a table of methods that is never freed.
    unsafe {
        let opened = open(vfs, name, file, flags, out_flags);
        if opened == ffi::SQLITE_OK && !(*file).pMethods.is_null() {
            (*file).pMethods = &raw const methods_for((*file).pMethods).ours;
        }
        opened
    }
}

/// Our methods for a file that has `original`.
///
/// # Safety
/// `original` points at a table of methods that is never changed.
unsafe fn methods_for(original: *const ffi::sqlite3_io_methods) -> &'static Methods {
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let tables = tables.get_or_insert_default();
    tables.entry(original as usize).or_insert_with(|| {
        // SAFETY: the caller's promise.
        let original = unsafe { *original };
        let ours = ffi::sqlite3_io_methods {
            xWrite: Some(write),
            xSync: Some(sync),
            xTruncate: Some(truncate),
            ..original
        };
        Box::leak(Box::new(Methods { ours, original }))
    })
}

/// The methods that SQLite gave a file.
///
/// # Safety
/// `file` was opened by [`open_file`].
unsafe fn original(file: *mut ffi::sqlite3_file) -> &'static ffi::sqlite3_io_methods {
    // SAFETY: so its methods are the first field of a leaked `Methods`, whose address is its own.
    unsafe { &(*(*file).pMethods.cast::<Methods>()).original }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: SQLite calls the methods of files that it opened through us, with a buffer of `len` bytes;
    // half of it is a buffer of half the length.
    unsafe {
        let Some(real) = original(file).xWrite else { return ffi::SQLITE_IOERR_WRITE };
        match fails(&[Fault::NoSpace, Fault::ShortWrite]) {
            None => real(file, data, len, at),
            Some(Fault::ShortWrite) => {
                real(file, data, len / 2, at);
                ffi::SQLITE_FULL
            }
            Some(_) => ffi::SQLITE_FULL,
        }
    }
}

/// No test cuts the power, so a successful sync need not reach the disk.
unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    if fails(&[Fault::SyncFails]).is_some() { ffi::SQLITE_IOERR_FSYNC } else { ffi::SQLITE_OK }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Some(real) = original(file).xTruncate else { return ffi::SQLITE_IOERR_TRUNCATE };
        if fails(&[Fault::TruncateFails]).is_some() { ffi::SQLITE_IOERR_TRUNCATE } else { real(file, size) }
    }
}
