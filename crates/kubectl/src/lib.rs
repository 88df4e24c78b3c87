//! kubectl as a library: a command line in, text out.
