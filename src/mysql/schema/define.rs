//! Which tables can be moved, and by which key; what makes two tables of one name unlike.

use crate::model::{Column, ColumnKind, Key, TableDef, TableName};

use super::{ColumnInfo, KeyInfo, TableInfo, column_kind};

/// A reason why a table cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is a view.
    #[error("is a view")]
    View,
    /// It is stored by an engine without transactions, or one unknown.
    #[error("is stored by {0}, not by InnoDB")]
    Engine(String),
    /// Its name does not pass our own rules.
    #[error("has a name that is not supported: {0}")]
    Name(String),
    /// A column's type is unknown to us.
    #[error("has column {column} of type {column_type}, which is not supported")]
    Column {
        /// The column.
        column: String,
        /// Its type.
        column_type: String,
    },
    /// A computed value is kept that depends on the session's time zone: written again in UTC it would be another.
    #[error(
        "keeps generated column {column}, which is computed from TIMESTAMP {timestamp} in the time zone of whoever writes"
    )]
    ZonedGenerated {
        /// The column.
        column: String,
        /// What it is computed from.
        timestamp: String,
    },
    /// Rows cannot be told apart.
    #[error("has neither a primary key nor a unique key over whole NOT NULL columns: {0}")]
    NoKey(String),
}

/// The definition of a table, or every reason why it cannot be moved.
pub fn define(info: &TableInfo) -> Result<TableDef, Vec<Unfit>> {
    if !info.base_table {
        return Err(vec![Unfit::View]);
    }
    let mut unfit = Vec::new();
    if !info.engine.eq_ignore_ascii_case("InnoDB") {
        unfit.push(Unfit::Engine(info.engine.clone()));
    }
    let mut columns = Vec::new();
    for (ordinal, column) in info.columns.iter().enumerate().filter(|(_, column)| !column.generated) {
        match column_kind(column) {
            Some(kind) => {
                let (name, nullable, zerofill) = (column.name.clone(), column.nullable, column.zerofill());
                columns.push(Column { name, kind, nullable, zerofill, ordinal });
            }
            None => {
                let column_type = column.column_type.clone();
                unfit.push(Unfit::Column { column: column.name.clone(), column_type });
            }
        }
    }
    unfit.extend(zoned(info));
    let name = TableName::new(&info.name).map_err(|error| unfit.push(Unfit::Name(error.to_string()))).ok();
    let key = choose_key(info, &columns);
    if key.is_none() && unfit.iter().all(|reason| !matches!(reason, Unfit::Column { .. })) {
        unfit.push(Unfit::NoKey(why_no_key(info)));
    }
    match (name, key) {
        (Some(name), Some(key)) if unfit.is_empty() => {
            let other_unique = info.keys.iter().any(|other| other.unique && other.name != key.name);
            // Whose foreign keys refer to it is not in its own definition: see `read_source_tables`.
            Ok(TableDef {
                name,
                columns,
                column_count: info.columns.len(),
                key,
                other_unique,
                cascades: false,
                sharding: Vec::new(),
            })
        }
        _ => Err(unfit),
    }
}

/// Generated columns, stored or indexed, that name a TIMESTAMP column.
fn zoned(info: &TableInfo) -> impl Iterator<Item = Unfit> {
    let indexed =
        |name: &str| info.keys.iter().flat_map(|key| &key.parts).any(|part| part.column.as_deref() == Some(name));
    let kept = info.columns.iter().filter(move |column| column.generated && (column.stored || indexed(&column.name)));
    kept.filter_map(|column| {
        let named = |other: &&ColumnInfo| {
            other.data_type == "timestamp" && column.expression.contains(&crate::mysql::quote::ident(&other.name))
        };
        let timestamp = info.columns.iter().find(named)?.name.clone();
        Some(Unfit::ZonedGenerated { column: column.name.clone(), timestamp })
    })
}

