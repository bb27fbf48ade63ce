//! The directives, one file a feature: the settings a feature has, and the table entries that fill them.

pub mod access_programs;
pub mod actions;
pub mod alias;
pub mod authn;
pub mod authorizer;
pub mod authz;
pub mod autoindex;
pub mod balancer;
pub mod cgi;
pub mod compat;
pub mod compress;
pub mod confine;
pub mod core;
pub mod digest;
pub mod dir;
pub mod env;
pub mod etag;
pub mod expires;
pub mod fastcgi;
pub mod fcgid;
pub mod file_cache;
pub mod filter;
pub mod foreign;
pub mod headers;
pub mod keep_alive;
pub mod language;
pub mod limit;
pub mod log;
pub mod mime;
pub mod modules;
pub mod negotiation;
pub mod old_fastcgi;
pub mod options;
pub mod overrides;
pub mod proxy;
pub mod proxy_http;
pub mod redirect;
pub mod remote_ip;
pub mod require;
pub mod rewrite;
pub mod rlimit;
pub mod sandbox;
pub mod scgi;
pub mod server;
pub mod service;
pub mod setenvif;
pub mod site;
pub mod sni;
pub mod speling;
pub mod ssi;
pub mod static_first;
pub mod status;
pub mod suexec;
pub mod tls;
pub mod tls_access;
pub mod tls_agreement;
pub mod tls_clients;
pub mod tls_pass_phrase;
pub mod tls_proxy;
pub mod tls_sessions;
pub mod tls_stapling;
pub mod userdir;
pub mod vhost_alias;

use crate::config::setting::{Laid, Setting, settings};
use crate::config::table::Directive;

settings! {
    /// The settings of a place, merged from all the sections that cover it.
    pub struct DirConf {
        /// Which sections have a part in it.
        laid: Laid,
        /// Options, documents, limits.
        core: core::Core,
        /// Scripts in the way of files.
        actions: actions::Actions,
        /// Users.
        authn: authn::Authn,
        /// Authorizers.
        authorizer: authorizer::PlaceAuthorizer,
        /// Who may see what the server tells of itself.
        reach: status::Reach,
        /// The alias of a section.
        aliases: alias::PlaceAliases,
        /// Access.
        authz: authz::Authz,
        /// Programs that say who may come in.
        access_programs: access_programs::AccessPrograms,
        /// Access as Apache 2.2 had it.
        compat: compat::Compat,
        /// Listings.
        autoindex: autoindex::Autoindex,
        /// Members of balancers.
        balancer: balancer::Balancers,
        /// Scripts.
        cgi: cgi::Cgi,
        /// Directories.
        dir: dir::Dir,
        /// Variables.
        env: env::Env,
        /// How long answers may be kept.
        expires: expires::Expires,
        /// FastCGI applications.
        fastcgi: fastcgi::FastCgi,
        /// FastCGI programs that are started on demand.
        fcgid: fcgid::Fcgid,
        /// Filters.
        filters: filter::Filters,
        /// Fields.
        headers: headers::Headers,
        /// Compressed bodies of requests.
        inflate: compress::Inflate,
        /// `.htaccess`.
        overrides: overrides::Overrides,
        /// Types.
        mime: mime::Mime,
        /// Variants.
        negotiation: negotiation::Negotiation,
        /// Processes of scripts.
        process: rlimit::ScriptProcess,
        /// Application servers.
        proxy: proxy::Proxy,
        /// Servers that speak HTTP.
        proxy_http: proxy_http::ProxyHttp,
        /// Redirects.
        redirects: redirect::Redirects,
        /// Rewriting.
        rewrite: rewrite::Rules,
        /// How scripts are confined.
        sandbox: sandbox::Sandbox,
        /// SCGI applications.
        scgi: scgi::Scgi,
        /// Conditional variables.
        set_env_if: setenvif::SetEnvIf,
        /// Misspelt names.
        spelling: Setting<speling::Spelling>,
        /// Pages that are parsed for includes.
        ssi: ssi::Ssi,
        /// Whom scripts run as.
        suexec: suexec::Suexec,
        /// What is made of TLS.
        tls_access: tls_access::TlsAccess,
        /// Servers that are asked over TLS.
        tls_proxy: tls_proxy::TlsProxy,
    }
}

