//! The integration tests, one binary: real mysqld, real etcd, real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod backend;
mod binlog;
mod binlog_stream;
mod binlog_values;
mod crash;
mod ddl;
mod decoders;
mod demo;
mod etcd;
mod fence;
mod foreign;
mod gateway;
mod harness;
mod hygiene;
mod keys;
mod layers;
mod local;
mod losses;
mod metrics;
mod preflight;
mod quoting;
mod rules;
mod scenario;
mod start;
mod status;
mod switch;
mod throttle;
mod topology;
mod traces;
mod types;
mod view;
