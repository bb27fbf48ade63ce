//! Who knows the pass phrases of encrypted private keys: `mod_ssl`.

use crate::config::directives::Server;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER, Set, Words};
use crate::config::words::{Args, Said, below};

settings! {
    /// Who knows pass phrases.
    pub struct PassPhrases {
        /// `SSLPassPhraseDialog`; without a program nobody does.
        program: Setting<Vec<Vec<u8>>>,
    }
}

fn dialog(server: &mut Server, args: &Args) -> Said<()> {
    let word = args.bytes(0);
    let command = match word.strip_prefix(b"exec:").or_else(|| word.strip_prefix(b"|")) {
        _ if word == b"builtin" => return Ok(()),
        Some(command) => command,
        None => {
            return Err("write `exec:` and the path of a program that prints the pass phrase, or `builtin`".to_owned());
        }
    };
    let mut words = command.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let Some(program) = words.next() else {
        return Err("the path of a program is missing".to_owned());
    };
    let program = below(args.server_root, program);
    let words = [program].into_iter().chain(words.map(<[u8]>::to_vec));
    server.pass_phrases.program.set(words.collect());
    Ok(())
}

/// The table.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "SSLPassPhraseDialog",
    module: "mod_ssl",
    syntax: "builtin|exec:program|\"|program [argument ...]\"",
    words: Words::exactly(1),
    allowed: SERVER,
    overrides: Override::None,
    default: "builtin",
    summary: "Say who knows the pass phrases of encrypted private keys.",
    manual: "The program is started by who reads the settings, at the start, at each reload and by -t, as the user who does so. It is given \
two arguments, `name:port` of the site and the number of the key: RSA, DSA, ECC for the first three, 3 for the fourth; and it has ten \
seconds to print the pass phrase. A pass phrase that opened one key is tried with the others first. With `builtin` an encrypted key is \
refused: nobody is asked at the terminal, for a reload has none.",
    set: Set::Server(dialog),
}];
