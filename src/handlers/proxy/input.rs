//! Which body a server behind this one gets: the client's as it comes, with its length or in chunks; or, where that server must be
//! told the length, as it was kept.

use crate::exchange::Exchange;
use crate::exchange::body::BodyLength;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::handlers::application::input::Input;
use crate::handlers::proxy::MODULE;
use crate::http::head::Version;

/// Prepares it for a server that is spoken to in `version`. As in Apache, `proxy-sendcl` asks for a length and
/// `proxy-sendchunked` for chunks.
pub(super) async fn of(ex: &mut Exchange, place: &Place, version: Version) -> Result<Input, Fail> {
    let wants_length = version == Version::V10 || ex.variable(b"proxy-sendcl").is_some();
    let wants_chunks = ["proxy-sendchunked", "proxy-sendchunks"]
        .iter()
        .any(|name| ex.variable(name.as_bytes()).is_some());
    let in_chunks = match ex.body.length() {
        BodyLength::None | BodyLength::Known(0) => false,
        BodyLength::Known(_) => wants_chunks && !wants_length,
        BodyLength::Unknown => !wants_length,
    };
    if in_chunks {
        return Input::in_chunks(ex, place, MODULE);
    }
    Input::of(ex, place, MODULE).await
}
