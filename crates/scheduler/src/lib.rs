//! kube-scheduler: the framework, and a file a plugin.
