//! Another request that came to the same as one before: all that the phases found, for another head.

use std::sync::Arc;

use crate::exchange::body::RequestBody;
use crate::exchange::{Began, Connection, Exchange};
use crate::http::head::RequestHead;

impl Exchange {
    /// Another request that came to the same as this one: all that the phases found, for another head.
    #[must_use]
    pub fn repeated(
        &self,
        head: impl Into<Box<RequestHead>>,
        connection: Connection,
        body: RequestBody,
        (began, unique_id): (Began, [u8; 24]),
    ) -> Exchange {
        Exchange {
            config: self.config,
            site: self.site,
            connection,
            head: head.into(),
            host: self.host.clone(),
            host_port: self.host_port,
            body,
            began,
            method: self.method,
            target: self.target.clone(),
            variables: self.variables.clone(),
            previous: self.previous.clone(),
            unique_id,
            file: self.file.clone(),
            handler: self.handler.clone(),
            rewriting: self.rewriting.clone(),
            client: self.client.clone(),
            trail: None,
            conf: Arc::clone(&self.conf),
        }
    }

    /// The same, made of the exchange of an earlier request, whose memory is used again and whose head stays: of two that came to
    /// the same there is nothing to be copied.
    pub fn repeat_in(&self, spare: &mut Exchange, from: Connection, (began, unique_id): (Began, [u8; 24])) {
        spare.target.landed.is_told = self.target.landed.is_told;
        // All of them, so that none is forgotten.
        let Exchange {
            config,
            site,
            connection,
            head: _,
            host,
            host_port,
            body,
            began: spare_began,
            method,
            target,
            variables,
            previous,
            unique_id: spare_id,
            file,
            handler,
            rewriting,
            client,
            trail,
            conf,
        } = spare;
        (*config, *site, *connection) = (self.config, self.site, from);
        (*host_port, *method) = (self.host_port, self.method);
        (*body, *trail) = (RequestBody::none(), None);
        (*spare_began, *spare_id) = (began, unique_id);
        host.clone_from(&self.host);
        file.clone_from(&self.file);
        handler.clone_from(&self.handler);
        if *target != self.target {
            *target = self.target.clone();
        }
        if *variables != self.variables {
            variables.clone_from(&self.variables);
        }
        if previous.is_some() || self.previous.is_some() {
            previous.clone_from(&self.previous);
        }
        if !rewriting.is_like(&self.rewriting) {
            *rewriting = self.rewriting.clone();
        }
        if !client.is_like(&self.client) {
            *client = self.client.clone();
        }
        if !Arc::ptr_eq(conf, &self.conf) {
            *conf = Arc::clone(&self.conf);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::rc::Rc;
    use std::sync::Arc;

    use super::{Began, Connection, Exchange, RequestBody, RequestHead};
    use crate::config::site::{Config, Site};
    use crate::exchange::Previous;
    use crate::exchange::client::Patience;
    use crate::http::method::Method;
    use crate::http::status::Status;
    use crate::lang::log_level::Level;

    fn connection(port: u16) -> Connection {
        let end = SocketAddr::from(([127, 0, 0, 1], port));
        Connection {
            local: end,
            peer: end,
            client: end,
            earlier_requests: port.into(),
            opened: port.into(),
            tls: None,
        }
    }

    fn new() -> Exchange {
        let config = Box::leak(Box::new(Config {
            sites: vec![Site::default()],
            ..Config::default()
        }));
        Exchange::new(
            config,
            connection(1),
            RequestHead::new(),
            RequestBody::none(),
            Began::now(),
        )
    }

    /// One of which everything is said that is said of a request.
    fn full(text: &str) -> Exchange {
        let (mut ex, bytes) = (new(), text.as_bytes().to_vec());
        (ex.host, ex.host_port, ex.method) = (bytes.clone(), Some(81), Method::Post);
        ex.target.raw_path = bytes.clone();
        ex.target.query = Some(bytes.clone());
        ex.target.landed.path_info = bytes.clone();
        ex.target.landed.is_told = true;
        ex.variables.insert(bytes.clone(), bytes.clone());
        ex.previous = Some(Box::new(Previous {
            url: bytes.clone(),
            redirect_url: Vec::new(),
            query: None,
            method: Method::Get,
            status: Status::NOT_FOUND,
            notes: None,
            variables: ex.variables.clone(),
            file: Vec::new(),
            handler: Vec::new(),
            user: None,
            auth_type: None,
            conf: Arc::clone(&ex.conf),
            before: None,
        }));
        (ex.file, ex.handler) = (bytes.clone(), bytes.clone());
        ex.rewriting.ended = true;
        ex.rewriting.media_type = Some(bytes.clone());
        ex.rewriting.vary.add(text);
        ex.rewriting.notes.insert(bytes.clone(), bytes.clone());
        ex.rewriting.lines.push(Level::Error, "core", text.into());
        ex.rewriting.asked = Rc::default();
        ex.client.user = Some(bytes);
        ex.client.admitted = Some(Arc::clone(&ex.conf));
        ex
    }

    fn all_of(ex: &Exchange) -> String {
        let of_request = (&ex.connection, &ex.host, ex.host_port, ex.began.wall, ex.method);
        let of_pass = (&ex.target, &ex.variables, &ex.previous, &ex.file, &ex.handler);
        let pointers = (std::ptr::from_ref(ex.site), std::ptr::from_ref(ex.config));
        let shared = (Arc::as_ptr(&ex.conf), Rc::as_ptr(&ex.rewriting.asked));
        let left = (&ex.rewriting, &ex.client, ex.trail.is_some());
        let id = ex.unique_id;
        format!("{of_request:?} {of_pass:?} {pointers:?} {shared:?} {left:?} {id:?}")
    }

    #[test]
    fn whatever_was_there_before_the_next_is_as_if_it_was_new() {
        let occasion = (Began::now(), [7; 24]);
        let touches: [fn(&mut Exchange); 6] = [
            |ex| ex.target.landed.is_told ^= true,
            |ex| ex.handler.extend_from_slice(b"proxy-server"),
            |ex| ex.rewriting.lines.push(Level::Error, "core", "said".into()),
            |ex| _ = ex.rewriting.notes.insert(b"a".into(), b"b".into()),
            |ex| ex.client.patience = Patience::Leaves,
            |ex| ex.set_variable(b"a".into(), b"b".into()),
        ];
        for first in [new(), full("a")] {
            let repeated = |connection| first.repeated(RequestHead::new(), connection, RequestBody::none(), occasion);
            let wanted = all_of(&repeated(connection(2)));
            for mut spare in [new(), full("b"), repeated(connection(3))] {
                first.repeat_in(&mut spare, connection(2), occasion);
                assert_eq!(all_of(&spare), wanted);
                for touch in touches {
                    touch(&mut spare);
                    assert_ne!(all_of(&spare), wanted);
                    first.repeat_in(&mut spare, connection(2), occasion);
                    assert_eq!(all_of(&spare), wanted);
                }
            }
        }
    }
}
