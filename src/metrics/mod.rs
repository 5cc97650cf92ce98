//! What is counted and measured, and how `/metrics` shows it. A leaf: engine and gateway tell it numbers, it knows
//! nothing of them.
//!
//! # Invariants
//! - Counting is an addition to an atomic: no lock, no allocation, no label is formatted on a row's or a statement's way.
//!   Whatever depends on the clock (lag, age, margin) is computed when somebody looks, so it grows while all else hangs.
//! - A series lives as long as what it is about: when a workflow or a tablet is gone, so are its series ([`Registered`]).
//! - Label values come from the topology or from enums, never from a client's text: their number is bounded.
//! - There is no static; a registry is given, and [`EngineMetrics::register`] and [`GatewayMetrics::register`] fill it.
//!
//! # Names
//! Counters begin at 0 when the process starts or takes a workflow over. A gauge that is unknown is absent.
//!
//! | name | type, labels | what |
//! |---|---|---|
//! | `shardlift_build_info` | gauge, version | 1 |
//! | **engine** | all but the last three: keyspace, workflow | |
//! | `shardlift_engine_copied_rows_total` | counter | rows copied by this engine |
//! | `shardlift_engine_copied_bytes_total` | counter | their bytes, encoded for the target |
//! | `shardlift_engine_copied_chunks_total` | counter | chunks committed |
//! | `shardlift_engine_copy_rows` | gauge | rows copied in all, also by engines before |
//! | `shardlift_engine_copy_expected_rows` | gauge | rows there are to copy, by the source's statistics |
//! | `shardlift_engine_applied_rows_total` | counter, kind | row changes applied from the binlog: insert, update, delete |
//! | `shardlift_engine_applied_bytes_total` | counter | bytes of what they came to |
//! | `shardlift_engine_applied_transactions_total` | counter | source transactions passed |
//! | `shardlift_engine_lag_seconds` | gauge | age of the newest source state the target is known to have |
//! | `shardlift_engine_purge_margin_seconds` | gauge | time until the source may purge binlogs still needed; below 0: it may have |
//! | `shardlift_engine_workflow_state` | gauge, state | 1 for the state it is in |
//! | `shardlift_engine_streams_running` | gauge | streams under way now |
//! | `shardlift_engine_throttled_seconds_total` | counter, reason | time copying was held back: rows, bytes, replica_lag |
//! | `shardlift_engine_errors_total` | counter, class | errors that ended a stream or an attempt |
//! | `shardlift_engine_pause_seconds` | histogram | pauses of switches, from the announcement to the opened side |
//! | `shardlift_engine_switch_step_seconds_total` | counter, step | time spent in the steps of switches |
//! | `shardlift_engine_switches_total` | counter, outcome | switches that have ended: done, undone, refused |
//! | `shardlift_engine_leased` | gauge | 1 while this engine holds its lease |
//! | `shardlift_engine_leases_lost_total` | counter | how often it lost it |
//! | `shardlift_engine_topology_age_seconds` | gauge | time since the topology last answered |
//! | **gateway** | | |
//! | `shardlift_gateway_queries_total` | counter, keyspace, tablet_type, verb, outcome | statements done; no keyspace: answered by the gateway itself |
//! | `shardlift_gateway_query_seconds` | histogram, keyspace, tablet_type, verb | from the statement's arrival to the end of its reply |
//! | `shardlift_gateway_relayed_bytes_total` | counter, keyspace, tablet_type, direction | to_client: replies; to_server: statements |
//! | `shardlift_gateway_refused_statements_total` | counter, reason | statements the gateway would not send |
//! | `shardlift_gateway_clients` | gauge | client connections open now |
//! | `shardlift_gateway_clients_total` | counter | client connections accepted |
//! | `shardlift_gateway_turned_away_total` | counter, reason | connections refused before or at login |
//! | `shardlift_gateway_pool_connections` | gauge, keyspace, tablet, state | server connections: used, idle |
//! | `shardlift_gateway_pool_waiting` | gauge, keyspace, tablet | sessions waiting for one |
//! | `shardlift_gateway_pool_created_total` | counter, keyspace, tablet | server connections opened |
//! | `shardlift_gateway_pool_reset_total` | counter, keyspace, tablet | reset for another session |
//! | `shardlift_gateway_view_age_seconds` | gauge | time since the routing View was last known to be current |
//! | `shardlift_gateway_view_revision` | gauge | topology revision of the View |
//! | `shardlift_gateway_held_statements` | gauge | statements held while traffic is switched |
//! | `shardlift_gateway_held_statements_total` | counter | statements held so far |
//! | `shardlift_gateway_held_seconds` | histogram | how long each was held |
//! | `shardlift_gateway_released_statements_total` | counter, reason | held no longer: moved, stayed, expired, left |
//! | `shardlift_gateway_unheld_statements_total` | counter, bound | found no room: statements, bytes |
//! | `shardlift_gateway_pause_seconds` | histogram | a pause from the first statement held to the first released by its end |
//! | `shardlift_gateway_fence_refusals_total` | counter | writes that a closed fence refused |
//! | `shardlift_gateway_aborted_transactions_total` | counter, reason | transactions told to begin again (1213): fence, moved |

mod buffer;
mod contact;
mod engine;
mod family;
mod gateway;
mod latency;
mod live;

pub use buffer::{Aborted, Bound, BufferMetrics, Released};
pub use contact::Contact;
pub use engine::{EngineMetrics, RunningStream, WorkflowCounts, WorkflowGauges};
pub use gateway::{ConnectedClient, GatewayMetrics, Outcome, PoolCounts, Refusal, RouteMetrics, TurnedAway, Verb};
pub use live::Registered;