/// PRIMARY if it can be used, else the usable unique key that compares most cheaply.
///
/// An invisible key is not usable: `FORCE INDEX` does not see it.
fn choose_key(info: &TableInfo, columns: &[Column]) -> Option<Key> {
    let usable = |key: &KeyInfo| -> Option<Vec<usize>> {
        if !key.unique || !key.visible || key.method != "BTREE" {
            return None;
        }
        let place = |part: &super::KeyPart| {
            let name = part.column.as_ref().filter(|_| part.prefix.is_none())?;
            let at = columns.iter().position(|column| column.name == *name && !column.nullable)?;
            (!is_widest_set(&info.columns[columns[at].ordinal])).then_some(at)
        };
        key.parts.iter().map(place).collect()
    };
    let cost = |key: &Key| {
        let kinds = || key.columns.iter().map(|&index| &columns[index].kind);
        let first_is_enum = kinds().next().is_some_and(|kind| matches!(kind, ColumnKind::Enum | ColumnKind::Set));
        let loose = kinds().any(|kind| !kind.compares_as_bytes());
        let not_int = kinds().any(|kind| !matches!(kind, ColumnKind::Int { .. }));
        (key.name != "PRIMARY", loose, first_is_enum, not_int, key.columns.len())
    };
    let candidates =
        info.keys.iter().filter_map(|key| usable(key).map(|columns| Key { name: key.name.clone(), columns }));
    candidates.min_by_key(cost)
}

/// A SET of 64 members: the index orders its values as unsigned numbers, comparison in SQL takes them as signed ones, so
/// that those with the last member are not found (seen on 9.7).
fn is_widest_set(column: &ColumnInfo) -> bool {
    column.data_type == "set" && column.column_type.matches("','").count() >= 63
}

fn why_no_key(info: &TableInfo) -> String {
    let generated = |name: &String| info.columns.iter().any(|column| column.name == *name && column.generated);
    let unique: Vec<String> = info
        .keys
        .iter()
        .filter(|key| key.unique)
        .map(|key| {
            let why = if !key.visible {
                "is invisible"
            } else if key.parts.iter().any(|part| part.column.is_none()) {
                "is over an expression"
            } else if key.parts.iter().any(|part| part.prefix.is_some()) {
                "is over part of a column"
            } else if key.parts.iter().filter_map(|part| part.column.as_ref()).any(generated) {
                "is over a generated column"
            } else if info.columns.iter().any(|column| {
                is_widest_set(column) && key.parts.iter().any(|part| part.column.as_ref() == Some(&column.name))
            }) {
                "is over a SET of 64 members, which MySQL does not compare in the order of its index"
            } else {
                "is over a column that may be NULL"
            };
            format!("key {} {why}", key.name)
        })
        .collect();
    if unique.is_empty() { "it has no unique key at all".to_owned() } else { unique.join(", ") }
}

