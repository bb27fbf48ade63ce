//! What mod_rewrite traces of each request, in both error logs. Names of servers, addresses and numbers of requests are not
//! compared; what kind of request it is, the directory and the words are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long lines may come after the answer.
const LATE: Duration = Duration::from_secs(2);

/// The two error logs, and how much of each belongs to requests before.
pub struct Logs {
    ours: Log,
    theirs: Log,
}

struct Log {
    path: PathBuf,
    read: usize,
}

impl Logs {
    pub fn new(root: &Path) -> Logs {
        let log = |name: &str| Log {
            path: root.join(name),
            read: 0,
        };
        Logs {
            ours: log("lychgate.error.log"),
            theirs: log("apache.error.log"),
        }
    }

    /// How the lines of the request differ that has just been answered, if they do.
    pub fn difference(&mut self) -> Result<Option<String>, String> {
        // Apache has written its lines before it answers.
        let theirs = self.theirs.news()?;
        let deadline = Instant::now() + LATE;
        let mut ours = self.ours.news()?;
        while ours.len() < theirs.len() && Instant::now() < deadline {
            std::thread::yield_now();
            ours.extend(self.ours.news()?);
        }
        if std::env::var_os("SHOW").is_some() {
            println!("{ours:#?}\n{theirs:#?}");
        }
        if ours == theirs {
            return Ok(None);
        }
        let same = ours
            .iter()
            .zip(&theirs)
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        let told = |lines: &[String]| lines.get(same).map_or("nothing more", String::as_str).to_owned();
        Ok(Some(format!(
            "traces differ from their line {}\n  {}\nnot\n  {}",
            same + 1,
            told(&ours),
            told(&theirs)
        )))
    }
}

impl Log {
    /// The whole lines of traces that have come since the last time.
    fn news(&mut self) -> Result<Vec<String>, String> {
        let text = fs::read(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))?;
        let news = text.get(self.read..).unwrap_or_default();
        let whole = news.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole;
        let text = String::from_utf8_lossy(&news[..whole]).into_owned();
        Ok(text.lines().filter_map(masked).collect())
    }
}

/// `[rewrite:trace3] initial/redir#1 [perdir /srv/] applying pattern ...` of a whole line.
fn masked(line: &str) -> Option<String> {
    let (_, level) = line.split_once("[rewrite:trace")?;
    let level = level.get(..1)?;
    let (_, request) = line.split_once("[rid#")?;
    let (_, request) = request.split_once('/')?;
    let request = request.split(", referer: ").next()?;
    // Apache keeps single lines of maps, lychgate whole files.
    if request.ends_with("cache lookup FAILED, forcing new map lookup") {
        return None;
    }
    let mut request = request.replace("cache lookup OK: map=", "map lookup OK: map=");
    if let (true, Some(key)) = (
        request.contains("map lookup OK: map="),
        request.strip_suffix(" -> val="),
    ) {
        request = key.replace("map lookup OK: map=", "map lookup FAILED: map=");
    }
    Some(format!("trace{level} {request}"))
}