/// An enum whose values are label values and places in an array of counters.
macro_rules! labels {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$vdoc])* $variant),+ }

        impl $type {
            /// Every value, in declaration order.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label's value.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }
    };
}
use labels;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use prometheus::{Registry, TextEncoder};

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    fn engine(registry: &Registry) -> (EngineMetrics, Registered) {
        let metrics = EngineMetrics::default();
        metrics.register(registry).unwrap();
        let counts = Arc::new(WorkflowCounts::default());
        counts.copied(10, 1_000);
        counts.applied(1, 2, 3, 60, 4);
        counts.failed("retry");
        counts.step("drain", Duration::from_millis(4));
        counts.switched("done");
        counts.paused(Duration::from_millis(20));
        let shown = metrics.workflow("customer", "move", counts, || WorkflowGauges {
            state: "Running",
            lag: Some(Duration::from_millis(1_500)),
            copy_rows: 10,
            copy_expected_rows: 12,
            purge_margin_seconds: Some(-2.0),
            throttled: vec![("rows", Duration::from_secs(3))],
        });
        (metrics, shown)
    }

    fn gateway(registry: &Registry) -> (GatewayMetrics, Registered) {
        let metrics = GatewayMetrics::default();
        metrics.register(registry).unwrap();
        let route = metrics.route("customer", "PRIMARY");
        route.done(Verb::Select, Outcome::Ok, Duration::from_micros(80));
        route.relayed(30, 400);
        metrics.refused(Refusal::ReadOnly);
        metrics.buffer().holds();
        metrics.buffer().released(Released::Moved, Duration::from_millis(3));
        metrics.buffer().pause(Duration::from_millis(3));
        let pool = metrics.pool("customer", "zone1-0000000200", || PoolCounts { idle: 2, ..PoolCounts::default() });
        (metrics, pool)
    }

    #[test]
    fn every_family_is_in_the_table_and_named_as_prometheus_wants() {
        let registry = Registry::new();
        let (_engine, _workflow) = engine(&registry);
        let other = Registry::new();
        let (_gateway, _pool) = gateway(&other);
        let text = text(&registry) + &text(&other);
        let table: Vec<_> = include_str!("mod.rs").lines().filter(|line| line.starts_with("//! | `")).collect();
        let mut named: Vec<_> = table.iter().filter_map(|line| line.split('`').nth(1)).collect();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let row = table.iter().find(|row| row.contains(&format!("`{name}`")));
            assert!(row.is_some_and(|row| row.contains(kind)), "{line} is not in the table");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            named.retain(|row| *row != name);
        }
        assert_eq!(named, [""; 0], "in the table, but not shown");
    }

    #[test]
    fn a_workflow_is_shown_while_it_lives() {
        let registry = Registry::new();
        let (metrics, shown) = engine(&registry);
        assert!(metrics.register(&registry).is_err(), "twice");
        let seen = text(&registry);
        for line in [
            "copied_rows_total{keyspace=\"customer\",workflow=\"move\"} 10",
            "applied_rows_total{keyspace=\"customer\",workflow=\"move\",kind=\"delete\"} 3",
            "lag_seconds{keyspace=\"customer\",workflow=\"move\"} 1.5",
            "purge_margin_seconds{keyspace=\"customer\",workflow=\"move\"} -2",
            "workflow_state{keyspace=\"customer\",workflow=\"move\",state=\"Running\"} 1",
            "throttled_seconds_total{keyspace=\"customer\",workflow=\"move\",reason=\"rows\"} 3",
            "errors_total{keyspace=\"customer\",workflow=\"move\",class=\"retry\"} 1",
            "switch_step_seconds_total{keyspace=\"customer\",workflow=\"move\",step=\"drain\"} 0.004",
            "switches_total{keyspace=\"customer\",workflow=\"move\",outcome=\"done\"} 1",
            "pause_seconds_count{keyspace=\"customer\",workflow=\"move\"} 1",
            "leased 0",
        ] {
            assert!(seen.contains(&format!("\nshardlift_engine_{line}\n")), "{line} is not in\n{seen}");
        }
        drop(shown);
        assert!(!text(&registry).contains("customer"));
    }

    #[test]
    fn statements_count_by_target_kind_and_outcome() {
        let registry = Registry::new();
        let (metrics, pool) = gateway(&registry);
        let client = metrics.client();
        let seen = text(&registry);
        let target = "keyspace=\"customer\",tablet_type=\"PRIMARY\"";
        for line in [
            format!("queries_total{{{target},verb=\"select\",outcome=\"ok\"}} 1"),
            format!("query_seconds_bucket{{{target},verb=\"select\",le=\"0.00005\"}} 0"),
            format!("query_seconds_bucket{{{target},verb=\"select\",le=\"0.0001\"}} 1"),
            format!("query_seconds_bucket{{{target},verb=\"select\",le=\"+Inf\"}} 1"),
            format!("relayed_bytes_total{{{target},direction=\"to_client\"}} 400"),
            "refused_statements_total{reason=\"read_only\"} 1".into(),
            "pool_connections{keyspace=\"customer\",tablet=\"zone1-0000000200\",state=\"idle\"} 2".into(),
            "clients 1".into(),
        ] {
            assert!(seen.contains(&format!("\nshardlift_gateway_{line}\n")), "{line} is not in\n{seen}");
        }
        drop((client, pool));
        metrics.keep_keyspaces(|_| false);
        let seen = text(&registry);
        assert!(!seen.contains("customer") && seen.contains("gateway_clients 0\n"), "{seen}");
    }
}
