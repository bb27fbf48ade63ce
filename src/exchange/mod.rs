//! The request in progress: what is known of it, its body, its outcome.
//!
//! An [`Exchange`] lives from a parsed head to the logged response. A redirect inside the server (a script's local
//! redirect, a directory's index, an error document) starts another pass over the phases with the same exchange.

pub mod allowed;
pub mod authorizers;
pub mod body;
pub mod charset;
pub mod client;
pub mod error_facts;
pub mod fail;
pub mod field_rules;
pub mod looks;
pub mod names;
pub mod negotiated;
pub mod page;
pub mod place;
mod repeated;
pub mod response;
pub mod rewriting;
pub mod state;
pub mod stream;
pub mod subrequest;
pub mod tag;
pub mod tally;
pub mod tls_variables;
pub mod told;
pub mod trace;
pub mod type_map;
pub mod variables;
pub mod view;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::config::directives::DirConf;
use crate::config::filters::Filter;
use crate::config::site::{Config, Site};
use crate::exchange::body::RequestBody;
use crate::exchange::client::Client;
use crate::exchange::fail::Fail;
use crate::exchange::rewriting::{Look, Rewriting};
use crate::exchange::trace::Trail;
use crate::http::fields::Fields;
use crate::http::head::RequestHead;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::CleanPath;
use crate::net::tls::Secured;

/// A request in progress.
pub struct Exchange {
    /// The settings of this process.
    pub config: &'static Config,
    /// The site that the request is for.
    pub site: &'static Site,
    /// The connection it came on.
    pub connection: Connection,
    /// Its head, as the client sent it.
    pub head: Box<RequestHead>,
    /// The host that the client asked for, lower case; empty where it named none.
    pub host: Vec<u8>,
    /// The port it named with the host.
    pub host_port: Option<u16>,
    /// Its body.
    pub body: RequestBody,
    /// When its first byte came.
    pub began: Began,
    /// The method of this pass: the client's own, or GET behind a redirect inside the server.
    pub method: Method,
    /// The target of this pass.
    pub target: PassTarget,
    /// Variables set by the phases so far, names and values.
    pub variables: Variables,
    /// The pass before this one, if the request was redirected inside the server.
    pub previous: Option<Box<Previous>>,
    /// A name for this request that no other has, for UNIQUE_ID and the logs.
    pub unique_id: [u8; 24],
    /// The file that the last pass landed on, for `%f`; empty before any.
    pub file: Vec<u8>,
    /// The handler of the last pass by its name, for `%R`; empty where none was asked for.
    pub handler: Vec<u8>,
    /// What rewriting left behind.
    pub rewriting: Rewriting,
    /// What is known of the client.
    pub client: Client,
    /// Who listens to what is decided.
    pub trail: Option<Rc<Trail>>,
    conf: Arc<DirConf>,
}

/// What is known of a place while its sections are still being merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landed {
    /// What follows the file in the URL.
    pub path_info: Vec<u8>,
    /// CONTEXT_PREFIX.
    pub context_prefix: Vec<u8>,
    /// CONTEXT_DOCUMENT_ROOT.
    pub context_root: Vec<u8>,
    /// DOCUMENT_ROOT, where it is another than the site's.
    pub document_root: Option<Vec<u8>>,
    /// The directory that was asked for in this pass, with its final slash; a file in it may stand for it.
    pub directory: Option<Vec<u8>>,
    /// Whether a program, or a page parsed for includes, was told of the request ([`Exchange::told`]).
    pub is_told: bool,
}

/// Variables in alphabetical order. A name is the same in any case, as in Apache's tables.
pub type Variables = crate::base::caseless::Table;

/// The connection a request came on.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The client's end: the same, unless proxies that are trusted say otherwise.
    pub client: SocketAddr,
    /// How many requests it carried before this one.
    pub earlier_requests: u32,
    /// When it was opened, in microseconds since 1970.
    pub opened: u64,
    /// What was agreed upon with the client, where the connection is within TLS.
    pub tls: Option<Rc<Secured>>,
}

/// When a request began, by the calendar and by the stopwatch.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    /// The time of day.
    pub wall: SystemTime,
    /// For durations.
    pub instant: Instant,
    /// From the head's arrival to the first byte of the response, once there is one.
    pub first_byte: Option<Duration>,
}

/// So long the time of day is told by the stopwatch: it saves a call for each request, and who sets the clock is followed soon
/// enough.
const BY_STOPWATCH: Duration = Duration::from_millis(10);

