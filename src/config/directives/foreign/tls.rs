//! TLS, certificates and HTTP/2.

use crate::config::directives::foreign::Answer::{By, Ignored, Refused};
use crate::config::directives::foreign::depends::{
    crypto_device, fips, insecure_renegotiation, off_only, off_only_ocsp, tls_compression,
};
use crate::config::directives::foreign::{DH, Foreign, S, SDH, SV, SVD, SVDH, foreign};

const CERTIFICATES: &str = "not supported by this version; obtain certificates with another program";
const NOCERT: &str = "it has no effect: certificates are not obtained by this version";
const NOH2: &str = "it has no effect: clients are served with HTTP/1.1";
const NOSSL: &str = "it has no effect without `SSLEngine on`, which is refused";
const NOSRP: &str = "not supported; keys are not agreed upon by passwords (SRP): ask clients for certificates, or for passwords within TLS";
const WINDOWS: &str = "it concerns other systems than Linux";

foreign! {
    "H2CopyFiles" "mod_http2" SVDH FileInfo "on|off" => Ignored(NOH2);
    "H2Direct" "mod_http2" SV None "on|off" => Ignored(NOH2);
    "H2EarlyHint" "mod_http2" SVDH FileInfo "name value" => Ignored(NOH2);
    "H2EarlyHints" "mod_http2" SV None "on|off" => Ignored(NOH2);
    "H2MaxDataFrameLen" "mod_http2" SV None "n" => Ignored(NOH2);
    "H2MaxHeaderBlockLen" "mod_http2" SV None "n" => Ignored(NOH2);
    "H2MaxSessionStreams" "mod_http2" SV None "n" => Ignored(NOH2);
    "H2MaxStreamErrors" "mod_http2" SV None "n" => Ignored(NOH2);
    "H2MaxWorkerIdleSeconds" "mod_http2" S None "n" => Ignored(NOH2);
    "H2MaxWorkers" "mod_http2" S None "n" => Ignored(NOH2);
    "H2MinWorkers" "mod_http2" S None "n" => Ignored(NOH2);
    "H2ModernTLSOnly" "mod_http2" SV None "on|off" => Ignored(NOH2);
    "H2OutputBuffering" "mod_http2" SV None "on|off" => Ignored(NOH2);
    "H2Padding" "mod_http2" SV None "numbits" => Ignored(NOH2);
    "H2ProxyRequests" "mod_http2" SVDH FileInfo "on|off" => By(off_only);
    "H2Push" "mod_http2" SVDH AuthConfig "on|off" => Ignored(NOH2);
    "H2PushDiarySize" "mod_http2" SV None "n" => Ignored(NOH2);
    "H2PushPriority" "mod_http2" SV None "mime-type [after|before|interleaved] [weight]" => Ignored(NOH2);
    "H2PushResource" "mod_http2" SVDH FileInfo "[add] path [critical]" => Ignored(NOH2);
    "H2SerializeHeaders" "mod_http2" SV None "on|off" => Ignored(NOH2);
    "H2StreamMaxMemSize" "mod_http2" SV None "bytes" => Ignored(NOH2);
    "H2StreamTimeout" "mod_http2" SVD None "time-interval[s]" => Ignored(NOH2);
    "H2TLSCoolDownSecs" "mod_http2" SV None "seconds" => Ignored(NOH2);
    "H2TLSWarmUpSize" "mod_http2" SV None "amount" => Ignored(NOH2);
    "H2Upgrade" "mod_http2" SVDH AuthConfig "on|off" => Ignored(NOH2);
    "H2WebSockets" "mod_http2" SV None "on|off" => Ignored(NOH2);
    "H2WindowSize" "mod_http2" SV None "bytes" => Ignored(NOH2);
    "MDActivationDelay" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDBaseServer" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDCACertificateFile" "mod_md" S None "file" => Ignored(NOCERT);
    "MDCAChallenges" "mod_md" S None "name [ name ... ]" => Ignored(NOCERT);
    "MDCertificateAgreement" "mod_md" S None "accepted" => Ignored(NOCERT);
    "MDCertificateAuthority" "mod_md" S None "url" => Ignored(NOCERT);
    "MDCertificateCheck" "mod_md" S None "name url" => Ignored(NOCERT);
    "MDCertificateFile" "mod_md" S None "path-to-pem-file" => Ignored(NOCERT);
    "MDCertificateKeyFile" "mod_md" S None "path-to-file" => Ignored(NOCERT);
    "MDCertificateMonitor" "mod_md" S None "name url" => Ignored(NOCERT);
    "MDCertificateProtocol" "mod_md" S None "protocol" => Ignored(NOCERT);
    "MDCertificateStatus" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDChallengeDns01" "mod_md" S None "path-to-command" => Ignored(NOCERT);
    "MDChallengeDns01Version" "mod_md" S None "1|2" => Ignored(NOCERT);
    "MDCheckInterval" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDContactEmail" "mod_md" S None "address" => Ignored(NOCERT);
    "MDDriveMode" "mod_md" S None "always|auto|manual" => Ignored(NOCERT);
    "MDExternalAccountBinding" "mod_md" S None "key-id hmac-64 | none | file" => Ignored(NOCERT);
    "MDHttpProxy" "mod_md" S None "url" => Ignored(NOCERT);
    "MDHttpProxyCACertificateFile" "mod_md" S None "path-to-pem-file" => Ignored(NOCERT);
    "MDInitialDelay" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDMatchNames" "mod_md" S None "all|servernames" => Ignored(NOCERT);
    "MDMember" "mod_md" S None "hostname" => Ignored(NOCERT);
    "MDMembers" "mod_md" S None "auto|manual" => Ignored(NOCERT);
    "MDMessageCmd" "mod_md" S None "path-to-cmd optional-args" => Ignored(NOCERT);
    "MDMustStaple" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDNotifyCmd" "mod_md" S None "path [ args ]" => Ignored(NOCERT);
    "MDomain" "mod_md" S None "dns-name [ other-dns-name... ] [auto|manual]" => Refused(CERTIFICATES);
    "<MDomainSet>" "mod_md" S None "dns-name [ other-dns-name" => Refused(CERTIFICATES);
    "MDPortMap" "mod_md" S None "map1 [ map2 ]" => Ignored(NOCERT);
    "MDPrivateKeys" "mod_md" S None "type [ params... ]" => Ignored(NOCERT);
    "MDProfile" "mod_md" S None "name" => Ignored(NOCERT);
    "MDProfileMandatory" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDRenewMode" "mod_md" S None "always|auto|manual" => Ignored(NOCERT);
    "MDRenewViaARI" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDRenewWindow" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDRequireHttps" "mod_md" SDH AuthConfig "off|temporary|permanent" => By(off_only);
    "MDRetryDelay" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDRetryFailover" "mod_md" S None "number" => Ignored(NOCERT);
    "MDServerStatus" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDStapleOthers" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDStapling" "mod_md" S None "on|off" => Ignored(NOCERT);
    "MDStaplingKeepResponse" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDStaplingRenewWindow" "mod_md" S None "duration" => Ignored(NOCERT);
    "MDStoreDir" "mod_md" S None "path" => Ignored(NOCERT);
    "MDStoreLocks" "mod_md" S None "on|off|duration" => Ignored(NOCERT);
    "MDWarnWindow" "mod_md" S None "duration" => Ignored(NOCERT);
    "NWSSLTrustedCerts" "mod_nw_ssl" S None "filename [filename] ..." => Ignored(WINDOWS);
    "NWSSLUpgradeable" "mod_nw_ssl" S None "[IP-address:]portnumber" => Ignored(WINDOWS);
    "SecureListen" "mod_nw_ssl" S None "[IP-address:]portnumber Certificate-Name [MUTUAL]" =>
        Refused("it concerns NetWare; write Listen");
    "SSLCompression" "mod_ssl" SV None "on|off" => By(tls_compression);
    "SSLCryptoDevice" "mod_ssl" S None "engine" => By(crypto_device);
    "SSLFIPS" "mod_ssl" S None "on|off" => By(fips);
    "SSLInsecureRenegotiation" "mod_ssl" SV None "on|off" => By(insecure_renegotiation);
    "SSLOCSPDefaultResponder" "mod_ssl" SV None "uri" => Ignored(NOSSL);
    "SSLOCSPEnable" "mod_ssl" SV None "on|leaf|off [flags]" => By(off_only_ocsp);
    "SSLOCSPNoverify" "mod_ssl" SV None "on|off" => Ignored(NOSSL);
    "SSLOCSPOverrideResponder" "mod_ssl" SV None "on|off" => Ignored(NOSSL);
    "SSLOCSPProxyURL" "mod_ssl" SV None "url" => Ignored(NOSSL);
    "SSLOCSPResponderCertificateFile" "mod_ssl" SV None "file" => Ignored(NOSSL);
    "SSLOCSPResponderTimeout" "mod_ssl" SV None "seconds" => Ignored(NOSSL);
    "SSLOCSPResponseMaxAge" "mod_ssl" SV None "seconds" => Ignored(NOSSL);
    "SSLOCSPResponseTimeSkew" "mod_ssl" SV None "seconds" => Ignored(NOSSL);
    "SSLOCSPUseRequestNonce" "mod_ssl" SV None "on|off" => Ignored(NOSSL);
    "SSLRandomSeed" "mod_ssl" S None "context source [bytes]" =>
        Ignored("random numbers are the kernel's");
    "SSLRenegBufferSize" "mod_ssl" DH AuthConfig "bytes" =>
        Ignored("there is no renegotiation, for which bodies would wait");
    "SSLSRPUnknownUserSeed" "mod_ssl" SV None "secret-string" => Refused(NOSRP);
    "SSLSRPVerifierFile" "mod_ssl" SV None "file-path" => Refused(NOSRP);
}
