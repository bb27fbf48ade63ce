//! Every script of `cgi-bin/`, as it ships: what its first lines promise, and what a hostile client sends it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::{Site, expect, site, status};
use crate::support::wire::{Judge, Reply, show};

const FORM: &str = "application/x-www-form-urlencoded";

/// All tests of this file.
pub(super) fn trials() -> Vec<Trial> {
    vec![
        site("test_cgi_tells_what_it_was_told", test_cgi_tells_what_it_was_told),
        site("printenv_prints_the_environment", printenv_prints_the_environment),
        site("form_by_get", form_by_get),
        site("form_by_post", form_by_post),
        site("form_with_files", form_with_files),
        site("form_refuses_what_is_no_form", form_refuses_what_is_no_form),
        site("nph_progress_shows_each_step", nph_progress_shows_each_step),
        site("clock_ticks", clock_ticks),
        site("counter_counts_fifty_at_once", counter_counts_fifty_at_once),
        site("finger_relays_the_answer", finger_relays_the_answer),
        site("finger_is_refused", finger_is_refused),
        site("finger_waits_five_seconds", finger_waits_five_seconds),
        site("finger_asks_no_odd_host", finger_asks_no_odd_host),
    ]
}

fn test_cgi_tells_what_it_was_told() -> Result<(), String> {
    let site = Site::boot("test-cgi", "")?;
    let reply = site.fetch("/cgi-bin/test-cgi/a%20path/%24(id)?x=1&y=%60id%60")?;
    for line in [
        "argc is 0.",
        "PATH_INFO = /a path/$(id)",
        "QUERY_STRING = x=1&y=%60id%60",
        "SCRIPT_NAME = /cgi-bin/test-cgi",
        "REQUEST_URI = /cgi-bin/test-cgi/a%20path/%24(id)?x=1&y=%60id%60",
        "GATEWAY_INTERFACE = CGI/1.1",
    ] {
        expect("test-cgi", &reply, 200, line)?;
    }
    let words = site.fetch("/cgi-bin/test-cgi?*+%24HOME+a%20b")?;
    expect("words", &words, 200, "argc is 3. <\\*> <\\$HOME> <a b>")?;
    let body = site.post("/cgi-bin/test-cgi", "text/plain", b"a body of 18 bytes")?;
    expect("body", &body, 200, "CONTENT_LENGTH = 18")?;
    expect("body", &body, 200, "a body of 18 bytes")?;
    site.end()
}

fn printenv_prints_the_environment() -> Result<(), String> {
    let site = Site::boot("printenv", "SetEnv GREETING \"<b>a & b</b>\"\n")?;
    let reply = site.fetch("/cgi-bin/printenv.pl/x%0ay?q")?;
    expect("text", &reply, 200, "Content-Type: text/plain; charset=utf-8")?;
    for line in [
        "GREETING=<b>a & b</b>",
        "PATH_INFO=/x\\x0ay",
        "SERVER_NAME=localhost",
        "HTTP_HOST=localhost",
    ] {
        expect("text", &reply, 200, line)?;
    }
    let page = site.fetch("/cgi-bin/printenv.pl?format=html")?;
    expect("page", &page, 200, "Content-Type: text/html; charset=utf-8")?;
    expect("page", &page, 200, "<code>&lt;b&gt;a &amp; b&lt;/b&gt;</code>")?;
    site.end()
}

fn form_by_get() -> Result<(), String> {
    let site = Site::boot("form-get", "")?;
    let reply = site.fetch("/cgi-bin/form.pl?word=gr%C3%BC%C3%9Fe+%26+more&choice=gate&%3Cb%3E=%3Ci%3E&bad=%ff&=")?;
    expect("form", &reply, 200, "5 fields by <code>GET</code>")?;
    expect("form", &reply, 200, "<code>grüße &amp; more</code>")?;
    expect(
        "form",
        &reply,
        200,
        "<code>&lt;b&gt;</code></th><td><code>&lt;i&gt;</code>",
    )?;
    expect("form", &reply, 200, "<code>\\xff</code>")?;
    expect(
        "none",
        &site.fetch("/cgi-bin/form.pl")?,
        200,
        "No field came with this request.",
    )?;
    site.end()
}

