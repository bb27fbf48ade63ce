//! Who may, as Apache 2.2 had it: `Order`, `Allow`, `Deny`, `Satisfy` (mod_access_compat), and `AllowMethods`.

use std::fmt;

use crate::config::directives::limit::Methods;
use crate::config::directives::{DirConf, require, status};
use crate::config::setting::{Setting, settings};
use crate::config::table::{Contexts, DIRECTORY, Directive, HTACCESS, Override, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::http::method::Method;
use crate::lang::expr::Subnet;

settings! {
    /// Access as Apache 2.2 had it.
    pub struct Compat {
        /// Everything that one section says; it replaces all that was said around it, as in Apache.
        lists: Setting<Lists>,
        /// `AllowMethods`; none listed lets all pass.
        methods: Setting<Vec<Method>>,
    }
}

/// What one section says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    orders: Vec<(Option<Methods>, Order)>,
    satisfy: Vec<(Option<Methods>, Satisfy)>,
    allowed: Vec<(Option<Methods>, From)>,
    denied: Vec<(Option<Methods>, From)>,
}

/// Which of the lists has the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `deny,allow`: whoever is on no list may.
    DenyAllow,
    /// `allow,deny`: whoever is on no list may not.
    AllowDeny,
    /// `mutual-failure`: only who is allowed and not denied may.
    MutualFailure,
}

/// Whether being on the lists and being a known user are both needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Satisfy {
    /// Both.
    All,
    /// Either.
    Any,
}

/// Who is on a list.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// Everybody.
    All,
    /// Requests with this variable.
    Env(Vec<u8>),
    /// Requests without it.
    NotEnv(Vec<u8>),
    /// Clients in this network.
    Network(Subnet),
    /// Clients with this name, or one that ends so.
    Name(Vec<u8>),
}

/// As the words of a directive say it.
impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::All => f.write_str("all"),
            From::Env(name) => write!(f, "env={}", String::from_utf8_lossy(name)),
            From::NotEnv(name) => write!(f, "env=!{}", String::from_utf8_lossy(name)),
            From::Network(network) => write!(f, "{network}"),
            From::Name(name) => f.write_str(&String::from_utf8_lossy(name)),
        }
    }
}

impl Lists {
    /// Which list has the last word on a method.
    pub fn order(&self, method: Method) -> Order {
        last(&self.orders, method).unwrap_or(Order::DenyAllow)
    }

    /// Whether one of the two is enough for a method.
    pub fn satisfy(&self, method: Method) -> Satisfy {
        last(&self.satisfy, method).unwrap_or(Satisfy::All)
    }

    /// Who is allowed to use a method.
    pub fn allowed(&self, method: Method) -> impl Iterator<Item = &From> {
        about(&self.allowed, method)
    }

    /// Who is not.
    pub fn denied(&self, method: Method) -> impl Iterator<Item = &From> {
        about(&self.denied, method)
    }
}

fn about<T>(list: &[(Option<Methods>, T)], method: Method) -> impl Iterator<Item = &T> {
    let covers = move |methods: &Option<Methods>| methods.as_ref().is_none_or(|methods| methods.cover(method));
    list.iter()
        .filter(move |(methods, _)| covers(methods))
        .map(|(_, item)| item)
}

fn last<T: Copy>(list: &[(Option<Methods>, T)], method: Method) -> Option<T> {
    about(list, method).last().copied()
}

fn change(conf: &mut DirConf, change: impl FnOnce(&mut Lists)) {
    let mut lists = conf.compat.lists.value().cloned().unwrap_or_default();
    change(&mut lists);
    conf.compat.lists.set(lists);
    status::note_access(conf);
}

fn from(args: &Args) -> Said<Vec<(Option<Methods>, From)>> {
    if !args.bytes(0).eq_ignore_ascii_case(b"from") {
        return Err(format!(
            "{} is not `from`; write `from all` or the like",
            shown(args.bytes(0))
        ));
    }
    let one = |word: &Vec<u8>| Ok((args.methods.cloned(), who(word)?));
    args.rest(1).iter().map(one).collect()
}

