//! Ports at which nobody is left to serve when virtual hosts are left out: those of TLS would speak plain HTTP.

use crate::base::ascii;
use crate::config::node::Node;

use super::change::Change;
use super::finding::{Finding, Kind};
use super::texts::Texts;

/// The Listen lines for the ports of virtual hosts that are to be left out, where no other virtual host is.
pub fn idle(nodes: &[Node], findings: &[Finding], texts: &Texts) -> Vec<Finding> {
    let is_left_out = |host: &Node| {
        findings.iter().any(|finding| {
            let Change::LeaveOutHost { first, .. } = finding.change else {
                return false;
            };
            finding.place.file == host.span().file && first == host.span().line
        })
    };
    let hosts = nodes
        .iter()
        .filter(|node| node.name().eq_ignore_ascii_case("VirtualHost"));
    let (left_out, stay): (Vec<&Node>, Vec<&Node>) = hosts.partition(|host| is_left_out(host));
    let ports = |hosts: &[&Node]| -> Vec<Option<u64>> {
        let words = hosts.iter().flat_map(|host| host.words());
        words.map(|word| port(word)).collect()
    };
    let (gone, left) = (ports(&left_out), ports(&stay));
    let lines = nodes.iter().filter(|node| node.name().eq_ignore_ascii_case("Listen"));
    lines
        .filter(|line| {
            let port = line.words().first().and_then(|word| port(word));
            // A virtual host without a port is at every one.
            port.is_some() && gone.contains(&port) && !left.contains(&port) && !left.contains(&None)
        })
        .filter_map(|node| {
            let (line, last) = texts.line(node.span(), "Listen")?;
            Some(Finding {
                kind: Kind::Remark,
                place: node.span().clone(),
                directive: "Listen".to_owned(),
                message: "without the virtual host that is not supported, this port would speak plain HTTP".to_owned(),
                line: Some(line),
                change: Change::LeaveOut { last },
            })
        })
        .collect()
}

/// The port of an address; nothing where it names none, or all.
fn port(address: &[u8]) -> Option<u64> {
    let digits = address.rsplit(|byte| *byte == b':').next()?;
    ascii::parse_decimal(digits)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{idle, port};
    use crate::commands::import::finding::Finding;
    use crate::commands::import::texts::Texts;
    use crate::config::load::load_text;

    #[test]
    fn ports_are_read_from_addresses() {
        for (address, want) in [
            ("443", Some(443)),
            ("_default_:443", Some(443)),
            ("[::1]:81", Some(81)),
            ("*", None),
            ("a.example", None),
            ("*:*", None),
        ] {
            assert_eq!(port(address.as_bytes()), want, "{address}");
        }
    }

    #[test]
    fn a_port_of_tls_alone_is_told() {
        const TLS: &str = "<VirtualHost *:443>\nSSLEngine on\nMDomain a.example\n</VirtualHost>\n";
        for (name, more, want) in [
            ("alone", "", vec!["2"]),
            ("beside", "<VirtualHost *:443>\n</VirtualHost>\n", vec![]),
            ("everywhere", "<VirtualHost *>\n</VirtualHost>\n", vec![]),
            ("elsewhere", "<VirtualHost *:80>\n</VirtualHost>\n", vec!["2"]),
        ] {
            let path = std::env::temp_dir().join(format!("lychgate-idle-{name}-{}", std::process::id()));
            let text = format!("Listen 80\nListen 0.0.0.0:443\n{TLS}{more}");
            std::fs::write(&path, &text).expect("there is room");
            let loaded = load_text(&path.to_string_lossy(), text.as_bytes(), Path::new("/"));
            let (texts, nodes) = (Texts::default(), &loaded.settings.nodes);
            let findings: Vec<Finding> = loaded
                .complaints
                .iter()
                .map(|complaint| Finding::of(complaint, nodes, &texts))
                .collect();
            let told: Vec<String> = idle(nodes, &findings, &texts)
                .iter()
                .map(|finding| finding.place.line.to_string())
                .collect();
            assert_eq!(told, want, "{name}");
            std::fs::remove_file(&path).expect("ours");
        }
    }
}
