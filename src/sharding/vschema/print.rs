//! A [`VSchema`] as Vitess prints it.

use super::document::Node;
use crate::model::VSchema;

/// The document, every field of it, as `vtctldclient GetVSchema` prints it; `compact` leaves out those that say nothing,
/// as its flag `--compact` does.
pub fn print(vschema: &VSchema, compact: bool) -> Result<String, serde_json::Error> {
    if !compact {
        return serde_json::to_string_pretty(vschema);
    }
    let node = Node::read(&serde_json::to_string(vschema)?)?;
    serde_json::to_string_pretty(&record(node, ""))
}

/// An object with a field for each thing it may say.
fn record(node: Node, name: &str) -> Node {
    match node {
        // `params` is a map of strings and has nothing to leave out.
        Node::Object(fields) if name == "params" => Node::Object(fields),
        Node::Object(fields) => {
            let said = fields.into_iter().filter(|(name, value)| match name.as_str() {
                "nullable" => true,
                "foreign_key_mode" => *value != Node::Text("unspecified".into()),
                _ => !value.is_default(),
            });
            let said = said.map(|(name, value)| match (name.as_str(), value) {
                ("vindexes" | "tables", Node::Object(entries)) => {
                    let entries = entries.into_iter().map(|(key, value)| (key, record(value, "")));
                    (name, Node::Object(entries.collect()))
                }
                (_, value) => {
                    let value = record(value, &name);
                    (name, value)
                }
            });
            Node::Object(said.collect())
        }
        Node::List(list) => Node::List(list.into_iter().map(|item| record(item, "")).collect()),
        other => other,
    }
}
