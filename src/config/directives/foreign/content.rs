//! What is sent: Apache modules around files, types, listings, fields and filters.

use crate::config::directives::foreign::Answer::{By, Ignored, Refused, Warned};
use crate::config::directives::foreign::depends::{dav, off_only};
use crate::config::directives::foreign::{D, DH, Foreign, S, SV, SVD, SVDH, foreign};

const CHANGE: &str = "not supported by this version; let a script change the text";
const DUMP: &str = "nothing is dumped; use a tool that reads packets";
const NOCACHE: &str =
    "there is no cache to be told: files are read anew, and the system keeps in memory what is read often";
const NODAV: &str = "it has no effect: WebDAV is not served by this version";
const NOPROXY: &str = "it has no effect: pages are not rewritten";
const NO_CHARSET: &str = "it has no effect without CharsetSourceEnc, which is refused";
const NO_IMAGE_MAP: &str = "it has no effect: there is no imap-file handler";
const NO_META: &str = "it has no effect without `MetaFiles on`, which is refused";
const NO_SUBSTITUTE: &str = "it has no effect: Substitute is refused";

foreign! {
    "AddModuleInfo" "mod_info" SV None "module-name string" => Ignored("the server-info page takes no further text");
    "BufferedLogs" "mod_log_config" S None "On|Off" => Ignored("the log decides itself when to write");
    "BufferSize" "mod_buffer" D None "integer" => Ignored("it has no effect: there is no BUFFER filter");
    "CacheDefaultExpire" "mod_cache" SVD None "seconds" => Ignored(NOCACHE);
    "CacheDetailHeader" "mod_cache" SVD None "on|off" => Ignored(NOCACHE);
    "CacheDirLength" "mod_cache_disk" SV None "length" => Ignored(NOCACHE);
    "CacheDirLevels" "mod_cache_disk" SV None "levels" => Ignored(NOCACHE);
    "CacheDisable" "mod_cache" SVD None "url-string | on" => Ignored(NOCACHE);
    "CacheEnable" "mod_cache" SVD None "cache_type [url-string]" => Ignored(NOCACHE);
    "CacheFile" "mod_file_cache" S None "file-path [file-path] ..." => Ignored(NOCACHE);
    "CacheHeader" "mod_cache" SVD None "on|off" => Ignored(NOCACHE);
    "CacheIgnoreCacheControl" "mod_cache" SV None "On|Off" => Ignored(NOCACHE);
    "CacheIgnoreHeaders" "mod_cache" SV None "header-string [header-string] ..." => Ignored(NOCACHE);
    "CacheIgnoreNoLastMod" "mod_cache" SVD None "On|Off" => Ignored(NOCACHE);
    "CacheIgnoreQueryString" "mod_cache" SV None "On|Off" => Ignored(NOCACHE);
    "CacheIgnoreURLSessionIdentifiers" "mod_cache" SV None "identifier [identifier] ..." => Ignored(NOCACHE);
    "CacheKeyBaseURL" "mod_cache" SV None "URL" => Ignored(NOCACHE);
    "CacheLastModifiedFactor" "mod_cache" SVD None "float" => Ignored(NOCACHE);
    "CacheLock" "mod_cache" SV None "on|off" => Ignored(NOCACHE);
    "CacheLockMaxAge" "mod_cache" SV None "integer" => Ignored(NOCACHE);
    "CacheLockPath" "mod_cache" SV None "directory" => Ignored(NOCACHE);
    "CacheMaxExpire" "mod_cache" SVD None "seconds" => Ignored(NOCACHE);
    "CacheMaxFileSize" "mod_cache_disk" SVD None "bytes" => Ignored(NOCACHE);
    "CacheMinExpire" "mod_cache" SVD None "seconds" => Ignored(NOCACHE);
    "CacheMinFileSize" "mod_cache_disk" SVD None "bytes" => Ignored(NOCACHE);
    "CacheQuickHandler" "mod_cache" SV None "on|off" => Ignored(NOCACHE);
    "CacheReadSize" "mod_cache_disk" SVD None "bytes" => Ignored(NOCACHE);
    "CacheReadTime" "mod_cache_disk" SVD None "milliseconds" => Ignored(NOCACHE);
    "CacheRoot" "mod_cache_disk" SV None "directory" => Ignored(NOCACHE);
    "CacheSocache" "mod_cache_socache" SV None "type[:args]" => Ignored(NOCACHE);
    "CacheSocacheMaxSize" "mod_cache_socache" SVD None "bytes" => Ignored(NOCACHE);
    "CacheSocacheMaxTime" "mod_cache_socache" SVD None "seconds" => Ignored(NOCACHE);
    "CacheSocacheMinTime" "mod_cache_socache" SVD None "seconds" => Ignored(NOCACHE);
    "CacheSocacheReadSize" "mod_cache_socache" SVD None "bytes" => Ignored(NOCACHE);
    "CacheSocacheReadTime" "mod_cache_socache" SVD None "milliseconds" => Ignored(NOCACHE);
    "CacheStaleOnError" "mod_cache" SVD None "on|off" => Ignored(NOCACHE);
    "CacheStoreExpired" "mod_cache" SVD None "On|Off" => Ignored(NOCACHE);
    "CacheStoreNoStore" "mod_cache" SVD None "On|Off" => Ignored(NOCACHE);
    "CacheStorePrivate" "mod_cache" SVD None "On|Off" => Ignored(NOCACHE);
    "CharsetDefault" "mod_charset_lite" SVDH FileInfo "charset" => Ignored(NO_CHARSET);
    "CharsetOptions" "mod_charset_lite" SVDH FileInfo "option [option] ..." => Ignored(NO_CHARSET);
    "CharsetSourceEnc" "mod_charset_lite" SVDH FileInfo "charset" =>
        Refused("not supported by this version; files are sent as they are: convert them, and say so with AddDefaultCharset");
    "Dav" "mod_dav" D None "On|Off|provider-name" => By(dav);
    "DavBasePath" "mod_dav" D None "root-path" => Ignored(NODAV);
    "DavDepthInfinity" "mod_dav" SVD None "on|off" => Ignored(NODAV);
    "DavGenericLockDB" "mod_dav_lock" SVD None "file-path" => Ignored(NODAV);
    "DavLockDB" "mod_dav_fs" SV None "file-path" => Ignored(NODAV);
    "DavLockDiscovery" "mod_dav_fs" SVD None "on|off" => Ignored(NODAV);
    "DavMinTimeout" "mod_dav" SVD None "seconds" => Ignored(NODAV);
    "DumpIOInput" "mod_dumpio" S None "On|Off" => Warned(DUMP);
    "DumpIOOutput" "mod_dumpio" S None "On|Off" => Warned(DUMP);
    "Example" "mod_example_hooks" SVDH None "" => Ignored("there is nothing to show");
    "ExtFilterDefine" "mod_ext_filter" S None "filtername parameters" => Refused(CHANGE);
    "ExtFilterOptions" "mod_ext_filter" D None "option [option] ..." => Refused(CHANGE);
    "ForensicLog" "mod_log_forensic" SV None "filename|pipe" =>
        Refused("not supported by this version; write a CustomLog with the fields that matter");
    "ImapBase" "mod_imagemap" SVDH Indexes "map|referer|URL" => Ignored(NO_IMAGE_MAP);
    "ImapDefault" "mod_imagemap" SVDH Indexes "error|nocontent|map|referer|URL" => Ignored(NO_IMAGE_MAP);
    "ImapMenu" "mod_imagemap" SVDH Indexes "none|formatted|semiformatted|unformatted" => Ignored(NO_IMAGE_MAP);
    "InputSed" "mod_sed" D None "sed-command" => Refused(CHANGE);
    "KeptBodySize" "mod_request" D None "maximum size in bytes" =>
        Ignored("it has no effect: nothing but the script reads the body");
    "LogIOTrackTTFB" "mod_logio" SVDH Any "ON|OFF" => Ignored("`%^FB` is always known");
    "LogMessage" "mod_log_debug" D None "message [hook=hook] [expr=expression]" =>
        Warned("the message is not written");
    "MetaDir" "mod_cern_meta" SVDH Indexes "directory" => Ignored(NO_META);
    "MetaFiles" "mod_cern_meta" SVDH Indexes "on|off" => By(off_only);
    "MetaSuffix" "mod_cern_meta" SVDH Indexes "suffix" => Ignored(NO_META);
    "MimeMagicFile" "mod_mime_magic" SV None "file-path" =>
        Warned("types come from names, never from what is in a file: write AddType");
    "MMapFile" "mod_file_cache" S None "file-path [file-path] ..." => Ignored(NOCACHE);
    "OutputSed" "mod_sed" D None "sed-command" => Refused(CHANGE);
    "ProtocolEcho" "mod_echo" SV None "On|Off" => By(off_only);
    "ReflectorHeader" "mod_reflector" SVDH Options "inputheader [outputheader]" =>
        Ignored("it has no effect: there is no reflector handler");
    "Substitute" "mod_substitute" DH FileInfo "s/pattern/substitution/[infq]" => Refused(CHANGE);
    "SubstituteInheritBefore" "mod_substitute" DH FileInfo "on|off" => Ignored(NO_SUBSTITUTE);
    "SubstituteMaxLineLength" "mod_substitute" DH FileInfo "bytes(b|B|k|K|m|M|g|G)" => Ignored(NO_SUBSTITUTE);
    "xml2EncAlias" "mod_xml2enc" S None "charset alias [alias ...]" => Ignored(NOPROXY);
    "xml2EncDefault" "mod_xml2enc" SVDH Any "name" => Ignored(NOPROXY);
    "xml2StartParse" "mod_xml2enc" SVDH Any "element [element ...]" => Ignored(NOPROXY);
}
