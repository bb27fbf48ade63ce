//! Files under a root: opened safely, typed, remembered.
