//! What a server says of itself: queries without judgement.
//!
//! Where the account lacks a privilege the answer stays empty: `privileges` names what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    model::TableName,
    mysql::{
        MysqlError,
        admin::{self, BinlogStatus, Channel, PreparedXa, Session},
        flavor::Flavor,
        quote,
        schema::{self, ForeignKey, TableInfo},
    },
};

use super::{Server, Side, grants::Grants};

/// A single question may take this long.
const LIMIT: Duration = Duration::from_secs(20);

/// Everything asked of one server.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `CURRENT_USER()`, quoted for GRANT.
    pub account: String,
    /// `@@version`.
    pub version: String,
    /// The same, understood.
    pub flavor: Option<Flavor>,
    /// Global variables.
    pub variables: BTreeMap<String, String>,
    /// What the account may do.
    pub grants: Grants,
    /// Where its binlog ends, and what is kept out.
    pub binlog: Option<BinlogStatus>,
    /// Channels into it.
    pub channels: Vec<Channel>,
    /// Undecided XA transactions.
    pub prepared: Vec<PreparedXa>,
    /// Tables and views of the moved names.
    pub tables: Vec<TableInfo>,
    /// Of these, the tables with rows. Target only.
    pub occupied: BTreeSet<String>,
    /// Foreign keys of and to the database.
    pub foreign_keys: Vec<ForeignKey>,
    /// Triggers, routines, events and views.
    pub programs: Vec<Program>,
    /// CHECK and FOREIGN KEY constraints of the database: table and name.
    pub constraints: Vec<(String, String)>,
    /// Known collations.
    pub collations: BTreeSet<String>,
}

impl Facts {
    /// A global variable; empty if there is none of that name.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether a variable is ON.
    pub fn on(&self, name: &str) -> bool {
        matches!(self.variable(name), "ON" | "1")
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&TableInfo> {
        self.tables.iter().find(|table| table.name == name)
    }
}

/// Something stored on the server that contains SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// `trigger`, `procedure`, `function`, `event` or `view`.
    pub kind: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The table it hangs on, for a trigger.
    pub table: Option<String>,
    /// Its text; `None` where the account may not read it.
    pub body: Option<String>,
}

/// Asks everything.
pub(super) async fn gather(side: Side, server: &Server, moved: &[TableName]) -> Result<Facts, MysqlError> {
    let names: Vec<String> = moved.iter().map(ToString::to_string).collect();
    let (mut first, mut second) =
        tokio::try_join!(Session::open(&server.login, LIMIT), Session::open(&server.login, LIMIT))?;
    let (mut facts, schema) =
        tokio::try_join!(server_facts(&mut first), schema_facts(&mut second, side, server, &names))?;
    first.close().await;
    second.close().await;
    let Facts { tables, occupied, foreign_keys, programs, constraints, .. } = schema;
    facts.tables = tables;
    facts.occupied = occupied;
    facts.foreign_keys = foreign_keys;
    facts.programs = programs;
    facts.constraints = constraints;
    Ok(facts)
}

/// What concerns the server as a whole.
pub(super) async fn server_facts(session: &mut Session) -> Result<Facts, MysqlError> {
    let mut facts = Facts::default();
    if let Some(row) = session.row("SELECT CURRENT_USER(), CURRENT_ROLE(), @@version, @@version_comment").await? {
        let text = |index| row.text(index).unwrap_or_default();
        let (user, host) = text(0).rsplit_once('@').map(|(u, h)| (u.to_owned(), h.to_owned())).unwrap_or_default();
        facts.account = format!("{}@{}", quote::ident(&user), quote::ident(&host));
        facts.version = text(2);
        facts.flavor = Flavor::parse(&text(2), &text(3));
        let using = if text(1).is_empty() || text(1) == "NONE" { String::new() } else { format!(" USING {}", text(1)) };
        let lines = session.rows(&format!("SHOW GRANTS FOR CURRENT_USER(){using}")).await?;
        facts.grants = Grants::parse(lines.iter().filter_map(|row| row.text(0)));
    }
    for row in session.rows("SHOW GLOBAL VARIABLES").await? {
        facts.variables.insert(row.text(0).unwrap_or_default().to_lowercase(), row.text(1).unwrap_or_default());
    }
    facts.grants.literal_names = facts.on("partial_revokes");
    if let Some(flavor) = facts.flavor.filter(Flavor::supported) {
        facts.binlog = permitted(admin::binlog_status(session, &flavor).await)?;
        facts.channels = permitted(admin::channels(session).await)?;
        facts.prepared = permitted(admin::xa_recover(session).await)?;
    }
    let collations = session.rows("SELECT COLLATION_NAME FROM information_schema.COLLATIONS").await?;
    facts.collations = collations.iter().filter_map(|row| row.text(0)).collect();
    Ok(facts)
}

