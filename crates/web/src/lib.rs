//! The Yew page, and the Web Worker in which a Cluster lives.