impl Began {
    /// A request begins.
    pub fn now() -> Began {
        thread_local! {
            static ASKED: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
        }
        let instant = Instant::now();
        let told = ASKED.get().and_then(|(asked, wall)| {
            let since = instant.saturating_duration_since(asked);
            (since < BY_STOPWATCH).then(|| wall + since)
        });
        let wall = told.unwrap_or_else(|| {
            let wall = SystemTime::now();
            ASKED.set(Some((instant, wall)));
            wall
        });
        Began {
            wall,
            instant,
            first_byte: None,
        }
    }
}

/// The target of one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassTarget {
    /// The path as it came, undecoded, starting with a slash; `*` for `OPTIONS *`.
    pub raw_path: Vec<u8>,
    /// The path decoded and cleaned; set by the target phase.
    pub path: CleanPath,
    /// What follows the question mark, undecoded.
    pub query: Option<Vec<u8>>,
    /// What the walk found of its place, for expressions that are asked before the place is made.
    pub landed: Landed,
    /// The filters that the file's name asks for.
    pub filters: Vec<Filter>,
}

/// A pass that ended in a redirect inside the server.
#[derive(Clone, Debug)]
pub struct Previous {
    /// Its decoded path.
    pub url: Vec<u8>,
    /// REDIRECT_URL: the same, or a full URL as QualifyRedirectURL says.
    pub redirect_url: Vec<u8>,
    /// Its query, for REDIRECT_QUERY_STRING.
    pub query: Option<Vec<u8>>,
    /// Its method, for REDIRECT_METHOD.
    pub method: Method,
    /// The status that led to the redirect: an error's, or 200.
    pub status: Status,
    /// What an error document may tell the client about the error, for REDIRECT_ERROR_NOTES.
    pub notes: Option<String>,
    /// Its variables, which gain REDIRECT_ in the next pass.
    pub variables: Variables,
    /// The file it landed on, for `%<f`.
    pub file: Vec<u8>,
    /// Its handler, for `%R`.
    pub handler: Vec<u8>,
    /// The user it had, for REDIRECT_REMOTE_USER.
    pub user: Option<Vec<u8>>,
    /// How that user was known.
    pub auth_type: Option<&'static str>,
    /// The settings it had.
    pub conf: Arc<DirConf>,
    /// The pass before it.
    pub before: Option<Box<Previous>>,
}

impl Previous {
    /// Whether it failed, and an error document comes behind it.
    pub fn leads_to_error_document(&self) -> bool {
        let is_error = |pass: &Previous| pass.status.is_error();
        is_error(self) && !self.before.as_deref().is_some_and(is_error)
    }
}

/// Where a redirect inside the server goes on.
#[derive(Clone, Debug)]
pub struct Again {
    /// A path of this site, undecoded, with its query.
    pub target: Vec<u8>,
    /// The status to tell the next pass.
    pub status: Status,
    /// What it may tell the client about the error.
    pub notes: Option<String>,
    /// What becomes of the method and the body.
    pub method: AgainMethod,
    /// What is said already of the answer that is still to come.
    pub fields: Fields,
}

impl Again {
    /// A script's local redirect. It should be all that the script says (RFC 3875 section 6.2.2); what else it does say is for
    /// the answer, as in Apache.
    pub fn local_redirect(target: Vec<u8>, fields: Fields) -> Again {
        Again {
            target,
            status: Status::OK,
            notes: None,
            method: AgainMethod::Get,
            fields,
        }
    }

    /// The same request for another path, undecoded, with this query.
    pub fn same(path: Vec<u8>, query: Option<&[u8]>) -> Again {
        let mut target = path;
        if let Some(query) = query {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        Again {
            target,
            status: Status::OK,
            notes: None,
            method: AgainMethod::Same,
            fields: Fields::new(),
        }
    }
}

/// The method behind a redirect inside the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgainMethod {
    /// GET, and no body (HEAD stays HEAD).
    Get,
    /// The same, with the body (DirectoryIndex).
    Same,
}

/// What an exchange was at some time, see [`Exchange::mark`].
pub struct Mark {
    target: PassTarget,
    variables: Variables,
    file: Vec<u8>,
    handler: Vec<u8>,
    rewriting: Rewriting,
    conf: Arc<DirConf>,
}

impl Mark {
    /// Whether it was a request.
    pub fn look(&self) -> Look {
        self.rewriting.look
    }
}

impl Exchange {
    /// Begins an exchange; `vhost` and `target` are the phases that complete it.
    pub fn new(
        config: &'static Config,
        connection: Connection,
        head: impl Into<Box<RequestHead>>,
        body: RequestBody,
        began: Began,
    ) -> Exchange {
        let head = head.into();
        let site = &config.sites[0];
        Exchange {
            config,
            site,
            connection,
            method: head.method(),
            head,
            host: Vec::new(),
            host_port: None,
            body,
            began,
            target: PassTarget {
                raw_path: Vec::new(),
                path: CleanPath::root(),
                query: None,
                landed: Landed::default(),
                filters: Vec::new(),
            },
            variables: Variables::default(),
            previous: None,
            unique_id: [b'-'; 24],
            file: Vec::new(),
            handler: Vec::new(),
            rewriting: Rewriting::default(),
            client: Client::default(),
            trail: None,
            conf: Arc::clone(&site.base),
        }
    }

