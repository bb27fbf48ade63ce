//! Children, privileges, signals, and messages that carry descriptors. The only room with `unsafe`.
