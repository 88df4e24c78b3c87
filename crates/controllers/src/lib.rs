//! kube-controller-manager: a file a controller.
