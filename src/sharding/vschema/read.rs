//! From Vitess's JSON to a [`VSchema`], strictly: what is not understood is refused with its path.
//!
//! As in Vitess a field may be called by its name in `vschema.proto` or by that name in camel case, and null says nothing.

use std::collections::BTreeMap;

use super::document::Node;
use crate::model::vschema::{
    AutoIncrementSpec, ColumnSpec, ColumnVindexSpec, ForeignKeyMode, TableSpec, VSchema, VindexSpec,
};

/// Vitess's names of column types (`query.Type`), with their numbers.
const COLUMN_TYPES: [(&str, i64); 33] = [
    ("NULL_TYPE", 0),
    ("INT8", 257),
    ("UINT8", 770),
    ("INT16", 259),
    ("UINT16", 772),
    ("INT24", 261),
    ("UINT24", 774),
    ("INT32", 263),
    ("UINT32", 776),
    ("INT64", 265),
    ("UINT64", 778),
    ("FLOAT32", 1035),
    ("FLOAT64", 1036),
    ("TIMESTAMP", 2061),
    ("DATE", 2062),
    ("TIME", 2063),
    ("DATETIME", 2064),
    ("YEAR", 785),
    ("DECIMAL", 18),
    ("TEXT", 6163),
    ("BLOB", 10260),
    ("VARCHAR", 6165),
    ("VARBINARY", 10262),
    ("CHAR", 6167),
    ("BINARY", 10264),
    ("BIT", 2073),
    ("ENUM", 2074),
    ("SET", 2075),
    ("GEOMETRY", 2077),
    ("JSON", 2078),
    ("EXPRESSION", 31),
    ("TUPLE", 28),
    ("VECTOR", 2083),
];

