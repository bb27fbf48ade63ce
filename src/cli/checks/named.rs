//! Whether this machine has the directories that logs lie in, and knows the user that serves, as Apache looks at `-t`; and the
//! programs that take logs, which Apache looks for when it starts.

use rustix::fs::{FileType, stat};
use rustix::io::Errno;

use crate::config::error::ConfigError;
use crate::config::load::Loaded;
use crate::config::node::{Node, Settings};
use crate::config::words::{below, shown};
use crate::launcher::words::split;
use crate::process::identity::{Identity, UnknownIdentity};

/// The directives that name a file which the server makes itself.
const LOGS: [&str; 4] = ["CustomLog", "ErrorLog", "GlobalLog", "TransferLog"];

/// The logs of sites whose directories, or whose programs, are not there, and those whose programs get what a shell should.
/// `logs` of ServerRoot is made when the server starts.
pub(in crate::cli) fn unfit_logs(settings: &Settings) -> Vec<ConfigError> {
    let mut unfit = Vec::new();
    for node in &settings.nodes {
        unfit.extend(unfit_log(node, settings));
        if node.name().eq_ignore_ascii_case("VirtualHost") {
            let inside = node.children().iter();
            unfit.extend(inside.filter_map(|child| unfit_log(child, settings)));
        }
    }
    unfit
}

fn unfit_log(node: &Node, settings: &Settings) -> Option<ConfigError> {
    let directive = LOGS.iter().find(|name| node.name().eq_ignore_ascii_case(name))?;
    let word = node.words().first()?;
    let sentence = match word.strip_prefix(b"|") {
        Some(command) => match missing_program(command) {
            Some(sentence) => sentence,
            None => return Some(ConfigError::warning(node.span(), node.name(), shell_word(command)?)),
        },
        None if *directive == "ErrorLog" && is_system_log(word) => return None,
        None => missing_directory(settings, word)?,
    };
    Some(ConfigError::error(node.span(), node.name(), sentence))
}

/// That the program of a command is not there. What a shell makes of its command is for the shell to find out.
fn missing_program(command: &[u8]) -> Option<String> {
    if command.starts_with(b"$") {
        return None;
    }
    let program = split(command.strip_prefix(b"|").unwrap_or(command))
        .into_iter()
        .next()?;
    let is_missing = program.starts_with(b"/") && matches!(stat(program.as_slice()), Err(Errno::NOENT | Errno::NOTDIR));
    is_missing.then(|| format!("{} is not there; install it, or name another program", shown(&program)))
}

/// That a word of a command which no shell sees is meant for one.
fn shell_word(command: &[u8]) -> Option<String> {
    if command.starts_with(b"$") {
        return None;
    }
    let words = split(command.strip_prefix(b"|").unwrap_or(command)).into_iter().skip(1);
    let is_meant = |word: &Vec<u8>| {
        let is_redirection = word.starts_with(b">") || word.starts_with(b"2>");
        is_redirection || matches!(word.as_slice(), b"<" | b"|" | b"||" | b"&" | b"&&" | b";")
    };
    let word = words.into_iter().find(is_meant)?;
    let told = "is for a shell, but `|` starts the program without one and hands it over as a word; `|$` in its place has a shell";
    Some(format!("{} {told}", shown(&word)))
}

fn missing_directory(settings: &Settings, word: &[u8]) -> Option<String> {
    let path = below(&settings.server_root, word);
    let end = path.iter().rposition(|byte| *byte == b'/')?;
    let directory = path.get(..end.max(1))?;
    let is_missing = match stat(directory) {
        _ if directory == below(&settings.server_root, b"logs") => false,
        Ok(status) => FileType::from_raw_mode(status.st_mode) != FileType::Directory,
        Err(errno) => matches!(errno, Errno::NOENT | Errno::NOTDIR),
    };
    is_missing.then(|| format!("{} is not a directory; make it, or name another", shown(directory)))
}

fn is_system_log(word: &[u8]) -> bool {
    let name = word.split(|byte| *byte == b':').next();
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"syslog"))
}

/// What nobody knows of the user and the group that root is to make way for. Nobody else can take any, and is not asked.
pub(in crate::cli) fn unknown_identity(loaded: &Loaded) -> Option<ConfigError> {
    let core = &loaded.config.server.core;
    let unknown = Identity::for_root(core.user.value(), core.group.value()).err()?;
    let (directive, advice) = match unknown {
        UnknownIdentity::User(_) => ("User", "add it, or name another"),
        UnknownIdentity::Group(_) => ("Group", "add it, or name another"),
        UnknownIdentity::NoGroup(_) => ("User", "add a `Group` line"),
    };
    let mut nodes = loaded.settings.nodes.iter().rev();
    let node = nodes.find(|node| node.name().eq_ignore_ascii_case(directive))?;
    let sentence = format!("{}; {advice}", unknown.what());
    Some(ConfigError::error(node.span(), node.name(), sentence))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::unfit_logs;
    use crate::config::load::load_text;

    #[test]
    fn logs_lie_in_directories_that_are_there_and_go_to_programs_that_are() {
        let text =
            b"ErrorLog /nowhere/main\nCustomLog /tmp/log common\nTransferLog nowhere/log\nCustomLog logs/a common\n\
            <VirtualHost *:80>\nErrorLog syslog:user:a/b\nCustomLog \"|/nowhere/program /nowhere/a\" common\n\
            CustomLog /dev/null/log common\nGlobalLog \"/no where/log\" common\n</VirtualHost>\n\
            <VirtualHost *:81>\nErrorLog /log\n</VirtualHost>\nCustomLog \"||/bin/sh -c /nowhere\" common\n\
            CustomLog \"|$/nowhere\" common\nErrorLog \"||'/nowhere/a b' c\"\nCustomLog |program common\n\
            CustomLog \"|/bin/cat >> /tmp/a\" common\nCustomLog \"|$/bin/cat >> /tmp/a\" common\nErrorLog \"||/bin/cat -u 2>&1 | cat\"\n\
            GlobalLog \"|/bin/sh -c 'cat > /tmp/a'\" common\n";
        let loaded = load_text("a.conf", text, Path::new("/srv"));
        let no_shell = "is for a shell, but `|` starts the program without one and hands it over as a word; `|$` in its place has a shell";
        let unfit = unfit_logs(&loaded.settings);
        let unfit: Vec<String> = unfit.iter().map(ToString::to_string).collect();
        assert_eq!(
            unfit,
            [
                "a.conf:1: ErrorLog: `/nowhere` is not a directory; make it, or name another",
                "a.conf:3: TransferLog: `/srv/nowhere` is not a directory; make it, or name another",
                "a.conf:7: CustomLog: `/nowhere/program` is not there; install it, or name another program",
                "a.conf:8: CustomLog: `/dev/null` is not a directory; make it, or name another",
                "a.conf:9: GlobalLog: `/no where` is not a directory; make it, or name another",
                "a.conf:16: ErrorLog: `/nowhere/a b` is not there; install it, or name another program",
                &format!("a.conf:18: warning: CustomLog: `>>` {no_shell}"),
                &format!("a.conf:20: warning: ErrorLog: `2>&1` {no_shell}"),
            ]
        );
    }
}
