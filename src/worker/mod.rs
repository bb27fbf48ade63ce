//! The serving role: accept, the connection loop, the driver.
