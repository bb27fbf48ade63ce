//! What the settings ask of the system that it does not grant to whoever starts the server: other users for scripts, a root
//! of their own, limits above its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::directives::rlimit::{Bound, Bounds};
use crate::config::directives::suexec::{MIN_ID, SuexecRules, Switch, Target};
use crate::config::error::{ConfigError, Severity};
use crate::config::node::{Node, Settings};
use crate::config::site::Config;
use crate::config::words::{below, shown};
use crate::process::capabilities::{Capability, holds};
use crate::process::identity::{Identity, shown_group, shown_user};
use crate::process::limits::Resource;
use crate::spawner::{exceeds, hastens};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Somebody who is about to serve: what is not granted keeps him from it.
    Server,
    /// Somebody who checks what perhaps another will serve: he is warned.
    Checker,
}

/// What is wrong with the directives that need privileges, in their order.
pub(super) fn unmet(settings: &Settings, config: &Config, asker: Asker) -> Vec<ConfigError> {
    let judge = Judge {
        is_root: Identity::process_is_root(),
        asker,
        server_root: &settings.server_root,
        rules: &config.server.suexec,
    };
    let mut unmet = Vec::new();
    for node in &settings.nodes {
        judge.look(node, &mut unmet);
    }
    unmet
}

struct Judge<'a> {
    is_root: bool,
    asker: Asker,
    server_root: &'a [u8],
    rules: &'a SuexecRules,
}

/// How bad it is, and why.
type Unmet = Option<(Severity, String)>;

impl Judge<'_> {
    fn look(&self, node: &Node, unmet: &mut Vec<ConfigError>) {
        for child in node.children() {
            self.look(child, unmet);
        }
        if let Node::Directive { name, words, span, .. } = node
            && let Some((severity, sentence)) = self.directive(&name.to_ascii_lowercase(), words)
        {
            unmet.push(ConfigError::new(severity, span, name, sentence));
        }
    }

    /// Words that the directive's own setter refuses are not judged here.
    fn directive(&self, name: &str, words: &[Vec<u8>]) -> Unmet {
        match (name, words) {
            ("chrootdir", [root]) => self.chroot(root),
            ("nice", [nice]) => self.nice(nice),
            ("suexec", [word]) if word.eq_ignore_ascii_case(b"on") => self.needs(Capability::SetUid, "or write `Off`"),
            ("suexecusergroup", words) => self.target(&Target::read(words).ok()?),
            _ => self.limit(Resource::of_directive(name)?, Bounds::read(words).ok()?),
        }
    }

    /// What root may do, where it has all its power, and nobody else.
    fn needs(&self, capability: Capability, instead: &str) -> Unmet {
        let sentence = || format!("only root can do that; start the server as root, {instead}");
        (!holds(capability)).then(|| (self.severity(), sentence()))
    }

    fn severity(&self) -> Severity {
        match self.asker {
            Asker::Server => Severity::Error,
            Asker::Checker => Severity::Warning,
        }
    }

    fn chroot(&self, root: &[u8]) -> Unmet {
        let path = below(self.server_root, root);
        if !Path::new(OsStr::from_bytes(&path)).is_dir() {
            let sentence = format!(
                "{} is not a directory; make it, or name one that is there",
                shown(&path)
            );
            return Some((Severity::Error, sentence));
        }
        self.needs(Capability::SysChroot, "or take the line out")
    }

    fn nice(&self, nice: &[u8]) -> Unmet {
        let nice: i32 = std::str::from_utf8(nice).ok()?.parse().ok()?;
        if hastens(nice) {
            self.needs(
                Capability::SysNice,
                "or do not make scripts less nice than the server is",
            )
        } else {
            None
        }
    }

    fn limit(&self, resource: Resource, bounds: Bounds) -> Unmet {
        let name = resource.directive();
        let hard = exceeds(name, bounds)?;
        let above = format!("it is above {hard}, the hard limit that the server runs under");
        if !holds(Capability::SysResource) {
            let sentence = format!(
                "{above}; to raise that takes CAP_SYS_RESOURCE, which root has: write at most {hard}, or `max`"
            );
            return Some((self.severity(), sentence));
        }
        match bounds {
            // Without a hard limit of its own the soft one would be above ours all the same.
            Bounds {
                soft: Bound::At(soft),
                hard: None | Some(Bound::Max),
            } => Some((
                Severity::Error,
                format!("{above}; add a hard limit to raise that, as `{name} {soft} {soft}`"),
            )),
            _ => None,
        }
    }

    fn target(&self, target: &Target) -> Unmet {
        if self.rules.switch.value() == Some(&Switch::Off) {
            return Some((
                Severity::Error,
                "Suexec is off; take one of the two lines out".to_owned(),
            ));
        }
        let Target::Named { user, group } = target else {
            return self
                .others("the server was not started as root: scripts of other owners than its own user do not start");
        };
        let identity = match Identity::look_up(user, Some(group)) {
            Ok(identity) => identity,
            Err(unknown) => {
                let severity = if self.is_root {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                return Some((severity, format!("{}; add it, or name another", unknown.what())));
            }
        };
        if let Some(sentence) = self.too_low(&identity) {
            return Some((Severity::Error, sentence));
        }
        if identity.is_ours() {
            return None;
        }
        self.others("the server was not started as root: scripts here do not start, for they cannot run as that user")
    }

    fn too_low(&self, identity: &Identity) -> Option<String> {
        let (user, group) = (shown_user(identity.uid), shown_group(identity.gid));
        let (least_user, least_group) = (self.rules.min_uid.or(MIN_ID), self.rules.min_gid.or(MIN_ID));
        if identity.uid == 0 || identity.gid == 0 {
            Some("root may not run scripts; name another".to_owned())
        } else if u64::from(identity.uid) < least_user {
            Some(format!(
                "{user} is a user of the system, below SuexecMinUid {least_user}; name another, or lower SuexecMinUid"
            ))
        } else if u64::from(identity.gid) < least_group {
            Some(format!(
                "{group} is a group of the system, below SuexecMinGid {least_group}; name another, or lower SuexecMinGid"
            ))
        } else {
            None
        }
    }

    /// Scripts that do not start are refused one by one; the server starts.
    fn others(&self, sentence: &str) -> Unmet {
        (!self.is_root).then(|| (Severity::Warning, sentence.to_owned()))
    }
}
