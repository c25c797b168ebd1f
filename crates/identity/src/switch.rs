//! Reads the hosted-sync switch of a home.

use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;
use contract::switch::{self, Switch};

/// The switch, where the configuration was read already.
pub fn judge_switch(environment: &Environment, config: &Config) -> Switch {
    let hosted = || if config.is_readable() { Ok(config.hosted) } else { Err(()) };
    switch::decide(environment.text(switch::VARIABLE).as_deref(), hosted)
}

/// Reads the switch: the variable if set, else `[sync] hosted`, else off. Without a home there is no
/// configuration.
pub fn read_switch(environment: &Environment, home: Option<&Home>) -> Switch {
    switch::decide(environment.text(switch::VARIABLE).as_deref(), || match home {
        Some(home) => Config::read(home).map(|config| config.hosted),
        None => Ok(None),
    })
}