async fn schema_facts(
    session: &mut Session,
    side: Side,
    server: &Server,
    names: &[String],
) -> Result<Facts, MysqlError> {
    let database = server.database.as_str();
    let mut facts = Facts { tables: schema::read_tables(session, database, Some(names)).await?, ..Facts::default() };
    facts.foreign_keys = schema::read_foreign_keys(session, database).await?;
    facts.programs = programs(session).await?;
    let sql = format!(
        "SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {} AND CONSTRAINT_TYPE IN ('CHECK', 'FOREIGN KEY')",
        quote::text(database)
    );
    for row in session.rows(&sql).await? {
        facts.constraints.push((row.text(0).unwrap_or_default(), row.text(1).unwrap_or_default()));
    }
    if side == Side::Target {
        let there: Vec<&TableInfo> = facts.tables.iter().filter(|table| table.base_table).collect();
        for some in there.chunks(200) {
            let first_rows = some.iter().map(|table| {
                let from = quote::qualified(database, &table.name);
                format!("(SELECT {} FROM {from} LIMIT 1)", quote::text(&table.name))
            });
            let sql = first_rows.collect::<Vec<_>>().join(" UNION ALL ");
            let rows = permitted(session.rows(&sql).await)?;
            facts.occupied.extend(rows.iter().filter_map(|row| row.text(0)));
        }
    }
    Ok(facts)
}

/// Triggers, routines, events and views of all schemas.
pub(super) async fn programs(session: &mut Session) -> Result<Vec<Program>, MysqlError> {
    let mut found = Vec::new();
    for (kind, table, columns) in [
        ("'trigger'", "TRIGGERS", "TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_STATEMENT"),
        ("LOWER(ROUTINE_TYPE)", "ROUTINES", "ROUTINE_SCHEMA, ROUTINE_NAME, NULL, ROUTINE_DEFINITION"),
        ("'event'", "EVENTS", "EVENT_SCHEMA, EVENT_NAME, NULL, EVENT_DEFINITION"),
        ("'view'", "VIEWS", "TABLE_SCHEMA, TABLE_NAME, NULL, NULLIF(VIEW_DEFINITION, '')"),
    ] {
        let schema = columns.split(',').next().unwrap_or_default();
        let sql = format!(
            "SELECT {kind}, {columns} FROM information_schema.{table} WHERE {schema} NOT IN \
             ('mysql', 'sys', 'information_schema', 'performance_schema', '_shardlift')"
        );
        for row in session.rows(&sql).await? {
            let text = |index| row.text(index).unwrap_or_default();
            let (kind, schema, name) = (text(0), text(1), text(2));
            found.push(Program { kind, schema, name, table: row.text(3), body: row.text(4) });
        }
    }
    Ok(found)
}

/// The answer, or nothing where the account may not ask.
fn permitted<T: Default>(answer: Result<T, MysqlError>) -> Result<T, MysqlError> {
    match answer {
        // Access denied to a database, to a statement, to a table; XA RECOVER's own way to say so.
        Err(error) if matches!(error.code(), Some(1044 | 1142 | 1143 | 1227 | 1401)) => Ok(T::default()),
        answer => answer,
    }
}
