//! The gateway as its clients meet it: statements, drivers, limits, and those who do not keep to the protocol.

mod cases;
mod corpus;
mod raw;
mod reply;
