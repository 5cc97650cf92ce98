//! Servers of one's own on one machine: finds or fetches MySQL and etcd, starts them, stops them, kills them.
//!
//! Used by `shardlift local`, `shardlift demo` and the tests. Linux only.
//!
//! Invariants:
//! - Nothing here needs root, and nothing outside the per-user cache and the folder of a server is written.
//! - A server that is not [`Lifetime::Detached`] never outlives its handle, nor this process, however that ends.
//! - A password reaches a server through a file only its owner can read or through a socket, never a command line.

mod account;
mod apt;
mod cache;
pub mod cluster;
mod error;
mod etcd;
mod install;
mod mysqld;
mod ports;
mod process;
mod program;
mod replica;
mod servers;
mod spec;
mod template;
mod version;

pub use account::Account;
pub use cache::Cache;
pub use error::LocalError;
pub use etcd::{Etcd, EtcdPorts};
pub use install::{InstallOptions, Progress, Stage, ensure};
pub use mysqld::Mysqld;
pub use ports::{Port, Ports};
pub use process::Lifetime;
pub use program::Program;
pub use servers::Servers;
pub use spec::{MysqldSpec, Role};
pub use version::ServerVersion;
