//! Pages as a browser shows them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::site::{Site, copied};
use crate::support::server;

/// All tests of this file.
pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("site::a_browser_shows_the_start_page", a_browser_shows_the_start_page),
        Trial::ignorable_test("site::a_browser_shows_a_listing", a_browser_shows_a_listing),
        Trial::ignorable_test("site::a_browser_shows_the_status_page", a_browser_shows_the_status_page),
    ]
}

/// A browser that runs no script of ours still finds the heading, and the style sheet applies (its colour is asked).
fn a_browser_shows_the_start_page() -> Result<Completion, Failed> {
    let Some(browser) = browser() else {
        return Ok(Completion::ignored_with("no browser is installed"));
    };
    let site = Site::boot("browser", "")?;
    let page = shown(browser, &site, "/")?;
    if !page.contains("It works.") || !page.contains("/cgi-bin/counter?page=home") {
        return Err(format!("the browser shows: {page}").into());
    }
    site.end()?;
    Ok(Completion::Completed)
}

/// A listing fits into a window of 390 pixels, whatever names are in it, and one of 1280.
fn a_browser_shows_a_listing() -> Result<Completion, Failed> {
    let Some(browser) = browser() else {
        return Ok(Completion::ignored_with("no browser is installed"));
    };
    let more = "Alias /pub pub\n<Directory pub>\nOptions Indexes\nRequire all granted\n\
AddDescription \"described in some words\" notes\n\
IndexHeadInsert \"<script>addEventListener('load',()=>{let d=document.documentElement;parent.document.title+=d.scrollWidth<=d.clientWidth?' fits':' overflows'})</script>\"\n\
</Directory>\n";
    let root = copied("browser-listing", more)?;
    let names = ["notes.txt", "film.mp4", "picture.jpg", "a.tar.gz"];
    for name in names.map(str::to_owned).into_iter().chain(["long-name-".repeat(20)]) {
        server::write(&root.join("pub").join(name), b"x")?;
    }
    let frames =
        "<title>:</title><iframe src=/pub/ width=390></iframe><iframe src='/pub/?C=S;O=D' width=1280></iframe>";
    server::write(&root.join("htdocs/frames.html"), frames.as_bytes())?;
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    let page = shown(browser, &site, "/frames.html")?;
    if !page.contains("<title>: fits fits</title>") {
        return Err(format!("the browser shows: {page}").into());
    }
    site.end()?;
    Ok(Completion::Completed)
}

/// The status page fits into a window of 400 pixels and one of 1200, whatever a client has asked for, and so does the page of
/// settings; nothing of it is loaded from elsewhere.
fn a_browser_shows_the_status_page() -> Result<Completion, Failed> {
    let Some(browser) = browser() else {
        return Ok(Completion::ignored_with("no browser is installed"));
    };
    let root = copied("browser-status", "Include conf/extra/status.conf\n")?;
    let long = "x".repeat(200);
    let frame = |path: &str, width: u32| format!("<iframe src='{path}' width={width}></iframe>");
    let frames = [
        frame(&format!("/server-status?{long}"), 400),
        frame("/server-status", 1200),
        frame("/server-info", 400),
        frame("/server-info", 1200),
    ];
    let script = "<script>addEventListener('load',()=>{for(let f of document.querySelectorAll('iframe')){\
let d=f.contentDocument,e=d.documentElement;\
document.title+=e.scrollWidth<=e.clientWidth&&d.querySelector('h1')&&!d.querySelector('script,link,img')?' fits':' overflows'}})</script>";
    let page = format!("<title>:</title>{}{script}", frames.concat());
    server::write(&root.join("htdocs/frames.html"), page.as_bytes())?;
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    let page = shown(browser, &site, "/frames.html")?;
    if !page.contains("<title>: fits fits fits fits</title>") {
        return Err(format!("the browser shows: {page}").into());
    }
    site.end()?;
    Ok(Completion::Completed)
}

/// A browser, if there is one.
pub fn browser() -> Option<&'static str> {
    let answers = |name: &&str| {
        let mut command = Command::new(name);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    };
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(answers)
}

/// What a browser makes of a page.
fn shown(browser: &str, site: &Site, path: &str) -> Result<String, String> {
    shown_at(
        browser,
        &site.root,
        &format!("http://{}{path}", site.server.listeners[0]),
        &[],
    )
}

/// What a browser, given more flags, makes of what is at a URL; its files are in `root`.
pub fn shown_at(browser: &str, root: &Path, url: &str, flags: &[&str]) -> Result<String, String> {
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
        ])
        .arg(format!("--user-data-dir={}", root.join("profile").display()))
        .args(flags)
        .args(["--dump-dom", url]);
    let output = server::run(root, command, Duration::from_secs(60))?;
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    if page.is_empty() {
        return Err(format!("the browser says: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(page)
}
