//! Names of Apache 1.3, 2.0 and 2.2 that 2.4 has no more.

use crate::config::directives::foreign::Answer::{By, Ignored, Refused};
use crate::config::directives::foreign::depends::{second_file, server_type};
use crate::config::directives::foreign::{DH, Foreign, S, SV, SVD, SVDH, foreign};

const AUTH: &str = "not supported by this version; users are known by AuthType Basic or Digest with AuthUserFile: use that, or keep the place behind a server that asks";
const AUTHORITY: &str = "it has no effect: whether modules pass a decision on is not asked here";
const BUILT_IN: &str = "what lychgate has is built in";
const BOUND: &str =
    "requests wait for no free worker; MaxConnections bounds connections, CGIMaxScripts scripts that run at once";
const MPM: &str = "lychgate sizes its processes and threads itself";
const DIGEST: &str = "Apache has never done it, and has it no more; nonces have one form";
const NOCACHE: &str =
    "there is no cache to be told: files are read anew, and the system keeps in memory what is read often";
const NOSSL: &str = "it has no effect: Apache 2.4 knows it no more";
const NO_LOCK: &str = "nothing is shared that needs a lock";
const NO_TLS: &str = "it has no effect without TLSEngine, which is refused";
const RENEWED: &str = "the serving process is not renewed by a count; a reload renews it";
const REWRITE_LOG: &str = "it left Apache with 2.4, where LogLevel does it";
const THREADS: &str = "ServerThreads says how many threads serve; without it, one for each processor";
const TLS: &str = "not supported by this version; TLS is not spoken: keep the server that speaks it in front";
const WINDOWS: &str = "it concerns other systems than Linux";

foreign! {
    "AcceptMutex" "mpm" S None "method|file" => Ignored(NO_LOCK);
    "AccessConfig" "core" S None "file" => By(second_file);
    "AddModule" "mod_so" S None "module ..." => Ignored(BUILT_IN);
    "AgentLog" "mod_log_agent" SV None "file" =>
        Refused("it left Apache with 2.0; write `CustomLog FILE \"%{User-Agent}i\"`");
    "Anonymous_Authoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthDBAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthDBGroupFile" "mod_auth_db" DH AuthConfig "file" => Refused(AUTH);
    "AuthDBMAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthDBUserFile" "mod_auth_db" DH AuthConfig "file" => Refused(AUTH);
    "AuthDefaultAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthDigestFile" "mod_auth_digest" DH AuthConfig "file" => Ignored(DIGEST);
    "AuthDigestGroupFile" "mod_auth_digest" DH AuthConfig "file" => Ignored(DIGEST);
    "AuthDigestNonceFormat" "mod_auth_digest" SVDH AuthConfig "" => Ignored(DIGEST);
    "AuthLDAPAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthLDAPEnabled" "mod_authnz_ldap" DH AuthConfig "on|off" => Refused(AUTH);
    "AuthLDAPFrontPageHack" "mod_authnz_ldap" DH AuthConfig "on|off" => Refused(AUTH);
    "AuthLDAPRequire" "mod_authnz_ldap" DH AuthConfig "on|off" => Refused(AUTH);
    "AuthUserFileAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzDBDAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzDBMAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzDefaultAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzGroupFileAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzLDAPAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzOwnerAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "AuthzUserAuthoritative" "mod_auth" DH AuthConfig "on|off" => Ignored(AUTHORITY);
    "BindAddress" "core" S None "*|address" => Refused("it left Apache with 2.0; write `Listen ADDRESS:PORT`");
    "BS2000Account" "mpm" S None "" => Ignored(WINDOWS);
    "CacheExpiryCheck" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheForceCompletion" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheGcClean" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheGcDaily" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheGcInterval" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheGcMemUsage" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheGcUnused" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheMaxStreamingBuffer" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheSize" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CacheTimeMargin" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "CGICommandArgs" "mod_cgi" SVD None "on|off" =>
        Refused("it left Apache with 2.0; scripts get arguments as RFC 3875 says");
    "ChildPerUserID" "mpm" S None "number" => Ignored(MPM);
    "ClearModuleList" "mod_so" S None "" => Ignored(BUILT_IN);
    "CookieLog" "mod_log_config" SV None "file" =>
        Refused("it left Apache with 2.4; write `CustomLog FILE \"%{Cookie}n %r %t\"`");
    "FancyIndexing" "mod_autoindex" SVDH Any "on|off" =>
        Ignored("it left Apache with 2.4; write `IndexOptions FancyIndexing`");
    "LockFile" "mpm" S None "method|file" => Ignored(NO_LOCK);
    "MaxClients" "mpm" S None "number" => Ignored(BOUND);
    "MaxRequestsPerChild" "mpm" S None "number" => Ignored(RENEWED);
    "MaxRequestsPerThread" "mpm" S None "number" => Ignored(RENEWED);
    "MaxThreadsPerChild" "mpm" S None "number" => Ignored(THREADS);
    "MCacheMaxObjectCount" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "MCacheMaxObjectSize" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "MCacheMaxStreamingBuffer" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "MCacheMinObjectSize" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "MCacheRemovalAlgorithm" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "MCacheSize" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "NoCache" "mod_mem_cache" S None "value" => Ignored(NOCACHE);
    "NumServers" "mpm" S None "number" => Ignored(MPM);
    "Port" "core" S None "port" =>
        Refused("it left Apache with 2.0; write `Listen PORT`, and the port in ServerName if it differs");
    "RefererIgnore" "mod_log_referer" SV None "string ..." =>
        Ignored("it has no effect without RefererLog, which is refused");
    "RefererLog" "mod_log_referer" SV None "file" =>
        Refused("it left Apache with 2.0; write `CustomLog FILE \"%{Referer}i -> %U\"`");
    "ResourceConfig" "core" S None "file" => By(second_file);
    "RewriteLock" "mpm" S None "method|file" => Ignored(NO_LOCK);
    "RewriteLog" "mod_rewrite" SV None "file|level" => Ignored(REWRITE_LOG);
    "RewriteLogLevel" "mod_rewrite" SV None "file|level" => Ignored(REWRITE_LOG);
    "ServerType" "core" S None "standalone|inetd" => By(server_type);
    "ShmemUIDisUser" "mpm" S None "" => Ignored(WINDOWS);
    "SSLBanCipher" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLCacheServerPath" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLCacheServerPort" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLDisable" "mod_ssl" SV None "" => Ignored("nothing is served over TLS");
    "SSLEnable" "mod_ssl" SV None "" => Refused(TLS);
    "SSLExportClientCertificates" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLFakeBasicAuth" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLKeyNotePolicy" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLLog" "mod_ssl" SVDH Any "value" => Ignored(NOSSL);
    "SSLLogLevel" "mod_ssl" SVDH Any "value" => Ignored(NOSSL);
    "SSLMutex" "mpm" S None "method|file" => Ignored(NO_LOCK);
    "SSLRequireCipher" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "SSLRequiredCiphers" "mod_ssl" SV None "value" => Ignored(NOSSL);
    "TLSCertificate" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSCiphersPrefer" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSCiphersSuppress" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSEngine" "mod_tls" SV None "address:port" => Refused(TLS);
    "TLSHonorClientOrder" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSOptions" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProtocol" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProxyCA" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProxyCiphersPrefer" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProxyCiphersSuppress" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProxyEngine" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProxyMachineCertificate" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSProxyProtocol" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSSessionCache" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "TLSStrictSNI" "mod_tls" SV None "value" => Ignored(NO_TLS);
    "Win32DisableAcceptEx" "mpm" S None "" => Ignored(WINDOWS);
}
