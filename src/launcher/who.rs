//! Who the roles are to be.

use super::Notes;
use super::plan::Plan;
use crate::process::identity::Identity;
use crate::process::say::{Weight, say};

/// Who the roles are to be.
pub(super) fn identity(plan: &Plan, notes: Notes) -> Result<Option<Identity>, String> {
    let note = |text: &str| {
        if notes == Notes::Said {
            say("launcher", Weight::Warning, text);
        }
    };
    match (&plan.user, Identity::process_is_root()) {
        (Some(user), true) => {
            let identity = Identity::look_up(user, plan.group.as_deref()).map_err(|error| error.to_string())?;
            Ok(Some(identity))
        }
        (None, true) if plan.listeners.iter().all(|listen| listen.address.ip().is_loopback()) => {
            note("started as root without a `User` line: everything runs as root, reachable from this machine only");
            Ok(None)
        }
        (None, true) => Err("started as root: a `User` line is needed, which says who serves requests".to_owned()),
        (user, false) => {
            if user.is_some() || plan.group.is_some() {
                note("User and Group are ignored: only root can change who a process is");
            }
            Ok(None)
        }
    }
}
