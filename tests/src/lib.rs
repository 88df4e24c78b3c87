//! Scenarios across crates: lessons, client tools, browser, Docker, faults.
