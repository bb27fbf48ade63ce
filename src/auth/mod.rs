//! Is this name and password good? Files of passwords and of groups, and what the stored passwords are hashed with.

pub mod groups;
pub mod hash;
pub mod htdigest;
pub mod htpasswd;
mod md5_crypt;
mod sha_crypt;
