use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const TYPES: [TabletType; 3] = [TabletType::Primary, TabletType::Replica, TabletType::Rdonly];

fn moved(switched: &[TabletType]) -> TableMove {
    TableMove {
        source: "commerce".parse().unwrap(),
        target: "customer".parse().unwrap(),
        tables: ["customer", "corder"].map(|table| table.parse().unwrap()).into(),
        switched: switched.iter().copied().collect(),
    }
}

fn rule(from: &str, to: &str) -> RoutingRule {
    RoutingRule { from_table: from.into(), to_tables: vec![to.into()] }
}

fn rules(list: &[(&str, &str)]) -> RuleSet {
    RuleSet { rules: list.iter().map(|(from, to)| rule(from, to)).collect() }
}

fn asked(set: &RuleSet) -> RoutingRules {
    let mut asked = RoutingRules::default();
    asked.add_rules("operator", check(set).unwrap());
    asked
}

fn found<'a>(rules: &'a RoutingRules, table: &str, keyspace: Option<&str>, tablet_type: TabletType) -> &'a str {
    rules.lookup(table, keyspace, tablet_type).unwrap().map_or("-", KeyspaceName::as_str)
}

#[test]
fn the_typed_form_wins_and_nothing_is_looked_up_twice() {
    let rules = asked(&rules(&[
        ("t", "b.t"),
        ("a.t", "b.t"),
        ("a.t@replica", "c.t"),
        ("b.t", "c.t"),
        ("a.u@rdonly", "b.u"),
        ("a.v@primary", "b.v"),
        ("a.v", "c.v"),
    ]));
    let (primary, replica, rdonly) = (TabletType::Primary, TabletType::Replica, TabletType::Rdonly);
    assert_eq!(found(&rules, "t", None, replica), "b");
    assert_eq!(found(&rules, "t", Some("a"), primary), "b", "and not on to c");
    assert_eq!(found(&rules, "t", Some("a"), replica), "c");
    assert_eq!(found(&rules, "t", Some("a"), rdonly), "b");
    assert_eq!(found(&rules, "t", Some("x"), primary), "-", "the bare form is not for those with a keyspace");
    assert_eq!(found(&rules, "u", Some("a"), primary), "-");
    assert_eq!(found(&rules, "u", Some("a"), rdonly), "b");
    assert_eq!((found(&rules, "v", Some("a"), primary), found(&rules, "v", Some("a"), replica)), ("b", "c"));
    assert_eq!(found(&rules, "w", Some("a"), primary), "-");
    assert!(rules.mentions("T") && !rules.mentions("w"));
}

#[test]
fn another_case_is_taken_for_the_table_unless_there_are_both() {
    let rules = asked(&rules(&[("a.Order", "b.Order"), ("a.order", "c.order"), ("a.Item", "b.Item")]));
    let primary = TabletType::Primary;
    assert_eq!((found(&rules, "Order", Some("a"), primary), found(&rules, "order", Some("a"), primary)), ("b", "c"));
    assert_eq!(found(&rules, "ITEM", Some("a"), primary), "b");
    assert!(rules.lookup("ORDER", Some("a"), primary).unwrap_err().contains("contradict"));
}

#[test]
fn contradictions_and_unreadable_sets_are_errors_for_their_tables_only() {
    let mut rules = asked(&rules(&[("commerce.corder", "elsewhere.corder"), ("commerce.x", "b.x")]));
    rules.add_move("customer.move", &Arc::new(moved(&[])));
    let error = rules.lookup("corder", Some("commerce"), TabletType::Primary).unwrap_err();
    assert!(error.contains("operator leads to elsewhere, customer.move to commerce"), "{error}");
    assert_eq!(found(&rules, "corder", Some("customer"), TabletType::Primary), "commerce");
    rules.add_unreadable("customer.new", "it is version 9", ["x".parse().unwrap()]);
    assert!(rules.lookup("x", None, TabletType::Primary).unwrap_err().contains("version 9"));
    assert_eq!(found(&rules, "customer", None, TabletType::Primary), "commerce");
    rules.set_blind("customer.worse", "not JSON");
    assert!(rules.lookup("anything", Some("commerce"), TabletType::Primary).unwrap_err().contains("not JSON"));
}

