//! `lychgate serve`: a directory as a site, and with `--tls` a certificate for the moment.

use std::net::SocketAddr;
use std::path::Path;

use crate::commands::serve::{Scheme, Serve};
use crate::config::directives::tls::Engine;
use crate::config::error::Severity;
use crate::config::keyring::Keyring;
use crate::config::load::load_text;
use crate::launcher::{self, ControlSocket, Launch, Plan, StandardError};
use crate::process::identity::Identity;

use super::options::Threads;
use super::start::{SILENCE, role_argv, where_it_listens};
use super::{complaints, plan, terminal};

/// Serves until it is told to stop.
pub(super) fn serve(serve: &Serve) -> Result<(), String> {
    if serve.listen.is_public() && Identity::process_is_root() {
        return Err("started as root, it serves this machine only; start it as another user".to_owned());
    }
    let (keyring, fingerprint) = match serve.scheme {
        Scheme::Http => (Keyring::default(), None),
        Scheme::Https => certificate(serve)?,
    };
    let mut ready = |addresses: &[SocketAddr]| {
        let spoken = match serve.scheme {
            Scheme::Http => Engine::Off,
            Scheme::Https => Engine::On,
        };
        let addresses: Vec<_> = addresses.iter().map(|address| (spoken, *address)).collect();
        terminal::out(&where_it_listens(&addresses));
        if let Some(fingerprint) = &fingerprint {
            terminal::out(&format!(
                "lychgate: the certificate's SHA-256 fingerprint is {fingerprint}"
            ));
        }
    };
    launcher::run(Launch {
        load: &mut || plan_of(serve, &keyring),
        check: &|| (Vec::new(), true),
        role_argv,
        ready: &mut ready,
        stderr: StandardError::Log,
        silence: Some(SILENCE),
        command: None,
        socket: None,
        handed_over: None,
    })
}

fn plan_of(serve: &Serve, keyring: &Keyring) -> Result<Plan, String> {
    let mut loaded = load_text("lychgate serve", &serve.configuration()?, Path::new("/"));
    if loaded.is_fatal() {
        return Err(complaints::lines(&loaded.complaints, Severity::Error).join("\n"));
    }
    loaded.keyring = keyring.clone();
    let mut plan = plan::of(&loaded, Threads::Configured)?;
    plan.pid_file = None;
    plan.control = ControlSocket::None;
    Ok(plan)
}

/// A certificate where the settings look for it, and its fingerprint. It is in no file, and in no core file of this process.
#[cfg(feature = "tls")]
fn certificate(serve: &Serve) -> Result<(Keyring, Option<String>), String> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    use crate::commands::serve::MADE;
    use crate::tls::made::made;

    // No kernel refuses it (prctl(2)).
    let _never_fails = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let (names, addresses) = serve.listen.names();
    let made = made(&names, &addresses)?;
    Ok((Keyring::of(MADE.as_bytes(), made.pem), Some(made.fingerprint)))
}

/// None can be made.
#[cfg(not(feature = "tls"))]
fn certificate(_: &Serve) -> Result<(Keyring, Option<String>), String> {
    Err("this program was built without TLS".to_owned())
}
