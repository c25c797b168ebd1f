//! Samples of every remedy.

use contract::Remedy;

/// Samples of every variant. The list generates the match as well, so a new variant does not compile
/// without a sample.
macro_rules! samples {
    ($($pattern:pat => [$($sample:expr),+ $(,)?],)+) => {
        /// One sample of each variant, and more of those with text of another program.
        ///
        /// # Panics
        /// When one is listed as a sample of another variant.
        pub fn samples() -> Vec<Remedy> {
            fn is_listed(remedy: &Remedy) {
                match remedy {
                    $($pattern => {})+
                }
            }
            let mut all = Vec::new();
            $($(
                assert!(matches!($sample, $pattern), "{:?} is a sample of another variant", $sample);
                all.push($sample);
            )+)+
            all.iter().for_each(is_listed);
            all
        }
    };
}

samples! {
    Remedy::RestartDaemon => [Remedy::RestartDaemon],
    Remedy::SwitchTeam { .. } => [Remedy::SwitchTeam { team: "-team with 'quotes'".into() }],
    Remedy::Login => [Remedy::Login],
    Remedy::LoginServer => [Remedy::LoginServer],
    Remedy::LoginAt { .. } => [
        Remedy::LoginAt { server: "https://sync.invalid".into(), again: false },
        Remedy::LoginAt { server: "https://sync.invalid".into(), again: true },
    ],
    Remedy::SetServer { .. } => [Remedy::SetServer { server: "https://sync.invalid".into() }],
    Remedy::CleanOrphans => [Remedy::CleanOrphans],
    Remedy::ForceCleanOrphans => [Remedy::ForceCleanOrphans],
    Remedy::Migrate => [Remedy::Migrate],
    Remedy::Repair => [Remedy::Repair],
    Remedy::RepairMission { .. } => [Remedy::RepairMission { mission: "user-auth-01KRX11M".into() }],
    Remedy::SyncNow => [Remedy::SyncNow],
    Remedy::ResendMissing => [Remedy::ResendMissing],
    Remedy::CaptureHistory { .. } => [
        Remedy::CaptureHistory { mission: "user-auth-01KRX11M".into() },
        Remedy::CaptureHistory { mission: "-x".into() },
    ],
    Remedy::OptIn { .. } => [
        Remedy::OptIn { project: "164b830e-0aa9-486a-80e9-73e0ff9bd516".into() },
        Remedy::OptIn { project: "none".into() },
        Remedy::OptIn { project: "-x".into() },
        Remedy::OptIn { project: "it's \u{1b}[2J \u{202e}\\".into() },
    ],
    Remedy::OptInAllHeld => [Remedy::OptInAllHeld],
    Remedy::StartDaemon => [Remedy::StartDaemon],
    Remedy::StopDaemon => [Remedy::StopDaemon],
    Remedy::FromScope { .. } => [Remedy::FromScope { hash: "0123456789abcdef".into() }],
    Remedy::ExportScope { .. } => [Remedy::ExportScope { hash: "0123456789abcdef".into() }],
    Remedy::FromServer { .. } => [Remedy::FromServer {
        server: "https://gone.invalid".into(),
        project: "164b830e-0aa9-486a-80e9-73e0ff9bd516".into(),
    }],
    Remedy::Advice(_) => [Remedy::Advice("unset SPEC_KITTY_HOME".into())],
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn only_an_advice_has_no_command_and_no_two_samples_are_alike() {
        let samples = samples();
        let advices = samples.iter().filter(|remedy| remedy.argv().is_none()).count();
        assert_eq!(advices, 1);
        let mut hints: Vec<String> = samples.iter().map(contract::Remedy::hint).collect();
        hints.sort();
        hints.dedup();
        assert_eq!(hints.len(), samples.len());
    }
}
