//! `StaticFirst`: lychgate before another server, which is asked for all that is not surely a plain file.

use std::time::Duration;

use crate::config::backends::Target;
use crate::config::directives::proxy::{From, Pass, PathForm, To, terms};
use crate::config::setting::{Appended, Setting, settings};
use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::shown;

settings! {
    /// The other server of a site.
    pub struct StaticFirst {
        /// `StaticFirst`: it, and on which terms.
        to: Setting<Option<Pass>>,
        /// `StaticFirstExcept`, in lower case.
        except: Appended<Vec<u8>>,
    }
}

impl StaticFirst {
    /// The other server's URL, as far as it is the same for all paths.
    fn base(&self) -> Option<&[u8]> {
        let pass = self.to.value()?.as_ref()?;
        pass.to.url().map(|url| url.strip_suffix(b"/").unwrap_or(url))
    }

    /// Whether there is a server behind.
    pub fn is_on(&self) -> bool {
        self.base().is_some()
    }

    /// Whether this is the server behind.
    pub fn is_server(&self, target: &Target) -> bool {
        let server = self.base().and_then(|url| Target::parse(url).ok());
        server.is_some_and(|server| server.address == target.address && server.scheme == target.scheme)
    }

    /// Its URL for a path that begins with a slash.
    pub fn url(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.base().map(|base| [base, path].concat())
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "StaticFirst",
        module: "lychgate",
        syntax: "url|off [key=value ...]",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "off",
        summary: "Serve plain files and give everything else to another server, unchanged.",
        manual: "It is one line before a server that stays as it is: DocumentRoot and Alias here as there, TypesConfig too, and\n\n\
    StaticFirst http://127.0.0.1:8080\n\nA request is answered here if it is surely one for a plain file: GET or HEAD without body, query, \
Authorization, Expect, Upgrade, TE, If-Match or If-Unmodified-Since; a path that names one thing however it is read; below the document root or an Alias a regular file that \
all may read and nobody may execute, with no symbolic link and no .htaccess on the way; a name that says its type, and no language, \
coding or handler; and none of the words that make one think of a program or of what is hidden: `/.`, `~`, cgi-bin, .php, .cgi and their \
like, and those of StaticFirstExcept. All others go to the other server as they came, with their path, their query and their Host, and its answers come back \
as they are. ProxyPass explains the parameters.\n\nWhat the other server does with such files by its own settings (who may see them, \
which fields they get, compression) is unknown here: say the same here, or except them. X-Forwarded-For, -Host and -Server tell it \
who asks; what the client itself says there, or in Forwarded, is dropped (RemoteIPHeader says what is known of clients behind a proxy). \
While the other server is away, requests for it get 503 and files are served all the same.",
        set: Set::Site(|site, args| {
            let url = args.bytes(0);
            if url.eq_ignore_ascii_case(b"off") {
                site.static_first.to.set(None);
                return Ok(());
            }
            if !Target::parse(url)?.scheme.is_http() {
                return Err(format!(
                    "{} is no server that speaks HTTP; write `http://host:port`",
                    shown(url)
                ));
            }
            let mut terms = terms(args.rest(1))?;
            // It is asked again as soon as it is there again.
            terms.retry = terms.retry.or(Some(Duration::ZERO));
            site.static_first.to.set(Some(Pass {
                from: From::Prefix(b"/".to_vec()),
                to: To::Url(url.to_vec()),
                path: PathForm::AsSent,
                terms,
                sharing: None,
                span: args.span.clone(),
            }));
            Ok(())
        }),
    },
    Directive {
        name: "StaticFirstExcept",
        module: "lychgate",
        syntax: "text ...",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Name what makes a path one for the other server, wherever it stands in it.",
        manual: "Letters are the same in either case. A line adds to those before it.",
        set: Set::Site(|site, args| {
            for word in args.words {
                site.static_first.except.push(word.to_ascii_lowercase());
            }
            Ok(())
        }),
    },
];
