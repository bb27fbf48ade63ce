//! What a script is told, as far as that is the same for all requests that lead to it by the same way.

use std::cell::OnceCell;

use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::gateway::frame::{Frame, Occasion};
use crate::gateway::meta_vars::MetaVars;
use crate::handlers::framed;
use crate::process::environment::{self, Environment};

/// What is known of the script of a place. It is filled in by the requests that go there.
#[derive(Default)]
pub struct Known {
    /// Whether there will be other requests.
    lasts: bool,
    /// Nothing where what it is told cannot be made beforehand.
    told: OnceCell<Option<Told>>,
}

struct Told {
    frame: Frame,
    /// PATH in its environment.
    path: Vec<u8>,
}

impl Known {
    /// Nothing so far, of what is to be kept for other requests.
    pub(in crate::handlers) fn lasting() -> Known {
        Known {
            lasts: true,
            ..Known::default()
        }
    }

    /// The environment for a request without a body, and PATH in it; nothing where it is not known.
    pub(super) fn environment(&self, ex: &Exchange) -> Option<(Environment, &[u8])> {
        let told = self.told.get()?.as_ref()?;
        let mut variables = Vec::with_capacity(environment::ROOM);
        let occasion = Occasion {
            peer: ex.connection.client,
            unique_id: &ex.unique_id,
        };
        let is_told = told.frame.append(&mut variables, ex.head.fields(), &occasion);
        is_told.then(|| (Environment::of_bytes(variables), told.path.as_slice()))
    }

    /// Remembers what one request was told for the next.
    pub(super) fn remember(&self, ex: &Exchange, place: &Place, variables: &MetaVars) {
        if self.lasts {
            self.told.get_or_init(|| {
                let frame = framed::frame(ex, place, variables, environment::append)?;
                let path = variables.find(b"PATH").unwrap_or_default().to_vec();
                Some(Told { frame, path })
            });
        }
    }
}
