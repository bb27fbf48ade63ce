//! The same program as an SCGI application: `testapp --scgi SOCKET [PORT]`. The query names the behaviour, as for FastCGI.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::thread::{sleep, spawn};
use std::time::Duration;

use crate::fastcgi::DIFFERENT;
use crate::to_say;

/// Serves until it is ended.
pub fn serve(socket: &str, port: Option<&str>) -> io::Result<()> {
    let unix = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
        let tcp = TcpListener::bind(("127.0.0.1", port))?;
        spawn(move || {
            for stream in tcp.incoming().flatten() {
                spawn(move || {
                    if let Ok(own) = stream.try_clone() {
                        let _broken_off = answer(BufReader::new(own), stream);
                    }
                });
            }
        });
    }
    for stream in unix.incoming() {
        let stream = stream?;
        spawn(move || {
            if let Ok(own) = stream.try_clone() {
                let _broken_off = answer(BufReader::new(own), stream);
            }
        });
    }
    Ok(())
}

/// The variables, in the order in which they came.
fn header(input: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut length = Vec::new();
    input.read_until(b':', &mut length)?;
    length.pop();
    let length = String::from_utf8_lossy(&length).parse::<usize>();
    let mut pairs = vec![0; length.map_err(io::Error::other)? + 1];
    input.read_exact(&mut pairs)?;
    if pairs.pop() != Some(b',') || pairs.pop() != Some(0) {
        return Err(io::Error::other("no netstring"));
    }
    let shown = |bytes: &[u8]| {
        let text = bytes.escape_ascii().to_string();
        text.replace("\\\"", "\"").replace("\\'", "'")
    };
    let words: Vec<String> = pairs.split(|byte| *byte == 0).map(shown).collect();
    let pairs = words.chunks(2).map(|pair| match pair {
        [name, value] => Ok((name.clone(), value.clone())),
        _ => Err(io::Error::other("a name without a value")),
    });
    pairs.collect()
}

fn answer(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let pairs = header(&mut input)?;
    if pairs.first().is_none_or(|(name, _)| name != "CONTENT_LENGTH") {
        return Err(io::Error::other("the length does not come first"));
    }
    let variables: BTreeMap<String, String> = pairs.iter().cloned().collect();
    if variables.len() != pairs.len() {
        return Err(io::Error::other("a name came twice"));
    }
    let told = |name: &str| variables.get(name).cloned().unwrap_or_default();
    let query = told("QUERY_STRING");
    let words: Vec<&str> = query.split('/').collect();
    let length = told("CONTENT_LENGTH").parse::<u64>().map_err(io::Error::other)?;
    let number = words.get(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
    let plain = "Content-Type: text/plain\r\n\r\n";
    match words[0] {
        "close" => return Ok(()),
        "early" => return write!(output, "{plain}{}", "x".repeat(number)),
        "deaf" => {
            sleep(Duration::from_secs(60));
            return Ok(());
        }
        "silent" => {
            write!(output, "{plain}half")?;
            sleep(Duration::from_secs(60));
            return Ok(());
        }
        _ => {}
    }
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    match words[0] {
        "echo" => {
            output.write_all(plain.as_bytes())?;
            output.write_all(&body)
        }
        "say" => {
            let (lines, body) = to_say(&told("HTTP_SAY").replace("\\\\", "\\"));
            let head = lines
                .iter()
                .fold(Vec::new(), |head, line| [&head[..], line, b"\r\n"].concat());
            output.write_all(&[&head[..], b"\r\n", &body].concat())
        }
        "count" => writeln!(output, "{plain}read {} of {length}", body.len()),
        "head" => output.write_all(&body),
        "bytes" => write!(output, "{plain}{}", "x".repeat(number)),
        "garbage" => output.write_all(b"\x01\x06\x00\x01 no head, no end"),
        "cuthead" => output.write_all(b"Content-Type: text/pl"),
        "cutlength" => write!(output, "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf"),
        "longer" => write!(
            output,
            "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nhalf and more"
        ),
        "wait" => {
            writeln!(output, "{plain}before")?;
            output.flush()?;
            while !std::path::Path::new(&format!("{}/{}", told("DOCUMENT_ROOT"), words[1..].join("/"))).exists() {
                sleep(Duration::from_millis(10));
            }
            writeln!(output, "after")
        }
        // But for what two servers, or two runs, cannot have alike.
        _ => {
            let own = |name: &str| DIFFERENT.contains(&name) || name.replace('_', "-").contains("proxy-");
            let alike = variables.iter().filter(|(name, _)| !own(name) || words[0] == "all");
            let lines: Vec<String> = alike.map(|(name, value)| format!("{name}={value}\n")).collect();
            write!(output, "{plain}{}", lines.concat())
        }
    }
}
