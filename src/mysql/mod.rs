//! Talking to MySQL servers: where they are, who we are to them, and the two ways to speak.
//!
//! - [`endpoint`], [`credential`] and [`tls`] say where a server is and how to log in; secrets come from a file or the
//!   environment, by name.
//! - [`wire`] is our own protocol layer, for everything fast.
//! - [`conn`] gives `mysql_async` connections, for ordinary queries.
//! - [`binlog`] reads what a server did, over [`wire`].
//! - [`quote`] alone makes SQL text; [`schema`], [`admin`] and [`flavor`] ask a server about tables and itself.

pub mod admin;
pub mod binlog;
pub mod conn;
pub mod credential;
pub mod endpoint;
pub mod error;
pub mod flavor;
pub mod quote;
pub mod schema;
pub mod tls;
pub mod wire;

pub use credential::{Credential, Credentials};
pub use endpoint::{Address, ClientCertificate, Endpoint, Login, Secret, TlsMode};
pub use error::MysqlError;
