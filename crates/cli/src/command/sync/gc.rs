//! `sync gc`: removes old receipts, or with `--sent` the kept bytes of delivered rows.

use crate::command::sync::scoped::{Patience, cure_permit, is_absent};
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use jiff::Timestamp;
use queue::{Cure, QueueError, SentBlocks, observe_collectable, observe_sent};
use serde::Serialize;

/// Remove old receipts, or the kept bytes of delivered rows
#[derive(Debug, Args)]
#[command(
    after_help = "A receipt proves that a row was delivered, or dropped and why. Receipts are collected only by \
    this command. Kept bytes are also removed automatically, oldest first: see \
    sync.keep_sent_days and sync.keep_sent_mib.\n\nExample: spec-kitty sync gc --older-than 180 \
    --dry-run"
)]
pub(crate) struct GcArgs {
    /// Remove receipts older than this [default: 90]; with --sent, only bytes older than this
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    older_than: Option<u32>,
    /// Remove the kept bytes of delivered rows instead: receipts stay, and the rows can no longer be sent
    /// again
    #[arg(long)]
    sent: bool,
    /// Count only; change nothing (dry run)
    #[arg(long)]
    dry_run: bool,
}

impl Verb for GcArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        if self.sent {
            return sent(context, &self);
        }
        let before = days_ago(self.older_than.unwrap_or(DEFAULT_DAYS));
        let permit = cure_permit(context, Patience::of(self.dry_run))?
            .filter(|permit| !is_absent(permit.queue_path()));
        let receipts = match &permit {
            None => 0,
            Some(permit) if self.dry_run => {
                observe_collectable(permit.queue_path(), before).map_err(QueueError::from)?
            }
            Some(permit) => Cure::open(permit)?.collect_receipts(before)?,
        };
        let result = match (self.dry_run, receipts) {
            (true, _) => "planned",
            (false, 0) => "nothing_to_do",
            (false, _) => "collected",
        };
        // Before the range of the calendar there are no receipts.
        let before = Timestamp::from_second(before).unwrap_or(Timestamp::MIN).to_string();
        Ok(Report::of(&Collected { result, receipts, before }))
    }
}

/// Receipts older than this are old.
const DEFAULT_DAYS: u32 = 90;

fn days_ago(days: u32) -> i64 {
    Timestamp::now().as_second() - i64::from(days) * 24 * 60 * 60
}

/// Removes the kept bytes.
fn sent(context: &CommandContext, args: &GcArgs) -> Result<Report, CliError> {
    let before = args.older_than.map(days_ago);
    let permit =
        cure_permit(context, Patience::of(args.dry_run))?.filter(|permit| !is_absent(permit.queue_path()));
    let gone = match &permit {
        None => SentBlocks::default(),
        Some(permit) if args.dry_run => {
            observe_sent(permit.queue_path(), before).map_err(QueueError::from)?
        }
        Some(permit) => Cure::open(permit)?.discard_sent(before)?,
    };
    let result = match (args.dry_run, gone.blocks) {
        (true, _) => "planned",
        (false, 0) => "nothing_to_do",
        (false, _) => "collected",
    };
    Ok(Report::of(&Discarded { result, sent: gone }))
}

/// Kept bytes that were removed, or would be.
#[derive(Debug, Serialize)]
struct Discarded {
    result: &'static str,
    sent: SentBlocks,
}

impl Render for Discarded {
    fn text(&self) -> String {
        let SentBlocks { blocks, bytes } = self.sent;
        let what = format!("the bytes of {} ({bytes} bytes)", counted(blocks, "request", "requests"));
        match self.result {
            "planned" => format!("would remove {what}\n"),
            "collected" => format!("removed {what}; the receipts stay\n"),
            _ => "no bytes of delivered rows are kept\n".to_owned(),
        }
    }
}

/// Receipts that were removed, or would be.
#[derive(Debug, Serialize)]
struct Collected {
    result: &'static str,
    receipts: u64,
    /// Receipts from before this instant.
    before: String,
}

impl Render for Collected {
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
