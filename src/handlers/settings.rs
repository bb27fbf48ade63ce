//! The server's settings as it reads them (`SetHandler server-info`, mod_info): all on one page, or a part of it by the
//! query: `?server`, `?config`, `?list`, or a module's name, `?mod_alias.c`. Values that are nobody's affair are left out.

mod secrets;

use std::fmt::{Display, Write};
use std::sync::Arc;

use crate::base::quote;
use crate::base::version::VERSION;
use crate::config::directives;
use crate::config::load::{self, MODULES};
use crate::config::node::Node;
use crate::exchange::fail::Fail;
use crate::exchange::response::Outcome;
use crate::exchange::{Exchange, page as house};
use crate::handlers::status::answer;

const STYLE: &str = "\
main{max-width:64rem;padding-top:clamp(1rem,4vw,2.5rem)}h2{font-size:1.1rem;margin:1.8rem 0 .5rem}\
h3{font:600 .85rem/1.5 ui-monospace,monospace;color:var(--soft);margin:1.2rem 0 .3rem;overflow-wrap:anywhere}\
pre{margin:0;font:.85rem/1.55 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}\
pre span{display:grid;grid-template-columns:3.5rem 1fr}pre i{color:var(--soft);font-style:normal;text-align:right;padding-right:1rem;user-select:none}\
pre b{font-weight:600}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
ul{columns:14rem;padding:0;margin:0;list-style:none}nav a{margin-right:1rem}\
@media(max-width:40rem){pre span{grid-template-columns:2.2rem 1fr}pre i{padding-right:.6rem}dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}";

/// So many lines of settings are shown.
const LINES: usize = 20_000;

/// The answer; `text` is the settings as the launcher hands them to its roles.
pub fn run(ex: &Exchange, text: &[u8]) -> Result<Outcome, Fail> {
    let settings = load::tree(text).map_err(|error| Fail::internal(error.to_string()).of_module("info"))?;
    let query = ex.target.query.as_deref().unwrap_or_default();
    let part = Part::of(query);
    let mut page = Page(String::new());
    page.raw("<h1>Server information</h1>\n<p><nav>");
    for (query, name) in [
        ("?", "all"),
        ("?server", "server"),
        ("?config", "settings"),
        ("?list", "modules"),
    ] {
        page.raw(format_args!("<a href=\"{query}\">{name}</a>"));
    }
    page.raw("</nav></p>\n");
    if matches!(part, Part::All | Part::Server) {
        page.server(ex);
    }
    if matches!(part, Part::All | Part::List) {
        page.modules();
    }
    match part {
        Part::All | Part::Config => {
            page.raw("<h2>Settings</h2>\n");
            page.settings(&settings.nodes, &|_| true);
        }
        Part::Module(name) => page.module(name, &settings.nodes),
        Part::Server | Part::List => {}
    }
    let mut out = house::head(b"Server information", STYLE, b"");
    out.extend_from_slice(page.0.as_bytes());
    house::end(&mut out, ex.signature().as_deref());
    Ok(Outcome::Reply(answer("text/html; charset=utf-8", out)))
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Part<'a> {
    All,
    Server,
    Config,
    List,
    Module(&'a [u8]),
}

impl Part<'_> {
    fn of(query: &[u8]) -> Part<'_> {
        match query {
            b"" => Part::All,
            b"server" => Part::Server,
            b"config" => Part::Config,
            b"list" => Part::List,
            module => Part::Module(module),
        }
    }
}

struct Page(String);

impl Page {
    fn raw(&mut self, html: impl Display) {
        // Writing to a String does not fail.
        let _written = write!(self.0, "{html}");
    }

    fn text(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let escaped = quote::html(text.as_bytes());
        self.0.push_str(&String::from_utf8_lossy(&escaped));
    }

    fn server(&mut self, ex: &Exchange) {
        let local = ex.connection.local;
        self.raw("<h2>Server</h2>\n<dl>");
        let rows = [
            ("Version", format!("lychgate {VERSION}").into_bytes()),
            ("Name", ex.server_name().to_vec()),
            ("Port", ex.server_port().to_string().into_bytes()),
            ("Address of this connection", local.to_string().into_bytes()),
            ("ServerRoot", ex.config.server_root.clone()),
            ("Sites", ex.config.sites.len().to_string().into_bytes()),
            ("Script places", ex.config.script_places.len().to_string().into_bytes()),
            ("Services", ex.config.services.len().to_string().into_bytes()),
        ];
        for (name, value) in rows {
            self.raw(format_args!("<dt>{name}</dt><dd>"));
            self.text(&value);
            self.raw("</dd>");
        }
        self.raw("</dl>\n");
    }

