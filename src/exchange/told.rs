//! What a program was told of the request (RFC 3875 section 4.1), as the fields of its answer and the logs may ask for it.

use std::borrow::Cow;

use crate::exchange::Exchange;
use crate::gateway::meta_vars::is_told;
use crate::gateway::request::Credentials;
use crate::gateway::script_path::split_path;
use crate::lang::vars::Variable;

/// Those among the meta-variables that are variables of expressions as well.
const SAME: &[Variable] = &[
    Variable::AuthType,
    Variable::ContextPrefix,
    Variable::ContextDocumentRoot,
    Variable::DocumentRoot,
    Variable::QueryString,
    Variable::RemoteAddr,
    Variable::RemotePort,
    Variable::RemoteUser,
    Variable::RequestMethod,
    Variable::RequestScheme,
    Variable::ScriptFilename,
    Variable::ServerAdmin,
    Variable::ServerName,
    Variable::ServerPort,
    Variable::ServerProtocol,
    Variable::ServerSoftware,
];

impl Exchange {
    /// A meta-variable, behind a program or a page parsed for includes that was told of the request in this pass. In Apache these
    /// are variables like those that are set, from then on: fields of the answer and logs use them (`%{HTTP_ORIGIN}e`). What a
    /// program alone may know, as a password, is not shown.
    pub fn told(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        if !self.target.landed.is_told {
            return None;
        }
        if let Some(field) = name.strip_prefix(b"HTTP_") {
            let field: Vec<u8> = field.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect();
            let value = self.head.joined(&field)?;
            return is_told(name, &value, Credentials::Withheld).then_some(value);
        }
        let (path, path_info) = (self.target.path.as_bytes(), self.target.landed.path_info.as_slice());
        match name {
            b"GATEWAY_INTERFACE" => Some(Cow::Borrowed(b"CGI/1.1")),
            b"PATH_INFO" => Some(Cow::Borrowed(path_info)).filter(|path_info| !path_info.is_empty()),
            b"REDIRECT_URL" => Some(Cow::Borrowed(self.previous.as_deref()?.redirect_url.as_slice())),
            b"REMOTE_HOST" => self.client.host.as_deref().map(Cow::Borrowed),
            b"REQUEST_URI" => Some(Cow::Borrowed(self.head.target_bytes())),
            b"SCRIPT_NAME" => Some(Cow::Borrowed(split_path(path, path_info).0)),
            b"SERVER_ADDR" => {
                let address = self.connection.local.ip().to_canonical();
                Some(Cow::Owned(address.to_string().into_bytes()))
            }
            _ => {
                let variable = SAME.iter().find(|variable| variable.name().as_bytes() == name)?;
                self.server_variable(*variable)
            }
        }
    }
}
