//! What a worker prepares before it is confined and serves.

use crate::backend::on_demand::OnDemand;
use crate::base::secret::Secret;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::config::services;
use crate::config::site::Config;
use crate::net::tls::{Clients, Engines};
use crate::process::capabilities;
use crate::process::identity::Identity;
use crate::process::jail;

/// What TLS needs towards clients and towards servers behind, from the keys that the launcher has read, which are wiped
/// behind.
pub(super) fn tls(config: &Config, keys: Secret) -> Result<(Engines, Clients), String> {
    let keyring = Keyring::unpack(&keys).ok_or("the keys of TLS came in pieces")?;
    drop(keys);
    let engines = Engines::new(config, &keyring).map_err(|faults| told(&faults))?;
    let behind = keyring.for_servers_behind(config);
    let clients = Clients::new(config, behind.unwrap_or_default()).map_err(|faults| told(&faults))?;
    Ok((engines, clients))
}

fn told(faults: &[ConfigError]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("\n")
}

/// The sockets of FastCGI programs that are started when they are wanted: a confined worker could make none.
pub(super) fn started(config: &Config) -> Result<OnDemand, String> {
    let directory = if services::are_started_on_demand(config) {
        Some(services::directory(config)?)
    } else {
        None
    };
    OnDemand::new(&config.server.fcgid, directory.as_deref())
        .map_err(|error| format!("cannot make the sockets of FastCGI programs in ServiceDir: {error}"))
}

/// Enters ChrootDir and becomes User and Group, where the launcher could not see to that.
pub(super) fn take_ground(config: &Config) -> Result<(), String> {
    let core = &config.server.core;
    let identity = Identity::for_root(core.user.value(), core.group.value()).map_err(|e| e.to_string())?;
    if let Some(root) = core.chroot.value() {
        jail::enter(root).map_err(|e| format!("ChrootDir: {e}"))?;
    }
    match identity {
        Some(identity) => capabilities::drop_bounding()
            .and_then(|()| jail::become_identity(&identity))
            .map_err(|e| format!("User: {e}")),
        None => Ok(()),
    }
}