/// Why a document is no VSchema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("the VSchema is not valid JSON: {0}")]
    Syntax(String),
    /// Something in it.
    #[error("VSchema, {path}: {why}")]
    At {
        /// Where, e.g. `tables.customer.column_vindexes[0]`.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// Reads a document of Vitess's.
pub fn parse(text: &str) -> Result<VSchema, DocumentError> {
    let node = Node::read(text).map_err(|error| DocumentError::Syntax(error.to_string()))?;
    let mut fields = Fields::of(&node, String::new())?;
    let read = VSchema {
        sharded: fields.bool("sharded")?,
        vindexes: fields.map("vindexes", vindex)?,
        tables: fields.map("tables", table)?,
        require_explicit_routing: fields.bool("require_explicit_routing")?,
        foreign_key_mode: foreign_key_mode(&mut fields)?,
        multi_tenant_spec: None,
    };
    if fields.take("multi_tenant_spec").is_some() {
        return fields.fail("multi_tenant_spec", "multi-tenant keyspaces are not supported");
    }
    fields.end()?;
    Ok(read)
}

fn foreign_key_mode(fields: &mut Fields<'_>) -> Result<ForeignKeyMode, DocumentError> {
    const NAME: &str = "foreign_key_mode";
    let unsupported = |word: &str| format!("mode {word} is not supported; foreign keys are left to MySQL (unmanaged)");
    match fields.take(NAME) {
        None | Some(Node::Int(0)) => Ok(ForeignKeyMode::Unspecified),
        Some(Node::Int(2)) => Ok(ForeignKeyMode::Unmanaged),
        Some(Node::Text(word)) => match word.as_str() {
            "unspecified" => Ok(ForeignKeyMode::Unspecified),
            "unmanaged" => Ok(ForeignKeyMode::Unmanaged),
            "managed" | "disallow" => fields.fail(NAME, &unsupported(word)),
            _ => fields.fail(NAME, &format!("`{word}` is no mode; expected unmanaged")),
        },
        Some(Node::Int(1)) => fields.fail(NAME, &unsupported("disallow")),
        Some(Node::Int(3)) => fields.fail(NAME, &unsupported("managed")),
        Some(other) => fields.fail(NAME, &format!("expected a mode, found {}", other.kind())),
    }
}

fn vindex(mut fields: Fields<'_>) -> Result<VindexSpec, DocumentError> {
    let params = fields.nodes("params")?;
    let mut texts = BTreeMap::new();
    for (name, value) in params {
        let path = join(&join(&fields.path, "params"), name);
        let Node::Text(text) = value else {
            return Err(DocumentError::At { path, why: format!("expected a string, found {}", value.kind()) });
        };
        texts.insert(name.to_owned(), text.clone());
    }
    let read = VindexSpec { vindex_type: fields.text("type")?, params: texts, owner: fields.text("owner")? };
    fields.end()?;
    Ok(read)
}

fn table(mut fields: Fields<'_>) -> Result<TableSpec, DocumentError> {
    let auto_increment = fields.object("auto_increment")?.map(|mut fields| {
        let read = AutoIncrementSpec { column: fields.text("column")?, sequence: fields.text("sequence")? };
        fields.end()?;
        Ok(read)
    });
    let read = TableSpec {
        table_type: fields.text("type")?,
        column_vindexes: fields.objects("column_vindexes", column_vindex)?,
        auto_increment: auto_increment.transpose()?,
        columns: fields.objects("columns", column)?,
        pinned: fields.text("pinned")?,
        column_list_authoritative: fields.bool("column_list_authoritative")?,
        source: fields.text("source")?,
    };
    fields.end()?;
    Ok(read)
}

fn column_vindex(mut fields: Fields<'_>) -> Result<ColumnVindexSpec, DocumentError> {
    let read = ColumnVindexSpec {
        column: fields.text("column")?,
        name: fields.text("name")?,
        columns: fields.texts("columns")?,
    };
    fields.end()?;
    Ok(read)
}

fn column(mut fields: Fields<'_>) -> Result<ColumnSpec, DocumentError> {
    let known = |node: Option<&Node>| match node {
        None => Some("NULL_TYPE"),
        Some(Node::Text(name)) => COLUMN_TYPES.iter().find(|(known, _)| known == name).map(|(name, _)| *name),
        Some(Node::Int(number)) => COLUMN_TYPES.iter().find(|(_, known)| known == number).map(|(name, _)| *name),
        Some(_) => None,
    };
    let Some(column_type) = known(fields.take("type")) else {
        return fields.fail("type", "expected the name of a column type of Vitess's, such as VARCHAR");
    };
    let read = ColumnSpec {
        name: fields.text("name")?,
        column_type: column_type.to_owned(),
        invisible: fields.bool("invisible")?,
        default: fields.text("default")?,
        collation_name: fields.text("collation_name")?,
        size: fields.int("size")?,
        scale: fields.int("scale")?,
        nullable: fields.maybe_bool("nullable")?,
        values: fields.texts("values")?,
    };
    fields.end()?;
    Ok(read)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// An object's fields that were not read yet.
struct Fields<'a> {
    path: String,
    rest: Vec<(&'a str, &'a Node)>,
    /// What was asked for: all it may have.
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn of(node: &'a Node, path: String) -> Result<Self, DocumentError> {
        match node {
            Node::Object(fields) => {
                let rest = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
                Ok(Self { path, rest, known: Vec::new() })
            }
            other => {
                let path = if path.is_empty() { "the whole".into() } else { path };
                Err(DocumentError::At { path, why: format!("expected an object, found {}", other.kind()) })
            }
        }
    }

    fn fail<T>(&self, name: &str, why: &str) -> Result<T, DocumentError> {
        Err(DocumentError::At { path: join(&self.path, name), why: why.into() })
    }

    fn expected<T>(&self, name: &str, what: &str, found: &Node) -> Result<T, DocumentError> {
        self.fail(name, &format!("expected {what}, found {}", found.kind()))
    }

    /// The next value of a field that was not read yet; null is none.
    fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        let place = self.rest.iter().position(|(found, _)| *found == name || *found == camel_case(name))?;
        let (_, value) = self.rest.remove(place);
        (*value != Node::Null).then_some(value)
    }

    fn text(&mut self, name: &'static str) -> Result<String, DocumentError> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Node::Text(text)) => Ok(text.clone()),
            Some(other) => self.expected(name, "a string", other),
        }
    }

    fn maybe_bool(&mut self, name: &'static str) -> Result<Option<bool>, DocumentError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Bool(value)) => Ok(Some(*value)),
            Some(other) => self.expected(name, "true or false", other),
        }
    }

    fn bool(&mut self, name: &'static str) -> Result<bool, DocumentError> {
        self.maybe_bool(name).map(Option::unwrap_or_default)
    }

    fn int(&mut self, name: &'static str) -> Result<i32, DocumentError> {
        match self.take(name) {
            None => Ok(0),
            Some(Node::Int(value)) => match i32::try_from(*value) {
                Ok(value) => Ok(value),
                Err(_) => self.fail(name, "the number does not fit 32 bits"),
            },
            Some(other) => self.expected(name, "a whole number", other),
        }
    }

    fn list(&mut self, name: &'static str) -> Result<&'a [Node], DocumentError> {
        match self.take(name) {
            None => Ok(&[]),
            Some(Node::List(list)) => Ok(list),
            Some(other) => self.expected(name, "a list", other),
        }
    }

    fn texts(&mut self, name: &'static str) -> Result<Vec<String>, DocumentError> {
        let list = self.list(name)?.iter().enumerate().map(|(place, node)| match node {
            Node::Text(text) => Ok(text.clone()),
            other => self.expected(&format!("{name}[{place}]"), "a string", other),
        });
        list.collect()
    }

    fn objects<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Fields<'a>) -> Result<T, DocumentError>,
    ) -> Result<Vec<T>, DocumentError> {
        let list = self.list(name)?.iter().enumerate();
        list.map(|(place, node)| read(Fields::of(node, join(&self.path, &format!("{name}[{place}]")))?)).collect()
    }

    fn object(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, DocumentError> {
        let path = join(&self.path, name);
        self.take(name).map(|node| Fields::of(node, path)).transpose()
    }

    /// The entries of a map, by key; none may be there twice.
    fn nodes(&mut self, name: &'static str) -> Result<BTreeMap<&'a str, &'a Node>, DocumentError> {
        let Some(fields) = self.object(name)? else { return Ok(BTreeMap::new()) };
        let mut entries = BTreeMap::new();
        for (key, node) in &fields.rest {
            if entries.insert(*key, *node).is_some() {
                return fields.fail(key, "it is there twice");
            }
        }
        Ok(entries)
    }

    fn map<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Fields<'a>) -> Result<T, DocumentError>,
    ) -> Result<BTreeMap<String, T>, DocumentError> {
        let entries = self.nodes(name)?;
        let path = join(&self.path, name);
        entries.into_iter().map(|(key, node)| Ok((key.into(), read(Fields::of(node, join(&path, key))?)?))).collect()
    }

    /// Refuses what was not asked for.
    fn end(self) -> Result<(), DocumentError> {
        let Some((name, _)) = self.rest.first() else { return Ok(()) };
        let twice = self.known.iter().any(|known| known == name || camel_case(known) == *name);
        let why = match twice {
            true => "it is there twice".to_owned(),
            false => format!("unknown field; there may be {}", self.known.join(", ")),
        };
        self.fail(name, &why)
    }
}

/// `column_vindexes` as `columnVindexes`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}