#[test]
fn the_documents_of_vitess_are_read_strictly_and_written_alike() {
    let text = "{\n  \"rules\": [\n    {\n      \"from_table\": \"customer.customer@replica\",\n      \"to_tables\": [\n        \
                \"commerce.customer\"\n      ]\n    }\n  ]\n}";
    let set = parse(text).unwrap();
    assert_eq!(serde_json::to_string_pretty(&set).unwrap(), text);
    assert_eq!(parse(r#"{"rules":[{"fromTable":"a.t","toTables":["b.t"]}]}"#).unwrap(), rules(&[("a.t", "b.t")]));
    for (text, why) in [
        (r#"{"rules":[{"from_table":"t","to_tables":["a.t"],"percent":5}]}"#, "unknown field `percent`"),
        (r#"{"rule":[]}"#, "unknown field `rule`"),
        (r#"{"rules":[{"from_table":"t"}]}"#, "to_tables"),
        ("[]", "invalid"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    for (from, to, why) in [
        ("t", &[][..], "empty"),
        ("t", &["a.t", "b.t"], "one table, found 2"),
        ("t", &["t"], "qualified"),
        ("t", &["a.u"], "keep its name"),
        ("t@master", &["a.t"], "primary, replica or rdonly"),
        ("t@REPLICA", &["a.t"], "primary, replica or rdonly"),
        ("a.b.t", &["a.t"], "dots"),
        ("", &["a.t"], "1 to 64"),
        ("a.t", &["a b.t"], "keyspace"),
    ] {
        let raw = RoutingRule { from_table: from.into(), to_tables: to.iter().map(|to| to.to_string()).collect() };
        let error = Rule::try_from(&raw).unwrap_err().to_string();
        assert!(error.contains(why), "{from} {to:?}: {error}");
    }
}

#[test]
fn a_move_is_the_nine_rules_vitess_makes() {
    let mut one = moved(&[]);
    one.tables = ["corder".parse().unwrap()].into();
    let names = |set: &RuleSet| set.rules.iter().map(|rule| rule.from_table.clone()).collect::<BTreeSet<_>>();
    let before = expand(&one);
    let nine: BTreeSet<String> = ["corder", "commerce.corder", "customer.corder"]
        .iter()
        .flat_map(|name| ["", "@replica", "@rdonly"].map(|suffix| format!("{name}{suffix}")))
        .collect();
    assert_eq!((names(&before), before.rules.len()), (nine.clone(), 9));
    assert!(before.rules.iter().all(|rule| rule.to_tables == ["commerce.corder"]));
    one.switched = [TabletType::Replica, TabletType::Rdonly].into();
    let reads = expand(&one);
    assert_eq!(names(&reads), nine);
    for rule in &reads.rules {
        let to = if rule.from_table.contains('@') { "customer.corder" } else { "commerce.corder" };
        assert_eq!(rule.to_tables, [to], "{}", rule.from_table);
    }
    one.switched = TYPES.into();
    let all = expand(&one);
    assert_eq!(all.rules.len(), 8);
    assert!(!names(&all).contains("customer.corder"));
    assert!(all.rules.iter().all(|rule| rule.to_tables == ["customer.corder"]));
}

#[test]
fn an_operators_rules_are_checked_against_keyspaces_and_workflows() {
    let keyspaces: BTreeSet<KeyspaceName> = ["commerce", "customer"].map(|name| name.parse().unwrap()).into();
    let moves: BTreeMap<String, TableMove> = [("customer.move".to_string(), moved(&[]))].into();
    let present = rules(&[("old", "commerce.old"), ("same", "commerce.same")]);
    let plan = |wanted: &[(&str, &str)]| plan_operator_rules(rules(wanted), &present, &moves, &keyspaces);
    let planned = plan(&[("new", "customer.new"), ("same", "commerce.same"), ("corder@rdonly", "commerce.corder")]);
    let planned = planned.unwrap();
    assert_eq!(planned.rules, rules(&[("new", "customer.new"), ("same", "commerce.same")]));
    assert_eq!(
        (planned.added, planned.removed),
        (vec!["new → customer.new".into()], vec!["old → commerce.old".into()])
    );
    assert_eq!(planned.kept_by_workflows, 1);
    for (wanted, why) in [
        (&[("a", "commerce.a"), ("a", "customer.a")][..], "more than one rule"),
        (&[("nowhere.a", "commerce.a"), ("b", "gone.b")], "unknown keyspaces: gone, nowhere"),
        (&[("corder", "customer.corder")], "workflow customer.move moves this table"),
        (&[("commerce.corder@primary", "commerce.corder")], "workflow customer.move moves this table"),
    ] {
        let error = plan(wanted).unwrap_err().to_string();
        assert!(error.contains(why), "{wanted:?}: {error}");
    }
}

proptest! {
    /// The short form answers as the rules do that it stands for.
    #[test]
    fn a_move_and_its_rules_route_alike(
        switched in proptest::sample::subsequence(TYPES.to_vec(), 0..=3),
        keyspace in proptest::option::of(proptest::sample::select(vec!["commerce", "customer", "other"])),
        table in proptest::sample::select(vec!["customer", "corder", "product"]),
        tablet_type in proptest::sample::select(TYPES.to_vec()),
    ) {
        let moved = moved(&switched);
        let long = asked(&expand(&moved));
        let mut short = RoutingRules::default();
        short.add_move("customer.move", &Arc::new(moved));
        let place = |rules: &RoutingRules| {
            let found = rules.lookup(table, keyspace, tablet_type).unwrap().map(ToString::to_string);
            found.or(keyspace.map(String::from))
        };
        prop_assert_eq!(place(&short), place(&long));
    }

    #[test]
    fn any_left_side_is_refused_or_written_as_it_was(text in "[a-c.@` ]{0,12}(@replica|@primary)?") {
        if let Ok(from) = text.parse::<FromTable>() {
            prop_assert_eq!(from.to_string(), text);
        }
    }

    #[test]
    fn any_document_is_read_or_refused(text in ".{0,60}") {
        let _ = parse(&text).map(|set| check(&set));
    }
}
