//! `sync gc`: old receipts go, on request. Nothing else is ever collected.

use super::scoped::{Patience, cure_permit, is_absent};
use crate::args::GcArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::report::{Document, Report, counted};
use jiff::Timestamp;
use queue::{Cure, QueueError, observe_collectable};
use serde::Serialize;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &GcArgs) -> Result<Report, CliError> {
    let before = Timestamp::now().as_second() - i64::from(args.older_than) * 24 * 60 * 60;
    let permit =
        cure_permit(context, Patience::of(args.dry_run))?.filter(|permit| !is_absent(permit.queue_path()));
    let receipts = match &permit {
        None => 0,
        Some(permit) if args.dry_run => {
            observe_collectable(permit.queue_path(), before).map_err(QueueError::from)?
        }
        Some(permit) => Cure::open(permit)?.collect_receipts(before)?,
    };
    let result = match (args.dry_run, receipts) {
        (true, _) => "planned",
        (false, 0) => "nothing_to_do",
        (false, _) => "collected",
    };
    // Further back than a calendar goes there is nothing either.
    let before = Timestamp::from_second(before).unwrap_or(Timestamp::MIN).to_string();
    Ok(Report::of(&Collected { result, receipts, before }))
}

/// What went.
#[derive(Debug, Serialize)]
struct Collected {
    result: &'static str,
    receipts: u64,
    /// Receipts from before this instant.
    before: String,
}

impl Document for Collected {
    fn text(&self) -> String {
        let Self { result, receipts, before } = self;
        let receipts = counted(*receipts, "receipt", "receipts");
        match *result {
            "planned" => format!("would remove {receipts} from before {before}\n"),
            "collected" => format!("removed {receipts} from before {before}\n"),
            _ => format!("no receipts from before {before}\n"),
        }
    }
}
