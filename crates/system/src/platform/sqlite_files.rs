//! Observation of the files of SQLite: its own file layer, with five functions that ask an observer first. SQLite has no
//! safe interface for this, and a copy of the files does not show which writes a sync had followed.
#![allow(unsafe_code, reason = "a file layer is a table of C functions")]

use crate::sqlite_files::{FileObserver, FileOperation, FileOutcome};
use libsqlite3_sys as ffi;
use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The methods of a file, with ours among them; SQLite sees the first field only.
#[repr(C)]
struct Methods {
    ours: ffi::sqlite3_io_methods,
    original: ffi::sqlite3_io_methods,
}

type Open = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    ffi::sqlite3_filename,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;

type Delete = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, c_int) -> c_int;

/// The file layer without observation.
struct Layer {
    vfs: *mut ffi::sqlite3_vfs,
    open: Open,
    delete: Delete,
    observer: FileObserver,
}

// SAFETY: the file layer of SQLite is a static that is never changed after its start, for use by any thread.
unsafe impl Send for Layer {}
// SAFETY: as above.
unsafe impl Sync for Layer {}

static LAYER: OnceLock<Option<Layer>> = OnceLock::new();

#[derive(Default)]
struct Files {
    /// Paths of open files, by the address of the structure of SQLite.
    paths: HashMap<usize, PathBuf>,
    /// One [`Methods`] for each table of methods that SQLite uses, by the address of that table.
    methods: HashMap<usize, &'static Methods>,
}

static FILES: Mutex<Option<Files>> = Mutex::new(None);

fn files() -> MutexGuard<'static, Option<Files>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the observed file layer the default of this process. Returns whether it is. Only the first observer is asked.
pub(crate) fn observe_sqlite_files(observer: FileObserver) -> bool {
    let layer = LAYER.get_or_init(|| {
        // SAFETY: SQLite initialises itself, and its default file layer lives as long as the process.
        let vfs = unsafe {
            if ffi::sqlite3_initialize() != ffi::SQLITE_OK {
                return None;
            }
            ffi::sqlite3_vfs_find(std::ptr::null())
        };
        // SAFETY: SQLite returned null, or a file layer that is not changed.
        let original = unsafe { vfs.as_ref() }?;
        Some(Layer { vfs, open: original.xOpen?, delete: original.xDelete?, observer })
    });
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        let Some(layer) = layer else { return false };
        // SAFETY: a copy of the layer is as good as the layer itself: its functions take the layer as an argument and use
        // fields that are copied. The copy is leaked, so it lives as long as the process.
        unsafe {
            let copy = Box::leak(Box::new(ffi::sqlite3_vfs {
                zName: c"observed".as_ptr(),
                pNext: std::ptr::null_mut(),
                xOpen: Some(open_file),
                xDelete: Some(delete_file),
                ..*layer.vfs
            }));
            ffi::sqlite3_vfs_register(copy, 1) == ffi::SQLITE_OK
        }
    })
}

fn layer() -> Option<&'static Layer> {
    LAYER.get()?.as_ref()
}

fn ask(path: &Path, operation: FileOperation<'_>) -> FileOutcome {
    layer().map_or(FileOutcome::Done, |layer| (layer.observer)(path, operation))
}

/// The path in a call of SQLite.
///
/// # Safety
/// `name` is null, or a string that SQLite owns during the call.
unsafe fn path_of_name(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: the promise of the caller.
    (!name.is_null()).then(|| PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())))
}

fn path_of_file(file: *mut ffi::sqlite3_file) -> PathBuf {
    files().as_ref().and_then(|files| files.paths.get(&(file as usize))).cloned().unwrap_or_default()
}

/// Opens a file as SQLite does, and puts our methods in front of its own.
unsafe extern "C" fn open_file(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let Some(layer) = layer() else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: the name is an argument of SQLite.
    let path = unsafe { path_of_name(name) };
    if let Some(path) = &path
        && flags & ffi::SQLITE_OPEN_CREATE != 0
        && !path.exists()
        && ask(path, FileOperation::Create) != FileOutcome::Done
    {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: the arguments are those of SQLite, unchanged, for the function that they are meant for. A file that was
    // opened points at a table of methods that is never freed.
    unsafe {
        let opened = (layer.open)(layer.vfs, name, file, flags, out_flags);
        if opened == ffi::SQLITE_OK
            && !(*file).pMethods.is_null()
            && let Some(path) = path
        {
            (*file).pMethods = &raw const methods_for((*file).pMethods).ours;
            files().get_or_insert_default().paths.insert(file as usize, path);
        }
        opened
    }
}

/// Our methods for a file that has `original`.
///
/// # Safety
/// `original` points at a table of methods that is never changed.
unsafe fn methods_for(original: *const ffi::sqlite3_io_methods) -> &'static Methods {
    files().get_or_insert_default().methods.entry(original as usize).or_insert_with(|| {
        // SAFETY: the promise of the caller.
        let original = unsafe { *original };
        let ours = ffi::sqlite3_io_methods {
            xClose: Some(close),
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
/// `file` was opened by [`open_file`] and given our methods.
unsafe fn original(file: *mut ffi::sqlite3_file) -> &'static ffi::sqlite3_io_methods {
    // SAFETY: its methods are the first field of a leaked `Methods`, and have the address of that.
    unsafe { &(*(*file).pMethods.cast::<Methods>()).original }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    if let Some(files) = files().as_mut() {
        files.paths.remove(&(file as usize));
    }
    // SAFETY: SQLite closes a file that it opened through us.
    unsafe { original(file).xClose.map_or(ffi::SQLITE_OK, |real| real(file)) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: SQLite writes from a buffer of `len` bytes.
    let bytes =
        unsafe { std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(len).unwrap_or_default()) };
    let at_byte = usize::try_from(at).unwrap_or_default();
    let outcome = ask(&path_of_file(file), FileOperation::Write { at: at_byte, bytes });
    // SAFETY: SQLite opened the file through us. The buffer has `len` bytes, so also half as many.
    unsafe {
        let Some(real) = original(file).xWrite else { return ffi::SQLITE_IOERR_WRITE };
        match outcome {
            FileOutcome::Done => real(file, data, len, at),
            FileOutcome::NoSpaceForHalf => {
                real(file, data, len / 2, at);
                ffi::SQLITE_FULL
            }
            FileOutcome::NoSpace => ffi::SQLITE_FULL,
            FileOutcome::Fails => ffi::SQLITE_IOERR_WRITE,
        }
    }
}

/// Flushes nothing; the observer decides the result.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    match ask(&path_of_file(file), FileOperation::Sync) {
        FileOutcome::Done => ffi::SQLITE_OK,
        _ => ffi::SQLITE_IOERR_FSYNC,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let operation = FileOperation::Truncate { size: usize::try_from(size).unwrap_or_default() };
    match ask(&path_of_file(file), operation) {
        // SAFETY: SQLite opened the file through us.
        FileOutcome::Done => unsafe {
            original(file).xTruncate.map_or(ffi::SQLITE_IOERR_TRUNCATE, |real| real(file, size))
        },
        _ => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn delete_file(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    let Some(layer) = layer() else { return ffi::SQLITE_IOERR_DELETE };
    // SAFETY: the name is an argument of SQLite.
    if let Some(path) = unsafe { path_of_name(name) }
        && ask(&path, FileOperation::Delete) != FileOutcome::Done
    {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: the arguments are those of SQLite, unchanged.
    unsafe { (layer.delete)(layer.vfs, name, sync_dir) }
}
