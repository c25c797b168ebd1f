//! `config`: the settings of this machine.

use super::{damaged_config, fresh, logged_in, prints, switched_off};

#[test]
fn config_list() {
    prints("config/list_fresh", fresh, "config list");
    prints("config/list_logged_in", logged_in, "config list");
    prints("config/list_switched_off", switched_off, "config list");
    prints("config/list_damaged_config", damaged_config, "config list");
}

#[test]
fn config_get() {
    prints("config/get_unset", fresh, "config get sync.server_url");
    prints("config/get_set", logged_in, "config get sync.server_url");
    prints("config/get_default", fresh, "config get sync.max_queue_size");
    prints("config/get_unknown_key", fresh, "config get sync.colour");
    prints("config/get_damaged_config", damaged_config, "config get sync.hosted");
}

#[test]
fn config_set() {
    prints("config/set_hosted", fresh, "config set sync.hosted true");
    prints("config/set_number", fresh, "config set sync.max_queue_size 500");
    prints("config/set_unusable_number", fresh, "config set sync.max_queue_size -1");
    prints("config/set_unusable_url", fresh, "config set sync.server_url sync.example.org");
    prints("config/set_unusable_word", fresh, "config set sync.background_daemon sometimes");
    prints("config/set_damaged_config", damaged_config, "config set sync.hosted true");
}

#[test]
fn config_unset() {
    prints("config/unset_set", logged_in, "config unset sync.server_url");
    prints("config/unset_unset", fresh, "config unset sync.server_url");
    prints("config/unset_damaged_config", damaged_config, "config unset sync.hosted");
}
