//! Passwords that take long to try: whoever else asks is served meanwhile.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use libtest_mimic::{Failed, Trial};

use crate::support::server;
use crate::support::site;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![Trial::test("auth::a_password_being_tried_holds_nobody_up", || {
        a_password_being_tried_holds_nobody_up().map_err(Failed::from)
    })]
}

/// Seconds of work, so that others are done before it is.
const COSTLY: &str = "dear:$2y$15$xp7QiUz2HZu7AyQO0JxBUu.Lf0kJ/7E5GmFOVNcZJK5Q.XPYJUBzG\n";

fn a_password_being_tried_holds_nobody_up() -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let users = server::fresh_root("auth-users").join("users");
    fs::write(&users, COSTLY).map_err(told)?;
    let user_file = format!("AuthUserFile {}", users.display());
    let lines = [
        "<Location /closed>",
        "AuthType Basic",
        "AuthName x",
        &user_file,
        "Require valid-user",
        "</Location>",
    ];
    let (root, server) = site::boot_script("auth-holds-nobody-up", "#!/bin/sh\n", &lines)?;
    server::write(&root.join("htdocs/f.txt"), b"hello")?;
    let mut dear = TcpStream::connect(&server.listeners[0]).map_err(told)?;
    dear.write_all(b"GET /closed HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ZGVhcjpwdw==\r\n\r\n")
        .map_err(told)?;
    // As many as meet every thread.
    for _ in 0..16 {
        let mut other = TcpStream::connect(&server.listeners[0]).map_err(told)?;
        other
            .write_all(b"GET /f.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .map_err(told)?;
        let mut reply = String::new();
        other.read_to_string(&mut reply).map_err(told)?;
        if !reply.starts_with("HTTP/1.1 200") {
            return Err(reply);
        }
    }
    let mut reply = [0; 12];
    dear.set_nonblocking(true).map_err(told)?;
    match dear.read(&mut reply) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        other => return Err(format!("the password was tried before others were served: {other:?}")),
    }
    dear.set_nonblocking(false).map_err(told)?;
    dear.read_exact(&mut reply).map_err(told)?;
    if &reply != b"HTTP/1.1 401" {
        return Err(format!("the password got {}", reply.escape_ascii()));
    }
    drop(dear);
    site::end(&root, server)
}
