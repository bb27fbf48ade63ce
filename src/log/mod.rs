//! Access and error log: records in, lines out.
