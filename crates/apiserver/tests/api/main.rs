//! The API server's behaviour, through [`playground_apiserver::ApiServer::handle`] as a client sees it.

mod bench;

mod admission;
mod apply;
mod bodies;
mod deletion;
mod discovery;
mod lists;
mod representation;
mod services;
mod subresources;
mod watches;
mod writes;