/// What of `wanted` the table `found` of the same name does not have alike, in words: rows of the one could not be kept
/// in the other. Keys that merely speed up reading may differ; a unique key may be absent (it may have been left for
/// later), but one that `wanted` does not have would refuse rows.
pub fn differences(wanted: &TableInfo, found: &TableInfo) -> Vec<String> {
    let mut unlike = Vec::new();
    let shape = |c: &ColumnInfo| {
        let (collation, column_type) = (c.collation.clone(), c.column_type.clone());
        (c.name.clone(), column_type, collation, c.nullable, c.generated, c.auto_increment)
    };
    let (mine, theirs): (Vec<_>, Vec<_>) =
        (wanted.columns.iter().map(shape).collect(), found.columns.iter().map(shape).collect());
    if mine != theirs {
        let named: Vec<&str> = wanted
            .columns
            .iter()
            .filter(|column| !theirs.contains(&shape(column)))
            .chain(found.columns.iter().filter(|column| !mine.contains(&shape(column))))
            .map(|column| column.name.as_str())
            .collect();
        let named = if named.is_empty() { "their order".to_owned() } else { named.join(", ") };
        unlike.push(format!("columns differ: {named}"));
    }
    let unique = |info: &TableInfo| -> Vec<(String, Vec<super::KeyPart>)> {
        info.keys.iter().filter(|key| key.unique).map(|key| (key.name.clone(), key.parts.clone())).collect()
    };
    let (mine, theirs) = (unique(wanted), unique(found));
    for (name, parts) in &theirs {
        if !mine.iter().any(|(_, mine)| mine == parts) {
            unlike.push(format!("it has another unique key {name}"));
        }
    }
    for (name, parts) in mine.iter().filter(|(name, _)| name == "PRIMARY") {
        if !theirs.iter().any(|(other, theirs)| other == name && theirs == parts) {
            unlike.push("its primary key differs".to_owned());
        }
    }
    unlike
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::schema::KeyPart;

    fn column(name: &str, data_type: &str) -> ColumnInfo {
        let (name, data_type, column_type) = (name.to_owned(), data_type.to_owned(), data_type.to_owned());
        ColumnInfo { name, data_type, column_type, ..ColumnInfo::default() }
    }

    fn key(name: &str, columns: &[&str]) -> KeyInfo {
        let parts = columns.iter().map(|c| KeyPart { column: Some((*c).to_owned()), prefix: None }).collect();
        KeyInfo { name: name.to_owned(), unique: true, visible: true, method: "BTREE".to_owned(), parts }
    }

    fn table(columns: Vec<ColumnInfo>, keys: Vec<KeyInfo>) -> TableInfo {
        let (name, engine) = ("t".to_owned(), "InnoDB".to_owned());
        TableInfo { name, base_table: true, engine, columns, keys, ..TableInfo::default() }
    }

    #[test]
    fn the_best_key_is_chosen_and_generated_columns_only_count() {
        let mut generated = column("g", "int");
        generated.generated = true;
        let mut nullable = column("n", "int");
        nullable.nullable = true;
        let columns = vec![column("e", "enum"), generated, column("a", "int"), column("b", "int"), nullable];
        let keys = vec![key("k1", &["e"]), key("k2", &["a", "b"]), key("k3", &["n"]), key("k4", &["g"])];
        let def = define(&table(columns.clone(), keys)).unwrap();
        assert_eq!((def.key.name.as_str(), &def.key.columns[..]), ("k2", &[1, 2][..]));
        assert_eq!((def.column_count, def.columns[1].ordinal, def.other_unique), (5, 2, true));
        let mut hidden = key("k5", &["a"]);
        hidden.visible = false;
        let mut part = key("k6", &["a"]);
        part.parts[0].prefix = Some(3);
        let unfit = define(&table(columns, vec![key("k3", &["n"]), key("k4", &["g"]), hidden, part])).unwrap_err();
        let text = unfit[0].to_string();
        for why in
            ["k3 is over a column that may be NULL", "k4 is over a generated", "k5 is invisible", "k6 is over part"]
        {
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn every_reason_is_named() {
        let mut info = table(vec![column("u", "uuid"), column("i", "inet6")], vec![]);
        info.engine = "MyISAM".to_owned();
        assert_eq!(define(&info).unwrap_err().len(), 3);
        info.base_table = false;
        assert_eq!(define(&info), Err(vec![Unfit::View]));
    }

    #[test]
    fn unlike_tables_are_told_apart() {
        let one = table(vec![column("a", "int"), column("b", "int")], vec![key("PRIMARY", &["a"])]);
        let mut two = one.clone();
        assert!(differences(&one, &two).is_empty());
        two.columns[1].collation = Some("x".to_owned());
        two.keys.push(key("u", &["b"]));
        assert_eq!(differences(&one, &two), ["columns differ: b, b", "it has another unique key u"]);
        two = one.clone();
        two.columns.swap(0, 1);
        two.keys.clear();
        assert_eq!(differences(&one, &two), ["columns differ: their order", "its primary key differs"]);
    }
}
