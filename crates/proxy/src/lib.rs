//! kube-proxy and cluster DNS: from Services and EndpointSlices to forwarding tables and answers.
