//! `sync parked export`.

use crate::args::ParkedExportArgs;
use crate::command::sync::export;
use crate::error::CliError;
use crate::report::Report;
use gate::CurePermit;
use queue::Export;
use std::path::Path;

/// Runs the verb.
pub(super) fn run(permit: Option<&CurePermit>, args: &ParkedExportArgs) -> Result<Report, CliError> {
    let output = args.output.as_deref();
    match permit {
        Some(permit) => export::write(Export::of_parked(permit.queue_path()), permit.queue_path(), output),
        None => export::write(std::iter::empty(), Path::new("no queue DB"), output),
    }
}
