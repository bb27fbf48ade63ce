//! Names of hosts, asked from the system's resolver. These calls wait; they belong on a thread of their own.

use std::ffi::CStr;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// The name of an address, lower case; `None` where it has none.
pub fn of_address(address: IpAddr) -> Option<String> {
    let address = socket2::SockAddr::from(SocketAddr::new(address, 0));
    let mut name = [0; 1025];
    // SAFETY: the address and its length are of one socket2::SockAddr that lives on; the buffer's length is its own, and
    // NI_NAMEREQD makes the call fail instead of writing digits. No service name is asked for.
    let result = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            name.as_mut_ptr().cast(),
            1025,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if result != 0 {
        return None;
    }
    let name = CStr::from_bytes_until_nul(&name).ok()?.to_str().ok()?;
    Some(name.to_ascii_lowercase())
}

/// Whether `name` leads to `address`.
pub fn leads_to(name: &str, address: IpAddr) -> bool {
    (name, 0)
        .to_socket_addrs()
        .is_ok_and(|mut found| found.any(|a| a.ip().to_canonical() == address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    #[test]
    fn the_loopback_address_has_a_name_that_leads_back() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let name = super::of_address(loopback).expect("/etc/hosts names the loopback address");
        assert!(super::leads_to(&name, loopback), "{name}");
        assert!(!super::leads_to(&name, "192.0.2.1".parse().unwrap()));
    }
}