fn form_by_post() -> Result<(), String> {
    let site = Site::boot("form-post", "")?;
    let reply = site.post("/cgi-bin/form.pl", FORM, b"name=A+B&text=one%0D%0Atwo&agree=yes")?;
    expect("form", &reply, 200, "3 fields by <code>POST</code>")?;
    expect("form", &reply, 200, "<code>A B</code>")?;
    // The same without a length of its own: the server finds it out.
    let mut wire = site.wire()?;
    wire.send(
        b"POST /cgi-bin/form.pl HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    )?;
    wire.send(b"Transfer-Encoding: chunked\r\n\r\n5\r\nname=\r\n4\r\nchun\r\n2\r\nks\r\n0\r\n\r\n")?;
    let reply = wire.reply(Judge::Strict)?;
    expect("chunked", &reply, 200, "<code>chunks</code>")?;
    site.end()
}

fn form_with_files() -> Result<(), String> {
    let site = Site::boot("form-files", "")?;
    let mut body = Vec::new();
    let mut part = |disposition: &[u8], media_type: &str, content: &[u8]| {
        body.extend_from_slice(b"--=_b0\r\nContent-Disposition: form-data; ");
        body.extend_from_slice(disposition);
        if !media_type.is_empty() {
            body.extend_from_slice(format!("\r\nContent-Type: {media_type}").as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    let every_byte: Vec<u8> = (0..=255).cycle().take(300 * 1024).collect();
    part(b"name=\"note\"", "", "grüße".as_bytes());
    part(
        b"name=\"file\"; filename=\"all.bin\"",
        "application/octet-stream",
        &every_byte,
    );
    part(
        b"name=\"file\"; filename=\"../../<script>&'.png\"",
        "image/\"><script>",
        b"\r\n--=_b1\r\n--=_b\r\n",
    );
    part(b"name=\"file\"; filename=\"a\xff\x01b\"", "", b"x");
    part(b"name=\"file\"; filename=\"\"", "application/octet-stream", b"");
    part(b"name=\"<img src=x>\"", "", b"\x00\x1b[31m");
    body.extend_from_slice(b"--=_b0--\r\n");
    let reply = site.post("/cgi-bin/form.pl", "multipart/form-data; boundary=\"=_b0\"", &body)?;
    for part in [
        "6 fields by <code>POST</code>",
        "<code>grüße</code>",
        "<b>all.bin</b>, application/octet-stream, 307200 bytes<br>",
        "<b>../../&lt;script&gt;&amp;&#39;.png</b>, image/&quot;&gt;&lt;script&gt;, 17 bytes",
        "<b>a\\xff\\x01b</b>, no type, 1 bytes",
        "<b>no file chosen</b>, application/octet-stream, 0 bytes",
        "<code>&lt;img src=x&gt;</code></th><td><code>\\x00\\x1b[31m</code>",
    ] {
        expect("upload", &reply, 200, part)?;
    }
    if reply.body.windows(8).any(|w| w == b"<script>") || std::str::from_utf8(&reply.body).is_err() {
        return Err(format!("the page is not safe: {}", show(&reply.body)));
    }
    site.end()
}

fn form_refuses_what_is_no_form() -> Result<(), String> {
    let site = Site::boot("form-refuses", "")?;
    expect(
        "type",
        &site.post("/cgi-bin/form.pl", "text/xml", b"<a/>")?,
        415,
        "A form is sent as",
    )?;
    let mut wire = site.wire()?;
    wire.send(b"PUT /cgi-bin/form.pl HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    expect("PUT", &wire.reply(Judge::Strict)?, 405, "Allow: GET, HEAD, POST")?;
    // Too large: it is answered although the body is still on its way.
    let mut wire = site.wire()?;
    wire.send(b"POST /cgi-bin/form.pl HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n")?;
    wire.send(format!("Content-Type: {FORM}\r\n\r\na=b").as_bytes())?;
    expect("large", &wire.reply(Judge::Strict)?, 413, "99999999 were announced")?;
    drop(wire);
    for body in [
        "",
        "--b",
        "--b\r\n",
        "--b\r\n\r\n--b--",
        "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
    ] {
        let reply = site.post("/cgi-bin/form.pl", "multipart/form-data; boundary=b", body.as_bytes())?;
        expect(body, &reply, 200, "No field came with this request.")?;
    }
    site.end()
}

fn nph_progress_shows_each_step() -> Result<(), String> {
    let site = Site::boot("nph", "")?;
    let mut wire = site.wire()?;
    wire.send(b"GET /cgi-bin/nph-progress?steps=3 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    wire.wait_for(b"A job of 3 steps begins.\n")?;
    if wire.holds(b"Done.") {
        return Err("all came at once".into());
    }
    wire.wait_for(b"step 1 of 3\n")?;
    let reply = wire.reply(Judge::Loose)?;
    expect("progress", &reply, 200, "Connection: close")?;
    expect(
        "progress",
        &reply,
        200,
        "100 % [########################################] step 3 of 3",
    )?;
    if reply.cut || !reply.body.ends_with(b"\nDone.\n") {
        return Err(format!("the end: {reply:?}"));
    }
    site.end()
}

fn clock_ticks() -> Result<(), String> {
    let site = Site::boot("clock", "")?;
    let mut wire = site.wire()?;
    wire.send(b"GET /cgi-bin/clock?seconds=2 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    wire.wait_for(b" UTC\n")?;
    let asked = Instant::now();
    let reply = wire.reply(Judge::Strict)?;
    if asked.elapsed() < Duration::from_millis(500) || reply.body.split(|&b| b == b'\n').count() != 3 {
        return Err(format!("the second line came at once, or not: {reply:?}"));
    }
    // Kept alive: the reply was chunked.
    wire.send(b"GET /cgi-bin/clock?seconds=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")?;
    let events = wire.reply(Judge::Strict)?;
    expect("events", &events, 200, "Content-Type: text/event-stream")?;
    expect("events", &events, 200, "event: end")?;
    // A reader who leaves ends it: nothing is left of five minutes when the server is looked at.
    wire.send(b"GET /cgi-bin/clock?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    wire.wait_for(b" UTC\n")?;
    drop(wire);
    site.end()
}

fn counter_counts_fifty_at_once() -> Result<(), String> {
    let site = Site::boot("counter", "")?;
    let mut wires = Vec::new();
    for _ in 0..50 {
        let mut wire = site.wire()?;
        wire.send(b"GET /cgi-bin/counter?page=test HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        wires.push(wire);
    }
    let mut numbers = Vec::new();
    for mut wire in wires {
        let reply = wire.reply(Judge::Strict)?;
        let number = String::from_utf8_lossy(&reply.body).trim().parse::<u32>();
        numbers.push(number.map_err(|e| format!("{e}: {reply:?}"))?);
    }
    numbers.sort_unstable();
    if numbers != (1..=50).collect::<Vec<_>>() {
        return Err(format!("not 1 to 50: {numbers:?}"));
    }
    let badge = site.fetch("/cgi-bin/counter?page=test&format=svg")?;
    expect("badge", &badge, 200, "Content-Type: image/svg+xml")?;
    expect("badge", &badge, 200, "aria-label=\"51 readers\"")?;
    expect("another", &site.fetch("/cgi-bin/counter?page=../../etc")?, 200, "1")?;
    site.end()
}

fn finger_relays_the_answer() -> Result<(), String> {
    let (port, asked) = finger_server(b"Login: <b>me</b>\r\nPlan: caf\xe9 & \x1b[1m\r\n")?;
    let site = Site::boot("finger", &format!("SetEnv FINGER_PORT {port}\n"))?;
    let reply = site.fetch("/cgi-bin/finger?host=127.0.0.1&user=me")?;
    expect("finger", &reply, 200, "<h1>me at 127.0.0.1</h1>")?;
    expect("finger", &reply, 200, "Login: &lt;b&gt;me&lt;/b&gt;")?;
    expect("finger", &reply, 200, "Plan: caf&#233; &amp; \\x1b[1m")?;
    expect("form", &site.fetch("/cgi-bin/finger")?, 200, "<button>Ask</button>")?;
    site.end()?;
    match asked.recv_timeout(Duration::from_secs(5)) {
        Ok(line) if line == b"me\r\n" => Ok(()),
        other => Err(format!("the finger server was asked {other:?}")),
    }
}

fn finger_is_refused() -> Result<(), String> {
    // A port that was free a moment ago.
    let port = crate::support::server::free_port();
    let site = Site::boot("finger-refused", &format!("SetEnv FINGER_PORT {port}\n"))?;
    let reply = site.fetch("/cgi-bin/finger?me@127.0.0.1")?;
    expect("refused", &reply, 502, "127.0.0.1: no connection (Connection refused)")?;
    site.end()
}

fn finger_waits_five_seconds() -> Result<(), String> {
    let silent = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = silent.local_addr().map_err(|e| e.to_string())?.port();
    let site = Site::boot("finger-waits", &format!("SetEnv FINGER_PORT {port}\n"))?;
    let before = Instant::now();
    let reply: Reply = site.fetch("/cgi-bin/finger?host=127.0.0.1&user=")?;
    expect("silence", &reply, 504, "127.0.0.1 did not answer within 5 seconds.")?;
    let waited = before.elapsed();
    if !(Duration::from_millis(4900)..Duration::from_secs(8)).contains(&waited) {
        return Err(format!("it waited {waited:?}"));
    }
    site.end()
}

fn finger_asks_no_odd_host() -> Result<(), String> {
    let site = Site::boot("finger-odd", "")?;
    for query in [
        "host=-oProxy&user=x",
        "host=a%0d%0ab&user=x",
        "host=127.0.0.1%00&user=x",
        "host=localhost&user=a%0d%0ab",
        "host=localhost&user=%3Cscript%3E",
        "host=a/b&user=",
    ] {
        let reply = site.fetch(&format!("/cgi-bin/finger?{query}"))?;
        if status(&reply) != 400 || reply.body.windows(8).any(|w| w == b"<script>") {
            return Err(format!("{query}: {reply:?}"));
        }
    }
    site.end()
}

/// A finger server for one question: its port, and what it was asked.
fn finger_server(answer: &'static [u8]) -> Result<(u16, std::sync::mpsc::Receiver<Vec<u8>>), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut question = vec![0; 100];
        let mut length = 0;
        while !question[..length].ends_with(b"\n") {
            match stream.read(&mut question[length..]) {
                Ok(n) if n > 0 => length += n,
                _ => break,
            }
        }
        question.truncate(length);
        let _the_test_is_over = sender.send(question);
        let _the_client_has_left = stream.write_all(answer);
    });
    Ok((port, receiver))
}