    /// The merged settings in force: the site's until the walk has run, then the place's.
    pub fn conf(&self) -> &Arc<DirConf> {
        &self.conf
    }

    /// Sets the settings in force; for the vhost phase, the walk and [`Exchange::again`] alone.
    pub fn set_conf(&mut self, conf: Arc<DirConf>) {
        self.conf = conf;
    }

    /// How many redirects inside the server have led here.
    pub fn redirects(&self) -> u64 {
        let mut count = 0;
        let mut previous = &self.previous;
        while let Some(pass) = previous {
            count += 1;
            previous = &pass.before;
        }
        count
    }

    /// Prepares the next pass. Fails where there were too many.
    pub fn again(&mut self, next: Again) -> Result<(), Fail> {
        let bound = self.site.settings.core.limit_internal_recursion.or(10);
        if self.redirects() >= bound {
            return Err(Fail::internal(format!(
                "more than {bound} redirects inside the server; LimitInternalRecursion moves the bound"
            )));
        }
        // A fragment is for clients (RFC 3986 section 3.5).
        let target = next.target.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut parts = target.splitn(2, |byte| *byte == b'?').map(<[u8]>::to_vec);
        let (path, query) = (parts.next().unwrap_or_default(), parts.next());
        let method = self.method;
        if next.method == AgainMethod::Get && method != Method::Head {
            self.method = Method::Get;
        }
        if next.method == AgainMethod::Get {
            self.body = self.body.without_data();
        }
        let target = PassTarget {
            raw_path: path,
            path: CleanPath::root(),
            query,
            landed: Landed::default(),
            filters: Vec::new(),
        };
        self.rewriting.media_type = None;
        self.rewriting.handler = None;
        self.rewriting.overlaid.clear();
        for (name, value) in next.fields.iter() {
            self.rewriting.said.append(name, value);
        }
        let target = std::mem::replace(&mut self.target, target);
        let url = target.path.as_bytes().to_vec();
        let redirect_url = if self.conf.core.qualify_redirect_url.or(false) {
            self.full_url(&target)
        } else {
            url.clone()
        };
        self.previous = Some(Box::new(Previous {
            url,
            redirect_url,
            query: target.query,
            method,
            status: next.status,
            notes: next.notes,
            variables: std::mem::take(&mut self.variables),
            file: self.file.clone(),
            handler: std::mem::take(&mut self.handler),
            user: self.client.user.clone(),
            auth_type: self.client.auth_type,
            conf: std::mem::replace(&mut self.conf, Arc::clone(&self.site.base)),
            before: self.previous.take(),
        }));
        self.client.forget_user();
        Ok(())
    }

    /// A request like this one, only to see what it would come to.
    #[must_use]
    pub fn look_ahead(&self) -> Exchange {
        let mut look = Exchange::new(
            self.config,
            self.connection.clone(),
            self.head.clone(),
            self.body.without_data(),
            self.began,
        );
        look.site = self.site;
        look.host.clone_from(&self.host);
        look.host_port = self.host_port;
        look.method = Method::Get;
        look.unique_id = self.unique_id;
        look.client = self.client.look_ahead();
        look.variables.clone_from(&self.variables);
        look.conf = Arc::clone(&self.site.base);
        look.rewriting.look = Look::Ahead;
        look.rewriting.asked = Rc::clone(&self.rewriting.asked);
        look
    }

    /// What phases may change before a place is found, to begin again from.
    pub fn mark(&self) -> Mark {
        Mark {
            target: self.target.clone(),
            variables: self.variables.clone(),
            file: self.file.clone(),
            handler: self.handler.clone(),
            rewriting: self.rewriting.clone(),
            conf: Arc::clone(&self.conf),
        }
    }

    /// Begins again from a mark; what map programs have answered meanwhile stays known.
    pub fn back_to(&mut self, mark: Mark) {
        self.target = mark.target;
        self.variables = mark.variables;
        self.file = mark.file;
        self.handler = mark.handler;
        self.rewriting = mark.rewriting;
        self.conf = mark.conf;
    }

    /// The status that an error document keeps: the first error's on the way here.
    pub fn error_status(&self) -> Option<Status> {
        let mut status = None;
        let mut previous = &self.previous;
        while let Some(pass) = previous {
            if pass.status != Status::OK {
                status = Some(pass.status);
            }
            previous = &pass.before;
        }
        status
    }
}
