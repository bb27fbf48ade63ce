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
    match detail {
        Detail::Product => "lychgate",
        Detail::Major => concat!("lychgate/", env!("CARGO_PKG_VERSION_MAJOR")),
        Detail::Minor => concat!(
            "lychgate/",
            env!("CARGO_PKG_VERSION_MAJOR"),
            ".",
            env!("CARGO_PKG_VERSION_MINOR")
        ),
        Detail::Version => concat!("lychgate/", env!("CARGO_PKG_VERSION")),
        Detail::System => concat!("lychgate/", env!("CARGO_PKG_VERSION"), " (Linux)"),
    }
    .into()
}
