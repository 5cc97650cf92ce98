//! Our own MySQL protocol layer on tokio: rows travel as bytes, without a value being built.
//!
//! - [`frame`] cuts bytes into packets and [`channel`] moves packets over a stream; both serve clients and servers alike.
//! - [`reply`] says what a server's packets mean; [`auth`] what a client answers to a challenge. Both are pure.
//! - [`Wire`] is a client connection: [`Wire::connect`], [`Wire::execute`], [`Wire::query`], [`Wire::load`], [`Wire::dump`].
//! - [`relay`] passes a reply on to a client of ours without reading it; [`ok`] are the packets in it that are altered.

pub mod auth;
pub mod channel;
pub mod frame;
pub mod ok;
pub mod relay;
pub mod reply;
pub mod stream;

mod connection;
mod dump;
mod load;
mod login;
mod reset;
mod rows;

pub use connection::Wire;
pub use dump::Dump;
pub use load::Load;
pub use login::{Announce, ConnectOptions, RELAYED};
pub use reply::{Done, LoadCounts};
pub use rows::{RawRow, Rows, Value, Values};
