//! `shardlift rules`: Vitess's documents in and out, and what is refused.

use std::process::{Command, Output};

use serde_json::{Value, json};
use shardlift::model::routing::TableMove;
use shardlift::model::workflow::TabletType;
use shardlift::topology::{Topology, paths};

struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let cluster = Self { folder: tempfile::tempdir().unwrap() };
        for line in ["keyspace add commerce", "keyspace add customer"] {
            cluster.must(&line.split(' ').collect::<Vec<_>>());
        }
        cluster
    }

    fn address(&self) -> String {
        self.folder.path().join("topology.sqlite").display().to_string()
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
        command.args(["--topo", &self.address()]).args(args).output().unwrap()
    }

    fn must(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn shown(&self) -> Value {
        serde_json::from_str(&self.must(&["rules", "show", "--format", "json"])).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_applied_whole_and_shown_as_vitess_does() {
    let cluster = Cluster::new();
    assert_eq!(cluster.must(&["rules", "show", "--format", "json"]), "{\n  \"rules\": []\n}\n");
    let document = "{\n  \"rules\": [\n    {\n      \"from_table\": \"product@replica\",\n      \"to_tables\": [\n        \
                    \"commerce.product\"\n      ]\n    }\n  ]\n}\n";
    let file = cluster.folder.path().join("rules.json");
    std::fs::write(&file, document).unwrap();
    let said = cluster.must(&["rules", "apply", "--dry-run", "--rules-file", file.to_str().unwrap()]);
    assert!(said.contains("+ product@replica → commerce.product") && said.contains("would be: 1 added"), "{said}");
    assert_eq!(cluster.shown(), json!({ "rules": [] }), "a dry run changes nothing");
    cluster.must(&["rules", "apply", "--rules-file", file.to_str().unwrap()]);
    assert_eq!(cluster.must(&["rules", "show", "--format", "json"]), document, "byte for byte");
    assert!(cluster.must(&["rules", "show"]).contains("operator"));
    let said = cluster.must(&["rules", "apply", "--rules", r#"{"rules":[]}"#]);
    assert!(said.contains("- product@replica → commerce.product"), "{said}");
    assert_eq!(cluster.shown(), json!({ "rules": [] }));

    // A workflow's rules are shown with the operator's, and what is shown can be applied.
    let topology = Topology::open(&cluster.address(), &"main".parse().unwrap()).await.unwrap();
    let mut moved = TableMove {
        source: "commerce".parse().unwrap(),
        target: "customer".parse().unwrap(),
        tables: ["corder".parse().unwrap()].into(),
        switched: Default::default(),
    };
    let path = paths::workflow_rules(&moved.target, &"move".parse().unwrap());
    topology.create(&path, &moved).await.unwrap();
    let all = cluster.shown();
    assert_eq!(all["rules"].as_array().unwrap().len(), 9);
    let said = cluster.must(&["rules", "apply", "--rules", &all.to_string()]);
    assert!(said.contains("0 added, 0 removed, 0 rules") && said.contains("9 rules are those of workflows"), "{said}");
    moved.switched = [TabletType::Replica].into();
    let switch = |record: &mut TableMove| {
        record.switched = moved.switched.clone();
        Ok(())
    };
    topology.update(&path, switch).await.unwrap();
    let turned = cluster.shown();
    let to_customer = |rule: &&Value| rule["to_tables"] == json!(["customer.corder"]);
    assert_eq!(turned["rules"].as_array().unwrap().iter().filter(to_customer).count(), 3);
    let said = cluster.refused(&["rules", "apply", "--rules", &all.to_string()]);
    assert!(said.contains("workflow customer.move moves this table"), "{said}");
}

#[test]
fn what_is_wrong_with_rules_is_said_and_nothing_is_applied() {
    let cluster = Cluster::new();
    let rule = |from: &str, to: &[&str]| json!({ "rules": [{ "from_table": from, "to_tables": to }] }).to_string();
    for (document, why) in [
        (rule("t", &["nowhere.t"]), "unknown keyspaces: nowhere"),
        (rule("gone.t", &["commerce.t"]), "unknown keyspaces: gone"),
        (rule("t", &["commerce.t", "customer.t"]), "one table, found 2"),
        (rule("t", &["commerce.u"]), "keep its name"),
        (rule("t", &["t"]), "must be qualified"),
        (r#"{"rules":[{"from_table":"t","to_tables":["commerce.t"],"cells":[]}]}"#.into(), "unknown field `cells`"),
        ("nonsense".into(), "not a routing rules document"),
    ] {
        let said = cluster.refused(&["rules", "apply", "--rules", &document]);
        assert!(said.contains(why), "{document}: {said}");
    }
    assert_eq!(cluster.shown(), json!({ "rules": [] }));
    assert_eq!(cluster.run(&["rules", "apply"]).status.code(), Some(2));
    let absent = cluster.refused(&["rules", "apply", "--rules-file", "/nowhere/rules.json"]);
    assert!(absent.contains("/nowhere/rules.json"), "{absent}");
}
