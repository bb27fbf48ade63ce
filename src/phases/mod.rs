//! The steps before a handler, one file each, in the order in which `worker::serve` takes them.

pub mod access;
mod access_file;
pub mod ahead;
mod answers;
mod auth_files;
mod authn;
mod authorizer;
mod authz;
pub mod choose;
pub mod client_address;
pub mod client_name;
pub mod early;
pub mod fixup;
mod host_name;
pub mod locate;
pub mod proxy_pass;
pub mod redirect;
pub mod request_fields;
pub mod rewrite;
mod static_first;
pub mod target;
pub mod translate;
mod user_dir;
pub mod vhost;
pub mod walk;
