#!/usr/bin/python3
"""Makes certificates with names that no tool makes, shows each to Apache as a client's, and writes what its scripts see.

    src/tls/certificate/samples.py > src/tls/certificate/samples.txt

It needs Debian's apache2 and openssl, and listens on 127.0.0.1:18443 while it runs.
"""

import base64
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

PORT = 18443
SEQ, SET, UTF8, NUM, PRN, T61, IA5, UNI, BMP = 0x30, 0x31, 12, 18, 19, 20, 22, 28, 30
OIDS = {
    "C": "2.5.4.6", "ST": "2.5.4.8", "L": "2.5.4.7", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3",
    "T": "2.5.4.12", "I": "2.5.4.43", "G": "2.5.4.42", "S": "2.5.4.4", "D": "2.5.4.13",
    "UID": "0.9.2342.19200300.100.1.1", "Email": "1.2.840.113549.1.9.1", "serialNumber": "2.5.4.5",
    "DC": "0.9.2342.19200300.100.1.25", "street": "2.5.4.9", "postalCode": "2.5.4.17", "name": "2.5.4.41",
    "jurisdictionC": "1.3.6.1.4.1.311.60.2.1.3", "organizationIdentifier": "2.5.4.97",
    "unstructuredName": "1.2.840.113549.1.9.2", "unknown": "1.3.6.1.4.1.99999.1", "unknown X.500": "2.5.4.999",
}
SIGNATURES = {
    "ecdsa-sha256": "1.2.840.10045.4.3.2", "ecdsa-sha512": "1.2.840.10045.4.3.4", "rsa-sha1": "1.2.840.113549.1.1.5",
    "rsa-sha256": "1.2.840.113549.1.1.11", "rsa-pss": "1.2.840.113549.1.1.10", "unknown": "1.3.6.1.4.1.99999.7",
}
PRINCIPAL_NAME = "1.3.6.1.4.1.311.20.2.3"


def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    size = b"" if n < 128 else n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag, n if n < 128 else 0x80 | len(size)]) + size + body


def oid(dotted):
    arcs = [int(arc) for arc in dotted.split(".")]
    out = b""
    for arc in [arcs[0] * 40 + arcs[1]] + arcs[2:]:
        octets = [arc & 127]
        while arc := arc >> 7:
            octets.append(arc & 127 | 128)
        out += bytes(reversed(octets))
    return tlv(6, out)


