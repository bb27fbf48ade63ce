//! Entity tags of files and directories as Apache writes them (`FileETag`).

use std::time::{Duration, SystemTime};

use base64::Engine;
use sha1::Digest;

use crate::config::directives::DirConf;
use crate::fs::open::{Meta, OpenFile};
use crate::http::depends;

/// The entity tag of a file: inode, size and time of change in hexadecimal, the last in microseconds, or a digest of the
/// content. Weak while the file may still change within the same second.
pub fn of_file(conf: &DirConf, file: &OpenFile, now: SystemTime) -> Option<Vec<u8>> {
    if conf.core.file_etag.in_force().digest {
        return digest(file).map(|digest| format!("\"{digest}\"").into_bytes());
    }
    of_facts(conf, &file.meta, now)
}

/// The entity tag by what the system says of a file or directory, without its content.
pub fn of_facts(conf: &DirConf, meta: &Meta, now: SystemTime) -> Option<Vec<u8>> {
    let parts = conf.core.file_etag.in_force();
    let mtime = microseconds(meta);
    let mut words = Vec::new();
    if parts.inode {
        words.push(format!("{:x}", meta.inode));
    }
    if parts.size {
        words.push(format!("{:x}", meta.size));
    }
    if parts.mtime {
        words.push(format!("{mtime:x}"));
    }
    if words.is_empty() {
        return None;
    }
    Some(format!("{}\"{}\"", weak(mtime, now), words.join("-")).into_bytes())
}

/// The entity tag of a list of variants, which has no file: when their directory changed. Nothing where files have none.
pub fn of_list(conf: &DirConf, directory: &Meta, now: SystemTime) -> Option<Vec<u8>> {
    let parts = conf.core.file_etag.in_force();
    let mtime = microseconds(directory);
    let has_tags = parts.digest || parts.inode || parts.size || parts.mtime;
    has_tags.then(|| format!("{}\"{mtime:x}\"", weak(mtime, now)).into_bytes())
}

fn microseconds(meta: &Meta) -> i128 {
    i128::from(meta.mtime.0) * 1_000_000 + i128::from(meta.mtime.1 / 1000)
}

/// What begins the tag of something that changed at `mtime`.
fn weak(mtime: i128, now: SystemTime) -> &'static str {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i128::try_from(since.as_micros()).unwrap_or(0));
    if now - mtime > 1_000_000 {
        return "";
    }
    let until = u64::try_from(mtime + 1_000_001).unwrap_or(0);
    depends::on_time(SystemTime::UNIX_EPOCH + Duration::from_micros(until));
    "W/"
}

/// The content's SHA-1 in base64; without it (the file cannot be read to its end) there is no tag.
fn digest(file: &OpenFile) -> Option<String> {
    let mut sha1 = sha1::Sha1::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = 0;
    while offset < file.meta.size {
        let n = file.read_at(&mut buffer, offset).ok().filter(|n| *n > 0)?;
        sha1.update(buffer.get(..n)?);
        offset += n as u64;
    }
    Some(base64::engine::general_purpose::STANDARD.encode(sha1.finalize()))
}

/// The tag of a variant with that of the list it is from (RFC 2295 section 9.2): weak if either is.
pub fn with_list(variant: &[u8], list: &[u8]) -> Vec<u8> {
    let weak = |tag: &[u8]| tag.starts_with(b"W/");
    let bare = |tag: &[u8]| {
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
        let tag = tag.strip_prefix(b"\"").unwrap_or(tag);
        tag.strip_suffix(b"\"").unwrap_or(tag).to_vec()
    };
    let prefix: &[u8] = if weak(variant) || weak(list) { b"W/" } else { b"" };
    [prefix, b"\"", &bare(variant), b";", &bare(list), b"\""].concat()
}

#[cfg(test)]
mod tests {
    use super::with_list;

    #[test]
    fn a_tag_with_that_of_its_list_is_weak_if_either_is() {
        for (variant, list, want) in [
            ("\"a\"", "\"0\"", "\"a;0\""),
            ("W/\"a\"", "\"0\"", "W/\"a;0\""),
            ("\"a\"", "W/\"b-c\"", "W/\"a;b-c\""),
        ] {
            assert_eq!(with_list(variant.as_bytes(), list.as_bytes()), want.as_bytes());
        }
    }
}
