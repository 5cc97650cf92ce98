//! Connections to tablets, shared by sessions.
//!
//! - [`Backend`] is a connection with the session state it has: [`Settings`], statements prepared, what is left behind.
//! - [`Pools`] lends them: the session's last one if it is still there, one that fits, a new one, any other, or it waits.
//! - [`health`] looks after each tablet: is it reachable, how far is it behind.

pub mod health;

mod connection;
mod places;
mod pool;
mod prepared;
mod settings;

pub use connection::{Backend, TRACKING};
pub use pool::{Checkout, CheckoutError, PoolKey, PoolOptions, Pools, Running, SessionId, Usage};
pub use prepared::Statement;
pub use settings::Settings;