def integer(value):
    return tlv(2, value if isinstance(value, bytes) else value.to_bytes(value.bit_length() // 8 + 1, "big"))


def attribute(kind, value, tag=UTF8):
    if isinstance(value, str):
        value = value.encode({BMP: "utf-16-be", UNI: "utf-32-be", T61: "latin-1"}.get(tag, "utf-8"))
    return tlv(SEQ, oid(OIDS[kind]), tlv(tag, value))


def name(*parts):
    return tlv(SEQ, *[tlv(SET, *[attribute(*a) for a in (p if isinstance(p, list) else [p])]) for p in parts])


def run(*command):
    return subprocess.run(command, check=True, capture_output=True).stdout


def utc(text):
    return tlv(0x17, text.encode())


def generalized(text):
    return tlv(0x18, text.encode())


ISSUER = name(("C", "XY", PRN), ("O", "Test, Inc."), ("CN", "Issuer"))


def certificate(subject=name(("CN", "a")), issuer=ISSUER, serial=1, start=utc("240101000000Z"), end=utc("491231235959Z"),
                signature="ecdsa-sha256", key="ec.key", alternative=None, version=2):
    """The signature is a real one only as far as Apache looks at it."""
    algorithm = tlv(SEQ, oid(SIGNATURES[signature]))
    parts = [tlv(0xA0, integer(version))] if version else []
    parts += [integer(serial), algorithm, issuer, tlv(SEQ, start, end), subject]
    parts.append(run("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"))
    if alternative is not None:
        extension = tlv(SEQ, oid("2.5.29.17"), tlv(4, tlv(SEQ, *alternative)))
        parts.append(tlv(0xA3, tlv(SEQ, tlv(SEQ, oid("2.5.29.19"), tlv(1, b"\xff"), tlv(4, tlv(SEQ))), extension)))
    body = tlv(SEQ, *parts)
    open("body", "wb").write(body)
    signed = bytes(64) if key == "ed.key" else run("openssl", "dgst", "-sha256", "-sign", key, "body")
    return tlv(SEQ, body, algorithm, tlv(3, b"\0" + signed)), key


def email(text):
    return tlv(0x81, text)


def dns(text):
    return tlv(0x82, text)


def other(kind, value):
    return tlv(0xA0, oid(kind), tlv(0xA0, value))


def samples():
    cn = lambda value, tag: certificate(name(("CN", value, tag), ("O", "x")))
    snake = name(("C", "XY", PRN), ("ST", "Snake Desert"), ("L", "Snake Town"), ("O", "Snake Oil, Ltd"),
                 ("OU", "Webserver Team"), ("CN", "www.snakeoil.dom"), ("Email", "www@snakeoil.dom", IA5))
    yield "ordinary", certificate(snake, issuer=snake, serial=0x0123456789ABCDEF)
    yield "every attribute", certificate(name(*[(kind, "v " + kind) for kind in OIDS]), serial=255)
    yield "repeated", certificate(name(("OU", "one"), ("OU", "two"), ("CN", "x"), ("OU", "three"), [("OU", "four"), ("CN", "y")]),
                                  issuer=name(("DC", "org"), ("DC", "example"), ("CN", "a"), ("CN", "b")))
    yield "several in one part", certificate(name([("O", "Org"), ("CN", "b"), ("CN", "a")], ("C", "DE", PRN)))
    yield "escapes", certificate(name(("CN", ' lead, plus+ "q" back\\ <a> ; #x = / trail '), ("O", "#hash"), ("OU", " "),
                                      ("L", "  two  "), ("ST", "a/b=c"), ("D", "x\ty\nz\x7f\x01\x00nul"), ("T", "")))
    yield "UTF-8", certificate(name(("CN", "Jürgen Müller"), ("O", "日本語"), ("OU", "\U0001F600"), ("L", "\x80\x9f\xa0")))
    yield "T61", certificate(name(("CN", "J\xfcrgen \xe9, x", T61), ("O", b"\x00\x01\x7f\x80\x9f\xa0\xff", T61)))
    yield "BMP", cn("Jürgen 日本, x", BMP)
    yield "BMP with NUL", cn("a\0b", BMP)
    yield "universal", cn("Jü \U0001F600", UNI)
    yield "numeric that is not", cn("x1", NUM)
    yield "printable that is not", cn(b"p\xe4@*", PRN)
    yield "IA5 that is not", cn(b"ia\xe4\x81@", IA5)
    yield "bit string", cn(b"\x00\xf0", 3)
    yield "sequence", cn(b"\x0c\x01a", SEQ)
    yield "no character", cn(b"\xef\xbf\xbf", UTF8)
    yield "empty subject", certificate(name(), alternative=[dns(b"x")])
    yield "empty part", certificate(tlv(SEQ, tlv(SET), tlv(SET, attribute("CN", "a"))))
    yield "serial 0", certificate(serial=0)
    yield "serial -255", certificate(serial=b"\xff\x01")
    yield "serial -1", certificate(serial=b"\xff")
    yield "serial -8388608", certificate(serial=b"\x80\x00\x00")
    yield "serial of 40 bytes", certificate(serial=bytes(range(1, 41)))
    yield "version 1", certificate(version=0)
    yield "version 4", certificate(version=3)
    yield "first and last time", certificate(start=generalized("19700101000000Z"), end=generalized("99991231235959Z"))
    yield "times of two digits", certificate(start=utc("500101000000Z"), end=utc("491231235959Z"))
    yield "alternative names", certificate(alternative=[
        email(b"a@b"), dns(b"x.example"), dns(b"*.y.example"), tlv(0x86, b"http://x/"), tlv(0x87, b"\x7f\0\0\1"),
        other(PRINCIPAL_NAME, tlv(UTF8, "ü@corp".encode())), other("1.3.6.1.5.5.7.8.7", tlv(IA5, b"_http.x")), email(b"c@d"),
        other(PRINCIPAL_NAME, tlv(UTF8, b"two"))])
    yield "odd alternative names", certificate(alternative=[
        dns(b"nul\0x"), dns(b'ctl\x01\x7f\\"'), dns(b"hi\xe4\x80"), dns("ü".encode()), email(b"\xff"), email(b""),
        other(PRINCIPAL_NAME, tlv(UTF8, b"bad\xff")), other(PRINCIPAL_NAME, tlv(UTF8, b"c\x01\n\\d")), dns(b"last"), dns(b""),
        other(PRINCIPAL_NAME, tlv(IA5, b"ia5")), other(PRINCIPAL_NAME, tlv(BMP, b"\0a")), other(PRINCIPAL_NAME, tlv(2, b"\1")),
        other(PRINCIPAL_NAME, tlv(UTF8, b""))])
    yield "key and signature by RSA", certificate(key="rsa.key", signature="rsa-sha256")
    yield "signature with SHA-1", certificate(key="rsa.key", signature="rsa-sha1")
    yield "key and signature by RSA-PSS", certificate(key="pss.key", signature="rsa-pss")
    yield "Ed25519 key", certificate(key="ed.key", signature="ecdsa-sha512")
    yield "unknown signature", certificate(signature="unknown")


# Names that a script does not see, and that `%{...}s` of mod_headers asks for.
ASKED = ["S_DN_SP", "S_DN_CN_RAW", "S_DN_O_RAW", "S_DN_OU_RAW_1", "S_DN_OU_1_RAW", "S_DN_OU_0", "S_DN_OU_2", "s_dn_cn", "m_serial",
         "S_DN_email", "SAN_DNS_1", "SAN_Email_0", "SAN_OTHER_msUPN_1", "SAN_dns_1", "san_DNS_1", "I_DN_C", "X_DN_CN", "S_DN_"]

SCRIPT = """#!/usr/bin/python3
import os, sys
sys.stdout.buffer.write(b"Content-Type: text/plain\\n\\n" + b"\\0".join(k + b"=" + v for k, v in os.environb.items()))
"""


def configuration(place):
    modules = "/usr/lib/apache2/modules"
    lines = [f"LoadModule {m}_module {modules}/mod_{m}.so" for m in
             ["mpm_prefork", "authz_core", "socache_shmcb", "ssl", "cgi", "headers", "alias"]]
    lines += [f"ServerRoot {place}", "ServerName localhost", f"Listen 127.0.0.1:{PORT}", "PidFile pid", "ErrorLog log",
              "User nobody", "Group nogroup", f"Mutex file:{place}", "SSLEngine on", "SSLCertificateFile server.pem",
              "SSLCertificateKeyFile ec.key", "SSLVerifyClient optional_no_ca", "SSLCipherSuite ALL:@SECLEVEL=0",
              f"ScriptAlias /script {place}/script", f"ScriptAlias /legacy {place}/script",
              "<Location />", "Require all granted", "SSLOptions +StdEnvVars"]
    lines += [f'Header set X-{n} "%{{SSL_CLIENT_{name}}}s"' for n, name in enumerate(ASKED)]
    lines += ["</Location>", "<Location /legacy>", "SSLOptions +LegacyDNStringFormat", "</Location>"]
    return "\n".join(lines) + "\n"


def ask(der, key, path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    open("client.pem", "w").write(ssl.DER_cert_to_PEM_cert(der))
    context.load_cert_chain("client.pem", key)
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", PORT)))
    connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = b""
    while block := connection.recv(65536):
        answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), dict(pair.split(b"=", 1) for pair in body.split(b"\0"))


def shown(value):
    """Bytes on one line."""
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else "\\\\" if b == 92 else f"\\x{b:02x}" for b in value)


def main():
    place = tempfile.mkdtemp()
    os.chmod(place, 0o755)
    os.chdir(place)
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.key")
    run("openssl", "genrsa", "-out", "rsa.key", "1024")
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", "ed.key")
    run("openssl", "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "pss.key")
    run("openssl", "req", "-x509", "-key", "ec.key", "-subj", "/CN=localhost", "-out", "server.pem")
    open("script", "w").write(SCRIPT)
    os.chmod("script", 0o755)
    open("conf", "w").write(configuration(place))
    apache = subprocess.Popen(["/usr/sbin/apache2", "-X", "-f", f"{place}/conf"])
    try:
        for _ in range(50):
            time.sleep(0.1)
            if socket.socket().connect_ex(("127.0.0.1", PORT)) == 0:
                break
        print("What Apache says of certificates, as samples.py asked it. Backslashes are doubled, other bytes are \\xHH.")
        for title, (der, key) in samples():
            head, variables = ask(der, key, "/script")
            _, legacy = ask(der, key, "/legacy")
            print(f"\n# {title}\n< {base64.b64encode(der).decode()}")
            for full, value in sorted(variables.items()):
                short = full.decode().removeprefix("SSL_CLIENT_")
                if full.startswith(b"SSL_CLIENT_") and short not in ["VERIFY", "V_REMAIN"]:
                    print(f"= {short} {shown(value)}")
            for short in ["S_DN", "I_DN"]:
                if value := legacy.get(f"SSL_CLIENT_{short}".encode()):
                    print(f"/ {short} {shown(value)}")
            fields = dict(line.split(b": ", 1) for line in head[1:])
            for n, short in enumerate(ASKED):
                value = fields[b"X-%d" % n]
                print(f"? {short} {shown(value)}" if value != b"(null)" else f"! {short}")
    finally:
        apache.terminate()
        apache.wait()


main()