    fn modules(&mut self) {
        self.raw("<h2>Modules of Apache whose work is done here</h2>\n<ul>");
        for (file, _) in MODULES {
            self.raw(format_args!("<li><a href=\"?{file}\">{file}</a></li>"));
        }
        self.raw("</ul>\n");
    }

    /// A module's directives, and the lines in which they stand.
    fn module(&mut self, file: &[u8], nodes: &[Node]) {
        let name = file.strip_suffix(b".c").unwrap_or(file);
        let of_it: Vec<_> = directives::all().filter(|one| one.module.as_bytes() == name).collect();
        self.raw("<h2>");
        self.text(file);
        self.raw("</h2>\n");
        if of_it.is_empty() {
            return self.raw("<p>No directive of such a module is known here.</p>\n");
        }
        self.raw("<dl>");
        for one in &of_it {
            self.raw("<dt>");
            self.text(one.name.as_bytes());
            self.raw("</dt><dd>");
            self.text(one.summary.as_bytes());
            self.raw("</dd>");
        }
        self.raw("</dl>\n<h2>Settings of it</h2>\n");
        let is_of_it = |node: &Node| {
            let mut names = of_it.iter().map(|one| one.name.trim_matches(['<', '>']));
            names.any(|name| name.eq_ignore_ascii_case(node.name()))
        };
        self.settings(nodes, &is_of_it);
    }

    /// The nodes that are wanted, with the sections around them.
    fn settings(&mut self, nodes: &[Node], wanted: &dyn Fn(&Node) -> bool) {
        let mut lines = Lines {
            page: self,
            file: None,
            left: LINES,
        };
        lines.nodes(nodes, 0, wanted);
        let is_begun = lines.file.is_some();
        let is_cut = lines.left == 0;
        self.raw(if is_begun { "</pre>\n" } else { "<p>None.</p>\n" });
        if is_cut {
            self.raw(format_args!("<p>More than {LINES} lines; the rest is left out.</p>\n"));
        }
    }
}

struct Lines<'p> {
    page: &'p mut Page,
    file: Option<Arc<str>>,
    left: usize,
}

impl Lines<'_> {
    fn nodes(&mut self, nodes: &[Node], depth: usize, wanted: &dyn Fn(&Node) -> bool) {
        for node in nodes.iter().filter(|node| holds(node, wanted)) {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            self.place(node);
            let indent = "  ".repeat(depth);
            let is_section = matches!(node, Node::Section { .. });
            let (open, close) = if is_section { ("&lt;", "&gt;") } else { ("", "") };
            self.page
                .raw(format_args!("<span><i>{}</i><code>{indent}{open}<b>", node.span().line));
            self.page.text(node.name().as_bytes());
            self.page.raw("</b>");
            let words = secrets::shown(node);
            if !words.is_empty() {
                self.page.raw(" ");
                self.page.text(&words);
            }
            self.page.raw(format_args!("{close}</code></span>"));
            if is_section {
                self.nodes(node.children(), depth + 1, wanted);
                self.page.raw(format_args!("<span><i></i><code>{indent}&lt;/<b>"));
                self.page.text(node.name().as_bytes());
                self.page.raw("</b>&gt;</code></span>");
            }
        }
    }

    fn place(&mut self, node: &Node) {
        let file = &node.span().file;
        if self.file.as_ref() != Some(file) {
            let end = if self.file.is_some() { "</pre>\n" } else { "" };
            self.page.raw(format_args!("{end}<h3>"));
            self.page.text(file.as_bytes());
            self.page.raw("</h3>\n<pre>");
            self.file = Some(Arc::clone(file));
        }
    }
}

/// Whether a node is wanted, or one inside of it.
fn holds(node: &Node, wanted: &dyn Fn(&Node) -> bool) -> bool {
    wanted(node) || node.children().iter().any(|child| holds(child, wanted))
}
