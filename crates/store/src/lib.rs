//! etcd's role: a revisioned key-value store with transactions, watch, compaction and leases.
