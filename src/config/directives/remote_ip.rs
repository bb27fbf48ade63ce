//! The client behind proxies: `mod_remoteip`.

use crate::config::directives::{SiteSettings, require};
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::http::fields::is_field_name;
use crate::lang::expr::Subnet;

settings! {
    /// Whose word counts for where a request comes from.
    pub struct RemoteIp {
        /// `RemoteIPHeader`.
        field: Setting<Vec<u8>>,
        /// `RemoteIPProxiesHeader`.
        proxies_field: Setting<Vec<u8>>,
        /// Proxies, in the order of their lines; none named trusts all. A virtual host's replace the server's.
        proxies: Setting<Vec<Proxies>>,
        /// `RemoteIPProxyProtocol`.
        protocol: Setting<bool>,
        /// `RemoteIPProxyProtocolExceptions`.
        exceptions: Setting<Vec<Subnet>>,
    }
}

impl RemoteIp {
    /// Whether connections begin with a header of the PROXY protocol.
    pub fn expects_header(&self) -> bool {
        self.protocol.or(false)
    }
}

/// Proxies that are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub network: Subnet,
    /// What they are believed.
    pub trust: Trust,
}

/// What a proxy is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any address; it stays out of lists itself.
    Internal,
    /// Addresses of the public internet.
    External,
}

/// The directives whose words are names, or that name files of words: by the time a setter sees them, both have become
/// addresses (`config::proxies`).
pub const LISTS: &[(&str, &str)] = &[
    ("RemoteIPInternalProxyList", "RemoteIPInternalProxy"),
    ("RemoteIPTrustedProxyList", "RemoteIPTrustedProxy"),
];

fn proxies(site: &mut SiteSettings, args: &Args, trust: Trust) -> Said<()> {
    let mut proxies = site.remote_ip.proxies.value().cloned().unwrap_or_default();
    for word in args.rest(0) {
        let network = require::subnet(word)?;
        proxies.push(Proxies { network, trust });
    }
    site.remote_ip.proxies.set(proxies);
    Ok(())
}

fn field(args: &Args) -> Said<Vec<u8>> {
    let name = args.bytes(0);
    if is_field_name(name) {
        Ok(name.to_vec())
    } else {
        Err(format!("{} is not the name of a field", shown(name)))
    }
}

/// What becomes of a list: nothing is left to set when its words have become directives.
const LIST: Set = Set::Language;

/// The table.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "RemoteIPHeader",
        module: "mod_remoteip",
        syntax: "field",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Say in which field proxies tell the address of the client.",
        manual: "The field's addresses are taken from its end, as long as who named the next one is believed: \
RemoteIPInternalProxy, RemoteIPTrustedProxy. Without either everybody is, so that any client may call itself what it \
likes. The address found counts for Require, Allow and Deny, in variables and expressions, for scripts, and as %a and %h in logs; \
%{c}a is the connection's own. What is left of the field stays in the request. Words that are not addresses end the search; \
names are not looked up.",
        set: Set::Site(|site, args| {
            site.remote_ip.field.set(field(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "RemoteIPInternalProxy",
        module: "mod_remoteip",
        syntax: "address|network|name ...",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Believe these proxies whatever address they tell, private ones too.",
        manual: "Names are looked up once, when the configuration is read.",
        set: Set::Site(|site, args| proxies(site, args, Trust::Internal)),
    },
    Directive {
        name: "RemoteIPInternalProxyList",
        module: "mod_remoteip",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Read the words of RemoteIPInternalProxy from a file.",
        manual: "Words are parted by white space; # begins a comment. The file is read when the configuration is.",
        set: LIST,
    },
    Directive {
        name: "RemoteIPProxiesHeader",
        module: "mod_remoteip",
        syntax: "field",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Name a field of the request that lists the trusted proxies it came through.",
        manual: "Internal proxies are left out. The list is the note remoteip-proxy-ip-list as well.",
        set: Set::Site(|site, args| {
            site.remote_ip.proxies_field.set(field(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "RemoteIPProxyProtocol",
        module: "mod_remoteip",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SITES,
        overrides: Override::None,
        default: "Off",
        summary: "Expect a header of the PROXY protocol, version 1 or 2, before the first request of a connection.",
        manual: "A connection that does not begin with one is closed, and the error log says so. It holds for all virtual hosts of \
an address if one of them says On, since nobody knows yet which of them is meant.",
        set: Set::Site(|site, args| {
            site.remote_ip.protocol.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "RemoteIPProxyProtocolExceptions",
        module: "mod_remoteip",
        syntax: "address|network ...",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Let these connect without a header of the PROXY protocol.",
        manual: "What such a client sends is taken for its request, whatever it is.",
        set: Set::Site(|site, args| {
            let mut exceptions = site.remote_ip.exceptions.value().cloned().unwrap_or_default();
            for word in args.rest(0) {
                exceptions.push(require::subnet(word)?);
            }
            site.remote_ip.exceptions.set(exceptions);
            Ok(())
        }),
    },
    Directive {
        name: "RemoteIPTrustedProxy",
        module: "mod_remoteip",
        syntax: "address|network|name ...",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Believe these proxies, unless the address they tell is a private one.",
        manual: "An address that is not of the public internet ends the search: the proxy is the client, and the address stays in the field. \
Names are looked up once, when the configuration is read.",
        set: Set::Site(|site, args| proxies(site, args, Trust::External)),
    },
    Directive {
        name: "RemoteIPTrustedProxyList",
        module: "mod_remoteip",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Read the words of RemoteIPTrustedProxy from a file.",
        manual: "Words are parted by white space; # begins a comment. The file is read when the configuration is.",
        set: LIST,
    },
];
