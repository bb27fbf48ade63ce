//! Programs and other servers: proxying, rewriting, embedded languages, databases.

use crate::config::directives::foreign::Answer::{By, Ignored, Refused};
use crate::config::directives::foreign::depends::{off_only, off_only_forward, rewrite_engine};
use crate::config::directives::foreign::{D, DH, Foreign, S, SV, SVD, SVDH, foreign};

const ACTION: &str = "not supported by this version; let the program itself be the script, through ScriptAlias or `AddHandler cgi-script`";
const HEARTBEAT: &str = "no heartbeat is received";
const LUA: &str = "not supported by this version; Lua does not run inside the server: run the program as a CGI script";
const NOPROXY: &str = "it has no effect: nothing is proxied by this version";
const NOSQL: &str = "it has no effect: nothing uses a database connection";
const NO_LUA: &str = "Lua is refused";
const NO_REWRITING: &str = "it has no effect without `RewriteEngine on`, which is refused";
const NO_SHARED: &str = "no shared cache is used";
const PROXY: &str = "not supported by this version; nothing is proxied: keep the server that does it in front";
const WINDOWS: &str = "it concerns other systems than Linux";

foreign! {
    "Action" "mod_actions" SVDH FileInfo "action-type cgi-script [virtual]" => Refused(ACTION);
    "AllowCONNECT" "mod_proxy_connect" SV None "port[-port] [port[-port]] ..." => Ignored(NOPROXY);
    "BalancerGrowth" "mod_proxy" SV None "#" => Ignored(NOPROXY);
    "BalancerInherit" "mod_proxy" SV None "On|Off" => Ignored(NOPROXY);
    "BalancerMember" "mod_proxy" D None "[balancerurl] url [key=value [key=value ...]]" => Refused(PROXY);
    "BalancerPersist" "mod_proxy" SV None "On|Off" => Ignored(NOPROXY);
    "CGIDScriptTimeout" "mod_cgid" SVDH None "time[s|ms]" => Refused("it is called CGIScriptTimeout here");
    "DBDExptime" "mod_dbd" SV None "time-in-seconds" => Ignored(NOSQL);
    "DBDInitSQL" "mod_dbd" SV None "\"SQL statement\"" => Ignored(NOSQL);
    "DBDKeep" "mod_dbd" SV None "number" => Ignored(NOSQL);
    "DBDMax" "mod_dbd" SV None "number" => Ignored(NOSQL);
    "DBDMin" "mod_dbd" SV None "number" => Ignored(NOSQL);
    "DBDParams" "mod_dbd" SV None "param1=value1[,param2=value2]" => Ignored(NOSQL);
    "DBDPersist" "mod_dbd" SV None "On|Off" => Ignored(NOSQL);
    "DBDPrepareSQL" "mod_dbd" SV None "\"SQL statement\" label" => Ignored(NOSQL);
    "DBDriver" "mod_dbd" SV None "name" => Ignored(NOSQL);
    "HeartbeatAddress" "mod_heartbeat" S None "addr:port" => Ignored("no heartbeat is sent");
    "HeartbeatListen" "mod_heartmonitor" S None "addr:port" => Ignored(HEARTBEAT);
    "HeartbeatMaxServers" "mod_heartmonitor" S None "number-of-servers" => Ignored(HEARTBEAT);
    "HeartbeatStorage" "mod_heartmonitor" S None "file-path" => Ignored(HEARTBEAT);
    "ISAPIAppendLogToErrors" "mod_isapi" SVDH FileInfo "on|off" => Ignored(WINDOWS);
    "ISAPIAppendLogToQuery" "mod_isapi" SVDH FileInfo "on|off" => Ignored(WINDOWS);
    "ISAPICacheFile" "mod_isapi" SV None "file-path [file-path] ..." => Ignored(WINDOWS);
    "ISAPIFakeAsync" "mod_isapi" SVDH FileInfo "on|off" => Ignored(WINDOWS);
    "ISAPILogNotSupported" "mod_isapi" SVDH FileInfo "on|off" => Ignored(WINDOWS);
    "ISAPIReadAheadBuffer" "mod_isapi" SVDH FileInfo "size" => Ignored(WINDOWS);
    "LuaAuthzProvider" "mod_lua" S None "provider_name /path/to/lua/script.lua function_name" => Refused(LUA);
    "LuaCodeCache" "mod_lua" SVDH Any "stat|forever|never" => Ignored(NO_LUA);
    "LuaHookAccessChecker" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name [early|late]" =>
        Refused(LUA);
    "LuaHookAuthChecker" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name [early|late]" => Refused(LUA);
    "LuaHookCheckUserID" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name [early|late]" => Refused(LUA);
    "LuaHookFixups" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name" => Refused(LUA);
    "LuaHookInsertFilter" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name" => Refused(LUA);
    "LuaHookLog" "mod_lua" SVDH Any "/path/to/lua/script.lua log_function_name" => Refused(LUA);
    "LuaHookMapToStorage" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name" => Refused(LUA);
    "LuaHookPreTranslate" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name" => Refused(LUA);
    "LuaHookTranslateName" "mod_lua" SV None "/path/to/lua/script.lua hook_function_name [early|late]" =>
        Refused(LUA);
    "LuaHookTypeChecker" "mod_lua" SVDH Any "/path/to/lua/script.lua hook_function_name" => Refused(LUA);
    "LuaInherit" "mod_lua" SVDH Any "none|parent-first|parent-last" => Ignored(NO_LUA);
    "LuaInputFilter" "mod_lua" S None "filter_name /path/to/lua/script.lua function_name" => Refused(LUA);
    "LuaMapHandler" "mod_lua" SVDH Any "uri-pattern /path/to/lua/script.lua [function-name]" => Refused(LUA);
    "LuaOutputFilter" "mod_lua" S None "filter_name /path/to/lua/script.lua function_name" => Refused(LUA);
    "LuaPackageCPath" "mod_lua" SVDH Any "/path/to/include/?.soa" => Ignored(NO_LUA);
    "LuaPackagePath" "mod_lua" SVDH Any "/path/to/include/?.lua" => Ignored(NO_LUA);
    "LuaQuickHandler" "mod_lua" SV None "/path/to/script.lua hook_function_name" => Refused(LUA);
    "LuaRoot" "mod_lua" SVDH Any "/path/to/a/directory" => Ignored(NO_LUA);
    "LuaScope" "mod_lua" SVDH Any "once|request|conn|thread|server [min] [max]" => Ignored(NO_LUA);
    "MemcacheConnTTL" "mod_socache_memcache" SV None "num[units]" => Ignored(NO_SHARED);
    "NoProxy" "mod_proxy" SV None "host [host] ..." => Ignored(NOPROXY);
    "<Proxy>" "mod_proxy" SV None "wildcard-url" => Refused(PROXY);
    "Proxy100Continue" "mod_proxy" SVD None "Off|On" => Ignored(NOPROXY);
    "ProxyAddHeaders" "mod_proxy" SVD None "Off|On" => Ignored(NOPROXY);
    "ProxyBadHeader" "mod_proxy" SV None "IsError|Ignore|StartBody" => Ignored(NOPROXY);
    "ProxyBlock" "mod_proxy" SV None "*|word|host|domain [word|host|domain] ..." => Ignored(NOPROXY);
    "ProxyDomain" "mod_proxy" SV None "Domain" => Ignored(NOPROXY);
    "ProxyErrorOverride" "mod_proxy" SVD None "Off|On [code ...]" => Ignored(NOPROXY);
    "ProxyExpressDBMFile" "mod_proxy_express" SV None "pathname" => Ignored(NOPROXY);
    "ProxyExpressDBMType" "mod_proxy_express" SV None "type" => Ignored(NOPROXY);
    "ProxyExpressEnable" "mod_proxy_express" SV None "on|off" => By(off_only);
    "ProxyFCGIBackendType" "mod_proxy_fcgi" SVDH None "FPM|GENERIC" => Ignored(NOPROXY);
    "ProxyFCGISetEnvIf" "mod_proxy_fcgi" SVDH None "conditional-expression [!]environment-variable-name [value-expression]" =>
        Ignored(NOPROXY);
    "ProxyFtpDirCharset" "mod_proxy_ftp" SVD None "character_set" => Ignored(NOPROXY);
    "ProxyFtpEscapeWildcards" "mod_proxy_ftp" SVD None "on|off" => Ignored(NOPROXY);
    "ProxyFtpListOnWildcard" "mod_proxy_ftp" SVD None "on|off" => Ignored(NOPROXY);
    "ProxyHCExpr" "mod_proxy_hcheck" SV None "name {ap_expr expression}" => Ignored(NOPROXY);
    "ProxyHCTemplate" "mod_proxy_hcheck" SV None "name parameter=setting [...]" => Ignored(NOPROXY);
    "ProxyHCTPsize" "mod_proxy_hcheck" S None "size" => Ignored(NOPROXY);
    "ProxyHTMLBufSize" "mod_proxy_html" SVD None "bytes" => Ignored(NOPROXY);
    "ProxyHTMLCharsetOut" "mod_proxy_html" SVD None "Charset | *" => Ignored(NOPROXY);
    "ProxyHTMLDocType" "mod_proxy_html" SVD None "HTML|XHTML [Legacy] OR ProxyHTMLDocType fpi [SGML|XML]" =>
        Ignored(NOPROXY);
    "ProxyHTMLEnable" "mod_proxy_html" SVD None "On|Off" => By(off_only);
    "ProxyHTMLEvents" "mod_proxy_html" SVD None "attribute [attribute ...]" => Ignored(NOPROXY);
    "ProxyHTMLExtended" "mod_proxy_html" SVD None "On|Off" => Ignored(NOPROXY);
    "ProxyHTMLFixups" "mod_proxy_html" SVD None "[lowercase] [dospath] [reset]" => Ignored(NOPROXY);
    "ProxyHTMLInterp" "mod_proxy_html" SVD None "On|Off" => Ignored(NOPROXY);
    "ProxyHTMLLinks" "mod_proxy_html" SVD None "element attribute [attribute2 ...]" => Ignored(NOPROXY);
    "ProxyHTMLMeta" "mod_proxy_html" SVD None "On|Off" => Ignored(NOPROXY);
    "ProxyHTMLStripComments" "mod_proxy_html" SVD None "On|Off" => Ignored(NOPROXY);
    "ProxyHTMLURLMap" "mod_proxy_html" SVD None "from-pattern to-pattern [flags] [cond]" => Ignored(NOPROXY);
    "ProxyIOBufferSize" "mod_proxy" SV None "bytes" => Ignored(NOPROXY);
    "<ProxyMatch>" "mod_proxy" SV None "regex" => Refused(PROXY);
    "ProxyMaxForwards" "mod_proxy" SV None "number" => Ignored(NOPROXY);
    "ProxyPass" "mod_proxy" SVD None "[path] !|url [key=value [key=value ...]] [nocanon] [interpolate] [noquery]" =>
        Refused(PROXY);
    "ProxyPassInherit" "mod_proxy" SV None "On|Off" => Ignored(NOPROXY);
    "ProxyPassInterpolateEnv" "mod_proxy" SVD None "On|Off" => Ignored(NOPROXY);
    "ProxyPassMatch" "mod_proxy" SVD None "[regex] !|url [key=value [key=value ...]]" => Refused(PROXY);
    "ProxyPassReverse" "mod_proxy" SVD None "[path] url [interpolate]" => Refused(PROXY);
    "ProxyPassReverseCookieDomain" "mod_proxy" SVD None "internal-domain public-domain [interpolate]" =>
        Refused(PROXY);
    "ProxyPassReverseCookiePath" "mod_proxy" SVD None "internal-path public-path [interpolate]" => Refused(PROXY);
    "ProxyPreserveHost" "mod_proxy" SVD None "On|Off" => Ignored(NOPROXY);
    "ProxyReceiveBufferSize" "mod_proxy" SV None "bytes" => Ignored(NOPROXY);
    "ProxyRemote" "mod_proxy" SV None "match remote-server [username:password]" => Refused(PROXY);
    "ProxyRemoteMatch" "mod_proxy" SV None "regex remote-server [username:password]" => Refused(PROXY);
    "ProxyRequests" "mod_proxy" SV None "On|Off" => By(off_only_forward);
    "ProxySCGIInternalRedirect" "mod_proxy_scgi" SVD None "On|Off|Headername" => Ignored(NOPROXY);
    "ProxySCGISendfile" "mod_proxy_scgi" SVD None "On|Off|Headername" => Ignored(NOPROXY);
    "ProxySet" "mod_proxy" SVD None "url key=value [key=value ...]" => Refused(PROXY);
    "ProxySourceAddress" "mod_proxy" SV None "address" => Ignored(NOPROXY);
    "ProxyStatus" "mod_proxy" SV None "Off|On|Full" => Ignored(NOPROXY);
    "ProxyTimeout" "mod_proxy" SV None "seconds" => Ignored(NOPROXY);
    "ProxyVia" "mod_proxy" SV None "On|Off|Full|Block" => Ignored(NOPROXY);
    "ProxyWebsocketFallbackToProxyHttp" "mod_proxy_wstunnel" SV None "On|Off" => Ignored(NOPROXY);
    "RedisConnPoolTTL" "mod_socache_redis" SV None "num[units]" => Ignored(NO_SHARED);
    "RedisTimeout" "mod_socache_redis" SV None "num[units]" => Ignored(NO_SHARED);
    "RewriteBase" "mod_rewrite" DH FileInfo "URL-path" => Ignored(NO_REWRITING);
    "RewriteCond" "mod_rewrite" SVDH FileInfo "TestString [!]CondPattern [flags]" => Ignored(NO_REWRITING);
    "RewriteEngine" "mod_rewrite" SVDH FileInfo "on|off" => By(rewrite_engine);
    "RewriteMap" "mod_rewrite" SV None "MapName MapType:MapSource [MapTypeOptions]" =>
        Refused("not supported by this version; list the cases, or leave them to a script");
    "RewriteOptions" "mod_rewrite" SVDH FileInfo "Options" => Ignored(NO_REWRITING);
    "RewriteRule" "mod_rewrite" SVDH FileInfo "[!]Pattern Substitution [flags]" =>
        Refused("not supported by this version; name the script by ScriptAlias, or the one for missing files by FallbackResource");
    "Script" "mod_actions" SVD None "method cgi-script" => Refused(ACTION);
    "ScriptSock" "mod_cgid" S None "file-path" => Ignored("scripts are started over a socket without a name");
}
