//! A directory with one of each fault, and what is said about it, word for word.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Verdict, examine, run};
use crate::scripts::diagnosis::obstacle::Runner;

struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lychgate-doctor-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        let path = fs::canonicalize(path).expect("it is there");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("our directory");
        Self(path)
    }

    fn file(&self, name: &str, content: &str, mode: u32) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is below the place")).expect("our directory");
        fs::write(&path, content).expect("our directory takes files");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("our file");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn told(dir: &Path) -> (String, Verdict) {
    let runner = Runner {
        uid: 4_242_424,
        gids: vec![4_242_424],
        path: b"/usr/bin:/bin".to_vec(),
    };
    let mut out = Vec::new();
    let verdict = examine(dir, &runner, &mut out).expect("a readable directory");
    let text = String::from_utf8(out).expect("escaped");
    (text.replace(&dir.display().to_string(), "DIR"), verdict)
}

const SCRIPT: &str = "#!/bin/sh\necho\n";

#[test]
fn each_fault_is_told_with_its_cure() {
    let place = Place::new("faults");
    place.file("a-good", SCRIPT, 0o755);
    place.file("b-nobit.cgi", SCRIPT, 0o644);
    place.file("c-crlf.cgi", "#!/bin/sh\r\n", 0o755);
    place.file("d-bom.cgi", "\u{feff}#!/bin/sh\n", 0o755);
    place.file("e-gone.cgi", "#!/no/such/perl\n", 0o755);
    place.file("f-env.cgi", "#!/usr/bin/env no-such-perl\n", 0o755);
    place.file("g-text.cgi", "print 1\n", 0o644);
    place.file("h-unread.cgi", SCRIPT, 0o711);
    place.file("odd\nname", SCRIPT, 0o755);
    let (text, verdict) = told(&place.0);
    let want = r"DIR: as user 4242424 would find it
ok       a-good
fault    b-nobit.cgi: the script has no execute permission
         cure: `chmod a+rx DIR/b-nobit.cgi`
fault    c-crlf.cgi: line 1 ends in CR LF, so its last word is not what it seems: `#!/bin/sh\r`
         cure: `sed -i 's/\r$//' DIR/c-crlf.cgi`
fault    d-bom.cgi: the script begins with a byte order mark, which hides its `#!`
         cure: `sed -i '1s/^\xef\xbb\xbf//' DIR/d-bom.cgi`
fault    e-gone.cgi: the interpreter `/no/such/perl` of line 1 is not there
         cure: install it, or name the one you have
fault    f-env.cgi: `env` does not find `no-such-perl` in PATH `/usr/bin:/bin`
         cure: install it, name it with its directory in line 1, or set PATH with SetEnv
fault    g-text.cgi: the script has no execute permission
         cure: `chmod a+rx DIR/g-text.cgi`
fault    g-text.cgi: the script has no `#!` line and is no program
         cure: let its first line name its interpreter, as `#!/usr/bin/perl` or `#!/bin/sh`
fault    h-unread.cgi: user 4242424 may not read the script, and its interpreter must
         cure: `chmod a+rx DIR/h-unread.cgi`
ok       odd\nname
9 scripts: 8 faults, 0 warnings
";
    assert_eq!(text, want);
    assert_eq!((verdict, verdict.exit_code()), (Verdict::Faults, 1));
}

#[test]
fn what_is_unwise_is_a_warning() {
    let place = Place::new("warnings");
    place.file(".hidden", SCRIPT, 0o755);
    place.file(".htaccess", "Options +ExecCGI\n", 0o644);
    place.file("README", "read me\n", 0o644);
    place.file("group.cgi", SCRIPT, 0o775);
    place.file("old.cgi~", SCRIPT, 0o755);
    place.file("older.cgi.bak", SCRIPT, 0o644);
    place.file("suid.cgi", SCRIPT, 0o4755);
    place.file("world.cgi", SCRIPT, 0o757);
    symlink("/bin/true", place.0.join("link")).expect("our directory takes links");
    symlink("/", place.0.join("root")).expect("our directory takes links");
    place.file("open/x.cgi", SCRIPT, 0o755);
    fs::set_permissions(place.0.join("open"), Permissions::from_mode(0o777)).expect("our directory");
    let (text, verdict) = told(&place.0);
    let want = r"DIR: as user 4242424 would find it
warning  .hidden: a hidden file, and it would run; remove it or `chmod a-x` it
warning  README: no script, and not sent as a file either: below ScriptAlias a request for it fails
warning  group.cgi: its group may change it; `chmod g-w` it
warning  link: a link that leads out of this directory
warning  old.cgi~: a copy an editor or a package tool left behind, and it would run; remove it
warning  root: a link to a directory, not followed; the server follows it where Options allow
warning  suid.cgi: it is set-user-id: it runs with its owner's rights, and is ignored for a `#!` script
warning  world.cgi: everyone may change it; `chmod o-w` it
warning  open: others than its owner may put scripts there; `chmod go-w` it
ok       open/x.cgi
7 scripts: 0 faults, 9 warnings
";
    assert_eq!(text, want);
    assert_eq!((verdict, verdict.exit_code()), (Verdict::Warnings, 0));
}

#[test]
fn a_closed_directory_is_told_once() {
    let place = Place::new("closed");
    place.file("in/a.cgi", SCRIPT, 0o755);
    place.file("in/b.cgi", SCRIPT, 0o755);
    fs::set_permissions(place.0.join("in"), Permissions::from_mode(0o700)).expect("our directory");
    let (text, verdict) = told(&place.0);
    let want = "DIR: as user 4242424 would find it
fault    in: user 4242424 may not search the directory DIR/in (mode 0700)
         cure: `chmod a+x DIR/in`
0 scripts: 1 fault, 0 warnings
";
    assert_eq!(text, want);
    assert_eq!(verdict, Verdict::Faults);
}

#[test]
fn one_file_can_be_examined() {
    let place = Place::new("file");
    place.file("x.cgi", SCRIPT, 0o755);
    let (text, verdict) = told(&place.0.join("x.cgi"));
    assert_eq!(
        text,
        "DIR: as user 4242424 would find it\nok       DIR\n1 script: 0 faults, 0 warnings\n"
    );
    assert_eq!(verdict, Verdict::Healthy);
}

#[test]
fn a_missing_directory_is_an_error() {
    let place = Place::new("missing");
    assert!(run(&place.0.join("none"), &mut Vec::new()).is_err());
}
