use super::testing::Cluster;
use super::*;
use crate::model::routing::{RoutingRule, RuleSet, TableMove};
use crate::model::workflow::{WorkflowKind, WorkflowOptions, WorkflowSpec};
use crate::topology::{Path, paths};

fn workflow_rules() -> Path {
    paths::workflow_rules(&"customer".parse().unwrap(), &"move".parse().unwrap())
}

fn moved() -> TableMove {
    TableMove {
        source: "commerce".parse().unwrap(),
        target: "customer".parse().unwrap(),
        tables: ["corder".parse().unwrap()].into(),
        switched: [TabletType::Replica].into(),
    }
}

fn sought<'a>(view: &'a View, table: &str) -> Result<Option<&'a str>, String> {
    view.rules.lookup(table, Some("commerce"), TabletType::Replica).map(|to| to.map(KeyspaceName::as_str))
}

#[test]
fn a_view_shows_keyspaces_shards_tablets_and_rules() {
    let mut stored = Cluster::default();
    let view = stored.put(workflow_rules(), &moved()).view(&mut Builder::default());
    assert_eq!((view.revision, view.is_known()), (stored.revision, true));
    assert!(!View::default().is_known());
    let commerce = view.keyspace("commerce").unwrap();
    let Serving::Whole(shard) = commerce.serving(TabletType::Primary) else { panic!("{commerce:?}") };
    assert_eq!(shard.primary().unwrap().alias.uid, 100);
    let replicas: Vec<u32> = shard.of_type(TabletType::Replica).map(|tablet| tablet.alias.uid).collect();
    assert_eq!((replicas, shard.of_type(TabletType::Rdonly).count()), (vec![101], 0));
    let customer = view.keyspace("customer").unwrap();
    assert!(customer.is_sharded() && !commerce.is_sharded());
    assert_eq!(customer.shard_names(), "-80, 80-, c0-");
    assert_eq!(sought(&view, "corder"), Ok(Some("customer")));
}

#[test]
fn what_cannot_be_read_is_refused_and_the_rest_served() {
    let mut builder = Builder::default();
    let mut stored = Cluster::default();
    stored.bytes(paths::tablet(&"zone1-101".parse().unwrap()), b"{").view(&mut builder);
    stored.bytes(paths::keyspace(&"broken".parse().unwrap()), br#"{"version":9}"#);
    let shard = paths::shard(&"customer".parse().unwrap(), &"80-".parse().unwrap());
    let view = stored.bytes(shard, b"[]").view(&mut builder);
    let commerce = view.keyspace("commerce").unwrap();
    assert!(commerce.unreadable.is_none());
    assert_eq!(commerce.shards[0].of_type(TabletType::Replica).count(), 0);
    for (keyspace, why) in [("broken", "version 9"), ("customer", "shards/customer/80-")] {
        let unreadable = view.keyspace(keyspace).unwrap().unreadable.as_ref().unwrap();
        assert!(unreadable.contains(why), "{unreadable}");
    }
}

#[test]
fn of_unreadable_rules_the_tables_are_refused_by_name() {
    let newer = br#"{"version":9,"source":"commerce","target":"customer","tables":["corder"],"percent":3}"#;
    let view = Cluster::default().bytes(workflow_rules(), newer).view(&mut Builder::default());
    assert!(sought(&view, "corder").unwrap_err().contains("version 9"));
    assert_eq!(sought(&view, "product"), Ok(None));

    // Nothing to be learned from it, but it was read before.
    let mut builder = Builder::default();
    let mut stored = Cluster::default();
    stored.put(workflow_rules(), &moved()).view(&mut builder);
    for _ in 0..2 {
        let view = stored.bytes(workflow_rules(), b"\xff").view(&mut builder);
        assert!(sought(&view, "corder").is_err());
        assert_eq!(sought(&view, "product"), Ok(None));
    }
    let view = stored.put(workflow_rules(), &moved()).view(&mut builder);
    assert_eq!(sought(&view, "corder"), Ok(Some("customer")));

    // Nor was it read before, but its workflow says what it moves.
    let spec = WorkflowSpec {
        kind: WorkflowKind::MoveTables,
        source_keyspace: "commerce".parse().unwrap(),
        target_keyspace: "customer".parse().unwrap(),
        source_shards: Vec::new(),
        target_shards: Vec::new(),
        name: "move".parse().unwrap(),
        tables: vec!["corder".parse().unwrap()],
        options: WorkflowOptions::default(),
    };
    let workflow = records::Workflow::new(spec, 0);
    let mut stored = Cluster::default();
    stored.bytes(workflow_rules(), b"\xff");
    let blind = stored.view(&mut Builder::default());
    assert!(sought(&blind, "product").is_err(), "whatever it says, no table goes to the wrong side");
    let path = paths::workflow(&"customer".parse().unwrap(), &"move".parse().unwrap());
    let view = stored.put(path, &workflow).view(&mut Builder::default());
    assert!(sought(&view, "corder").is_err());
    assert_eq!(sought(&view, "product"), Ok(None));
}

#[test]
fn one_bad_rule_of_the_operators_makes_the_set_unreadable_table_by_table() {
    let rule = |from: &str, to: &str| RoutingRule { from_table: from.into(), to_tables: vec![to.into()] };
    let mut stored = Cluster::default();
    let rules = vec![rule("commerce.a@drained", "customer.a"), rule("b", "customer.renamed")];
    let view = stored.put(paths::operator_rules(), &RuleSet { rules }).view(&mut Builder::default());
    assert!(sought(&view, "a").is_err() && sought(&view, "b").is_err());
    assert_eq!(sought(&view, "c"), Ok(None));
}

#[test]
fn a_pause_is_known_by_its_tables_and_leaves_the_rules_as_they_are() {
    let mut builder = Builder::default();
    let mut stored = Cluster::default();
    let before = stored.put(workflow_rules(), &moved()).view(&mut builder);
    let path = paths::pause(&"customer".parse().unwrap(), &"move".parse().unwrap());
    let pause = records::Pause {
        epoch: 1,
        source: "commerce".parse().unwrap(),
        target: "customer".parse().unwrap(),
        tables: ["Corder".parse().unwrap()].into(),
        closing: "commerce".parse().unwrap(),
        uid: uuid::Uuid::new_v4(),
        holds: true,
    };
    let view = stored.put(path.clone(), &pause).view(&mut builder);
    let [seen] = view.pauses.as_slice() else { panic!("{:?}", view.pauses) };
    let (commerce, legacy): (KeyspaceName, KeyspaceName) = ("commerce".parse().unwrap(), "legacy".parse().unwrap());
    assert!(seen.has(&commerce, "CORDER") && !seen.has(&legacy, "corder") && !seen.has(&commerce, "other"));
    assert_eq!(seen.workflow, "customer/move");
    assert!(Arc::ptr_eq(&before.rules, &view.rules));
    assert!(stored.bytes(path, b"{}").view(&mut builder).pauses.is_empty());
}
