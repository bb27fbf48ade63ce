//! Is this name and password good? Files of passwords and of groups, what the stored passwords are hashed with, and the
//! answers and nonces of the Digest scheme.

pub mod digest;
pub mod groups;
pub mod hash;
pub mod htdigest;
pub mod htpasswd;
mod md5_crypt;
pub mod nonce;
mod sha_crypt;
