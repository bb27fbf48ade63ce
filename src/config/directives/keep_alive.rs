//! How long connections are kept for more requests, and for how many: Apache's `core`, per virtual host.

use crate::config::directives::SiteSettings;
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said};

/// `MaxKeepAliveRequests`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptRequests {
    /// A number below 0: none is kept. In a virtual host it stands for what the main server says.
    #[default]
    None,
    /// So many replies keep their connection.
    Most(u64),
    /// All of them do.
    Unbounded,
}

impl KeptRequests {
    /// Apache's default.
    pub const USUAL: KeptRequests = KeptRequests::Most(100);

    /// How many are left behind so many; no number where there is no bound.
    pub fn left_behind(self, requests: u32) -> Option<u64> {
        match self {
            KeptRequests::None => Some(0),
            KeptRequests::Most(most) => Some(most.saturating_sub(u64::from(requests))),
            KeptRequests::Unbounded => None,
        }
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "KeepAlive",
        module: "core",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SITES,
        overrides: Override::None,
        default: "On",
        summary: "Let a connection carry more than one request.",
        manual: "",
        set: Set::Site(|site, args| {
            site.core.keep_alive.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "KeepAliveTimeout",
        module: "core",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "5",
        summary: "Say how long an idle connection is kept for its next request.",
        manual: "Seconds, or a number with ms, s, min or h. 0 keeps none, as KeepAlive Off does; in a virtual host it is what the main server says.",
        set: Set::Site(|site, args| {
            site.core.keep_alive_timeout.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "MaxKeepAliveRequests",
        module: "core",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "100",
        summary: "Bound the requests of one connection.",
        manual: "0 is no bound. A number below 0 keeps no connection; in a virtual host it is what the main server says.",
        set: Set::Site(set_most),
    },
];

fn set_most(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let is_below = args
        .text(0)?
        .strip_prefix('-')
        .is_some_and(|digits| digits.parse().is_ok_and(|number: u32| number > 0));
    if is_below {
        args.remark(
            "a number below 0 keeps no connection, as in Apache (in a virtual host, it is what the main server says); \
             write `0` for no bound",
        );
    }
    let most = if is_below {
        KeptRequests::None
    } else {
        match args.number(0, 0..=u64::from(u32::MAX))? {
            0 => KeptRequests::Unbounded,
            most => KeptRequests::Most(most),
        }
    };
    site.core.max_keep_alive_requests.set(most);
    Ok(())
}
