//! The integration tests, one binary: real mysqld, real etcd, real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod binlog_values;
mod crash;
mod harness;
mod hygiene;
mod keys;
mod layers;
mod local;
mod scenario;
mod topology;
mod traces;
mod types;
