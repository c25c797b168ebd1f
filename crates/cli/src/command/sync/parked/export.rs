use crate::command::sync::export;
use crate::command::sync::export::needs_output;
use crate::command::sync::scoped::Patience;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use queue::Export;
use std::path::Path;
use std::path::PathBuf;

/// Write parked rows, payloads included, as JSON lines
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync parked export --output parked.jsonl")]
pub(crate) struct ParkedExportArgs {
    /// Write the lines to this new file, readable by this user only, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Verb for ParkedExportArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        needs_output(asked, self.output.as_ref())
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let permit = super::permit(context, Patience::Look)?;
        let permit = permit.as_ref();
        let output = self.output.as_deref();
        match permit {
            Some(permit) => {
                export::write(Export::of_parked(permit.queue_path()), permit.queue_path(), output)
            }
            None => export::write(std::iter::empty(), Path::new("no queue DB"), output),
        }
    }
}