settings! {
    /// The settings of a site.
    pub struct SiteSettings {
        /// Names, root, connections.
        core: site::Core,
        /// Aliases.
        aliases: alias::Aliases,
        /// Compression.
        compress: compress::Compress,
        /// Logs.
        logs: log::Logs,
        /// Members of balancers.
        balancer: balancer::Balancers,
        /// FastCGI programs that are started on demand.
        fcgid: fcgid::SiteFcgid,
        /// Variants.
        negotiation: negotiation::SiteNegotiation,
        /// Application servers.
        proxy: proxy::SiteProxy,
        /// The server behind this one.
        static_first: static_first::StaticFirst,
        /// Servers that speak HTTP.
        proxy_http: proxy_http::SiteProxyHttp,
        /// Rewriting.
        rewrite: rewrite::SiteRewrite,
        /// The client behind proxies.
        remote_ip: remote_ip::RemoteIp,
        /// Pages that are parsed for includes.
        ssi: ssi::SsiSite,
        /// Names in handshakes.
        sni: sni::SiteSni,
        /// TLS.
        tls: tls::SiteTls,
        /// What handshakes may come to.
        tls_agreement: tls_agreement::TlsAgreement,
        /// Clients' certificates.
        tls_clients: tls_clients::TlsClients,
        /// Sessions of TLS that are taken up again.
        tls_sessions: tls_sessions::TlsSessions,
        /// Answers of OCSP.
        tls_stapling: tls_stapling::TlsStapling,
        /// Users' own pages.
        user_dirs: userdir::UserDirs,
        /// Virtual hosts by directory.
        virtual_hosts: vhost_alias::VirtualHosts,
        /// The script log.
        script_log: cgi::ScriptLogs,
    }
}

settings! {
    /// The settings of the server as a whole.
    pub struct Server {
        /// Listeners, identity, names.
        core: server::Core,
        /// Limits on scripts.
        scripts: cgi::ScriptLimits,
        /// FastCGI programs that are started on demand.
        fcgid: fcgid::ServerFcgid,
        /// What mod_fastcgi has.
        old_fastcgi: old_fastcgi::OldFastCgi,
        /// Whom scripts may run as.
        suexec: suexec::SuexecRules,
        /// Who knows passwords.
        providers: authn::Providers,
        /// Authorizers.
        authorizers: authorizer::Authorizers,
        /// What is kept of requests to be shown.
        status: status::Status,
        /// What the worker may read.
        confine: confine::Confine,
        /// What is kept of files.
        file_cache: file_cache::FileCache,
        /// Names in handshakes.
        sni: sni::Sni,
        /// Who knows pass phrases.
        pass_phrases: tls_pass_phrase::PassPhrases,
    }
}

/// The directives, feature by feature; those of one are in alphabetical order. A static, because a constant of that size would be
/// there as often as it is read.
static BY_FEATURE: &[&[Directive]] = &[
    access_programs::DIRECTIVES,
    actions::DIRECTIVES,
    alias::DIRECTIVES,
    authn::DIRECTIVES,
    authorizer::DIRECTIVES,
    authz::DIRECTIVES,
    autoindex::DIRECTIVES,
    balancer::DIRECTIVES,
    cgi::DIRECTIVES,
    compat::DIRECTIVES,
    compress::DIRECTIVES,
    confine::DIRECTIVES,
    core::DIRECTIVES,
    digest::DIRECTIVES,
    dir::DIRECTIVES,
    env::DIRECTIVES,
    etag::DIRECTIVES,
    expires::DIRECTIVES,
    fastcgi::DIRECTIVES,
    fcgid::DIRECTIVES,
    file_cache::DIRECTIVES,
    filter::DIRECTIVES,
    headers::DIRECTIVES,
    keep_alive::DIRECTIVES,
    language::DIRECTIVES,
    log::DIRECTIVES,
    mime::DIRECTIVES,
    modules::DIRECTIVES,
    negotiation::DIRECTIVES,
    old_fastcgi::DIRECTIVES,
    options::DIRECTIVES,
    overrides::DIRECTIVES,
    proxy::DIRECTIVES,
    proxy_http::DIRECTIVES,
    redirect::DIRECTIVES,
    remote_ip::DIRECTIVES,
    rewrite::DIRECTIVES,
    rlimit::DIRECTIVES,
    sandbox::DIRECTIVES,
    scgi::DIRECTIVES,
    server::DIRECTIVES,
    service::DIRECTIVES,
    setenvif::DIRECTIVES,
    site::DIRECTIVES,
    sni::DIRECTIVES,
    site::SERVER_WIDE,
    speling::DIRECTIVES,
    ssi::DIRECTIVES,
    static_first::DIRECTIVES,
    status::DIRECTIVES,
    suexec::DIRECTIVES,
    tls::DIRECTIVES,
    tls_access::DIRECTIVES,
    tls_agreement::DIRECTIVES,
    tls_clients::DIRECTIVES,
    tls_pass_phrase::DIRECTIVES,
    tls_proxy::DIRECTIVES,
    tls_sessions::DIRECTIVES,
    tls_stapling::DIRECTIVES,
    userdir::DIRECTIVES,
    vhost_alias::DIRECTIVES,
];

/// Every directive of every feature.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    BY_FEATURE.iter().copied().flatten()
}

#[cfg(test)]
mod tests;
