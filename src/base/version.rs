//! What this program calls itself.

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of Apache whose behaviour it follows, for `<IfVersion>` and tools that ask.
pub const APACHE: [u32; 3] = [2, 4, 71];

/// How much the Server field tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The name.
    Product,
    /// With the first number of the version.
    Major,
    /// With two.
    Minor,
    /// With the whole version.
    Version,
    /// With the system too.
    System,
}

/// The Server field's value, and SERVER_SOFTWARE.
pub fn software(detail: Detail) -> Vec<u8> {
    let numbers: Vec<&str> = VERSION.split('.').collect();
    let some = |n: usize| numbers.iter().take(n).copied().collect::<Vec<_>>().join(".");
    match detail {
        Detail::Product => "lychgate".into(),
        Detail::Major => format!("lychgate/{}", some(1)),
        Detail::Minor => format!("lychgate/{}", some(2)),
        Detail::Version => format!("lychgate/{VERSION}"),
        Detail::System => format!("lychgate/{VERSION} (Linux)"),
    }
    .into_bytes()
}
