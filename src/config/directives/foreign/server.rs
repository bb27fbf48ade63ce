//! The core and the processes: what Apache has there and lychgate answers differently.

use crate::config::directives::foreign::Answer::{By, Ignored, Refused};
use crate::config::directives::foreign::depends::{
    interpreter_source, off_only_hosts, off_only_trailers, protocol, protocols,
};
use crate::config::directives::foreign::{DH, Foreign, S, SV, SVD, SVDH, foreign};

const BUFFERS: &str = "the system sizes the buffers of sockets";
const BUILT_IN: &str = "what lychgate has is built in";
const BOUND: &str =
    "requests wait for no free worker; MaxConnections bounds connections, CGIMaxScripts scripts that run at once";
const MPM: &str = "lychgate sizes its processes and threads itself";
const RENEWED: &str = "the serving process is not renewed by a count; a reload renews it";
const THREADS: &str = "ServerThreads says how many threads serve; without it, one for each processor";
const WINDOWS: &str = "it concerns other systems than Linux";

foreign! {
    "AsyncRequestWorkerFactor" "mpm" S None "factor" => Ignored(BOUND);
    "CGIMapExtension" "core" DH FileInfo "cgi-path .extension" => Ignored(WINDOWS);
    "ContentDigest" "core" SVDH Options "On|Off" => Ignored("Content-MD5 left HTTP with RFC 7231 and is not sent");
    "CoreDumpDirectory" "mpm" S None "directory" => Ignored("the directory for core files is the system's affair");
    "DefaultRuntimeDir" "core" S None "directory-path" => Ignored("PidFile is the only file kept while running");
    "EnableExceptionHook" "mpm" S None "On|Off" => Ignored("there are no exception hooks");
    "EnableMMAP" "core" SVDH FileInfo "On|Off" => Ignored("files are sent without being mapped");
    "FlushMaxPipelined" "core" SV None "number" =>
        Ignored("answers to pipelined requests leave together, without a limit on their number");
    "FlushMaxThreshold" "core" SV None "number-of-bytes" => Ignored("answers leave as they are made");
    "GprofDir" "core" SV None "/tmp/gprof/|/tmp/gprof/%" => Ignored("it is for profiling Apache itself");
    "LimitXMLRequestBody" "core" SVDH Any "bytes" =>
        Ignored("only WebDAV reads XML bodies; LimitRequestBody holds for all");
    "ListenCoresBucketsRatio" "mpm" S None "ratio" => Ignored("each address has a listening socket for each thread");
    "LoadFile" "mod_so" SV None "filename [filename] ..." => Ignored(BUILT_IN);
    "MaxConnectionsPerChild" "mpm" S None "number" => Ignored(RENEWED);
    "MaxMemFree" "mpm" S None "KBytes" => Ignored(MPM);
    "MaxRequestWorkers" "mpm" S None "number" => Ignored(BOUND);
    "MaxSpareServers" "mpm" S None "number" => Ignored(MPM);
    "MaxSpareThreads" "mpm" S None "number" => Ignored(THREADS);
    "MaxThreads" "mpm" S None "number" => Ignored(THREADS);
    "MergeTrailers" "core" SV None "[on|off]" => By(off_only_trailers);
    "MinSpareServers" "mpm" S None "number" => Ignored(MPM);
    "MinSpareThreads" "mpm" S None "number" => Ignored(THREADS);
    "Mutex" "core" S None "mechanism [default|mutex-name] ... [OmitPID]" =>
        Ignored("nothing is shared that needs one");
    "NameVirtualHost" "core" S None "addr[:port]" => Ignored("every address takes virtual hosts by name");
    "Protocol" "core" SV None "protocol" => By(protocol);
    "Protocols" "core" SV None "protocol ..." => By(protocols);
    "ProtocolsHonorOrder" "core" SV None "On|Off" => Ignored("it has no effect: clients are served with HTTP/1.1");
    "ReadBufferSize" "core" SVD None "bytes" => Ignored("buffers have their own sizes");
    "ReceiveBufferSize" "mpm" S None "bytes" => Ignored(BUFFERS);
    "RegexDefaultOptions" "core" S None "[none] [+|-]option [[+|-]option] ..." =>
        Refused("not supported by this version; write the option into the pattern, as `(?i)`");
    "ScoreBoardFile" "mpm" S None "file-path" => Ignored("there is no scoreboard file");
    "ScriptInterpreterSource" "core" SVDH FileInfo "Registry|Registry-Strict|Script" => By(interpreter_source);
    "SendBufferSize" "mpm" S None "bytes" => Ignored(BUFFERS);
    "ServerLimit" "mpm" S None "number" => Ignored(BOUND);
    "StartServers" "mpm" S None "number" => Ignored(MPM);
    "StartThreads" "mpm" S None "number" => Ignored(THREADS);
    "StrictHostCheck" "core" SV None "ON|OFF" => By(off_only_hosts);
    "ThreadLimit" "mpm" S None "number" => Ignored(THREADS);
    "ThreadsPerChild" "mpm" S None "number" => Ignored(THREADS);
    "ThreadStackSize" "mpm" S None "size" => Ignored(MPM);
    "UNCList" "core" S None "hostname [hostname...]" => Ignored(WINDOWS);
    "WatchdogInterval" "mod_watchdog" S None "time-interval[s]" => Ignored("there is no watchdog");
}
