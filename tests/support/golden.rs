//! Golden files: what is produced must equal the file under tests/golden; `BLESS=1` rewrites it.

use std::path::Path;

/// Compares `actual` with `tests/golden/NAME`, or writes it when `BLESS=1`.
pub fn compare(name: &str, actual: &[u8]) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        let parent = path.parent().expect("a golden file lies in tests/golden");
        return std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, actual))
            .map_err(|e| format!("golden: {name}: {e}"));
    }
    let wanted = std::fs::read(&path).map_err(|e| format!("golden: {name}: {e} (BLESS=1 writes it)"))?;
    if wanted == actual {
        return Ok(());
    }
    let (wanted, actual) = (String::from_utf8_lossy(&wanted), String::from_utf8_lossy(actual));
    let line = wanted.lines().zip(actual.lines()).take_while(|(w, a)| w == a).count();
    let nth = |text: &str| text.lines().nth(line).unwrap_or("(no line)").to_string();
    Err(format!(
        "golden: {name}: line {}: wanted `{}`, have `{}`",
        line + 1,
        nth(&wanted),
        nth(&actual)
    ))
}