fn who(word: &[u8]) -> Said<From> {
    let begins = |with: &[u8]| {
        word.get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with))
    };
    if begins(b"env=!") {
        return Ok(From::NotEnv(word[5..].to_vec()));
    }
    if begins(b"env=") {
        return Ok(From::Env(word[4..].to_vec()));
    }
    if word.eq_ignore_ascii_case(b"all") {
        return Ok(From::All);
    }
    let network = std::str::from_utf8(word).ok().and_then(Subnet::parse);
    let is_numeric = word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    match network {
        Some(network) => Ok(From::Network(network)),
        None if word.contains(&b'/') || is_numeric => require::subnet(word).map(From::Network),
        None if word.contains(&b'#') => Err("a comment needs a line of its own".into()),
        None => Ok(From::Name(word.to_vec())),
    }
}

const IN_PLACES: Contexts = DIRECTORY.or(HTACCESS);
const FROM: &str = "from all|address|network|name|env=[!]variable ...";

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Allow",
        module: "mod_access_compat",
        syntax: FROM,
        words: Words::AtLeast(2),
        allowed: IN_PLACES,
        overrides: Override::Limit,
        default: "",
        summary: "Name clients that may see a place.",
        manual: "Order says what this means. A name is that of a host or the end of one, where the client's name must lead back \
to its address; a network is written as 192.0.2, 192.0.2.0/24, 192.0.2.0/255.255.255.0 or 2001:db8::/32. What one section says \
with Order, Allow, Deny and Satisfy replaces all that the sections around it say with them.",
        set: Set::Dir(|conf, args| {
            let from = from(args)?;
            change(conf, |lists| lists.allowed.extend(from));
            Ok(())
        }),
    },
    Directive {
        name: "AllowMethods",
        module: "mod_allowmethods",
        syntax: "reset|method ...",
        words: Words::AtLeast(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "reset",
        summary: "Answer 405 to other methods than these.",
        manual: "GET means HEAD too. With reset all methods pass again.",
        set: Set::Dir(|conf, args| {
            let mut methods = Vec::new();
            for word in args.words {
                match Method::from_bytes(word) {
                    _ if word.eq_ignore_ascii_case(b"reset") => methods.clear(),
                    Method::Other => return Err(format!("{} is not a method that is known here", shown(word))),
                    Method::Head => methods.push(Method::Get),
                    method => methods.push(method),
                }
            }
            conf.compat.methods.set(methods);
            Ok(())
        }),
    },
    Directive {
        name: "Deny",
        module: "mod_access_compat",
        syntax: FROM,
        words: Words::AtLeast(2),
        allowed: IN_PLACES,
        overrides: Override::Limit,
        default: "",
        summary: "Name clients that may not see a place.",
        manual: "See Allow.",
        set: Set::Dir(|conf, args| {
            let from = from(args)?;
            change(conf, |lists| lists.denied.extend(from));
            Ok(())
        }),
    },
    Directive {
        name: "Order",
        module: "mod_access_compat",
        syntax: "deny,allow|allow,deny|mutual-failure",
        words: Words::exactly(1),
        allowed: IN_PLACES,
        overrides: Override::Limit,
        default: "deny,allow",
        summary: "Say whether Allow or Deny has the last word.",
        manual: "The second word decides about clients that are on both lists or on none; mutual-failure lets in who is allowed \
and not denied. There is no space at the comma.",
        set: Set::Dir(|conf, args| {
            let choices = [
                ("deny,allow", Order::DenyAllow),
                ("allow,deny", Order::AllowDeny),
                ("mutual-failure", Order::MutualFailure),
            ];
            let order = args.choice(0, &choices)?;
            change(conf, |lists| lists.orders.push((args.methods.cloned(), order)));
            Ok(())
        }),
    },
    Directive {
        name: "Satisfy",
        module: "mod_access_compat",
        syntax: "All|Any",
        words: Words::exactly(1),
        allowed: IN_PLACES,
        overrides: Override::AuthConfig,
        default: "All",
        summary: "Say whether Allow and Deny, or Require, is enough.",
        manual: "With Any a client that Allow and Deny let in needs no password.",
        set: Set::Dir(|conf, args| {
            let satisfy = args.choice(0, &[("all", Satisfy::All), ("any", Satisfy::Any)])?;
            change(conf, |lists| lists.satisfy.push((args.methods.cloned(), satisfy)));
            Ok(())
        }),
    },
];
