//! Taking a stream over at one of its targets, and what its tables are then.

use std::collections::HashMap;
use std::sync::Arc;

use crate::mapping::Mapping;
use crate::model::{GtidSet, TableDef, TableName};
use crate::mysql::schema::{SourceTable, read_source_tables, without_auto_increment};
use crate::topology::{Lease, TopologyError};

use super::apply::shared::Shared;
use super::apply::writer::Writer;
use super::checkpoint::Checkpoint;
use super::conflict::{Owners, Ownership};
use super::connect::slot;
use super::copy::marks::{self, Progress};
use super::error::EngineError;
use super::prepare;
use super::progress::Progress as StreamProgress;
use super::sidecar;
use super::source::Source;
use super::stream::{StreamSpec, TargetSpec};
use super::targets::Targets;

/// Takes `target` over; also whether rows may be loaded there (`local_infile`).
pub async fn claim(target: &TargetSpec, lease: &Lease) -> Result<(Writer, bool), EngineError> {
    let mut session = target.side.session().await?;
    // A process that was stopped and wakes up here must not bring an undone workflow's stream back.
    lease.check().map_err(TopologyError::from)?;
    let id = sidecar::enter(&mut session, &target.key).await?;
    let checkpoint = Checkpoint::claim(&mut session, id, target.key.uid).await?;
    let at = EngineError::at(&target.side.label);
    let local_infile = session.value("SELECT @@global.local_infile").await.map_err(at)?;
    session.close().await;
    Ok((Writer::new(target.side.clone(), checkpoint), local_infile.as_deref() == Some("1")))
}

/// Sets the first position of a stream no target of which holds a row: what the source has executed. It may lack what
/// something in it builds upon, and is whole when the stream has passed all that covers it.
pub async fn begin(source: &mut Source, writers: &mut [Writer], progress: &StreamProgress) -> Result<(), EngineError> {
    // Before the schema is read: DDL in between is then met.
    let position = source.gtid_executed().await?;
    let covering = source.covering_all().await?;
    let now = source.clock_us().await?;
    for writer in writers {
        writer.begin_at(position.clone(), covering.clone(), &source.uuid).await?;
    }
    progress.update(|snapshot| snapshot.as_of_us = Some(now));
    Ok(())
}

/// Gives a stream that begins level the position it began `from`, if a target has none: a replica that was promoted may have
/// all that the stream's own side had, and not that. What the former primary was sent since is sent again.
pub async fn begin_level_again(
    source: &mut Source,
    writer: &mut Writer,
    from: Option<&GtidSet>,
) -> Result<(), EngineError> {
    if !writer.checkpoint.position.is_empty() {
        return Ok(());
    }
    let from = from.ok_or_else(|| EngineError::NoPosition { side: writer.side().label.clone() })?;
    // As after a crash: what was applied before may be there.
    let covering = source.covering_all().await?;
    writer.begin_at(from.clone(), covering, &source.uuid).await
}

/// The copy's progress at one target.
pub async fn noted(writer: &mut Writer) -> Result<Progress, EngineError> {
    let id = writer.checkpoint.stream_id;
    marks::load(writer.connection().await?, id).await
}

/// Brings one target's tables into being; what they are there.
pub async fn prepare(
    spec: &StreamSpec,
    writer: &Writer,
    tables: &[SourceTable],
    noted: &Progress,
) -> Result<Vec<SourceTable>, EngineError> {
    let (side, checkpoint) = (writer.side(), &writer.checkpoint);
    let mut owned = side.owned_session(checkpoint, slot::PREPARE).await?;
    // Where rows of several sources may collide in them, keys are there from the first.
    let defer = spec.options.defer_secondary_keys && spec.owners.is_none();
    let removes = spec.options.sharded_auto_increment.leaves_out();
    let tables: Vec<_> = tables
        .iter()
        .map(|table| match removes && spec.mapping.spreads(&table.def.name) {
            true => SourceTable { create: without_auto_increment(&table.create), ..table.clone() },
            false => table.clone(),
        })
        .collect();
    prepare::tables(&mut owned, side, checkpoint, &tables, noted, &spec.created_tables, defer).await?;
    let there = read_source_tables(&mut owned, &side.database, &spec.tables).await?;
    owned.close().await;
    Ok(there)
}

/// The stream's tables, by the source's definitions and each target's, in the same order; `mapping` knows them then.
///
/// A target's tables are as the source's were at its position: they were made from them, and DDL since then was passed
/// there only together with the position. So rows are decoded as the target that is furthest behind has them.
pub fn define(
    mapping: &mut Mapping,
    source: Vec<SourceTable>,
    there: &[Vec<SourceTable>],
    targets: &Targets,
) -> Result<HashMap<TableName, SourceTable>, EngineError> {
    let position = targets.position();
    let mut behind: Vec<_> =
        targets.iter().zip(there).filter(|(writer, _)| writer.checkpoint.position == position).collect();
    if behind.is_empty() {
        // Each has something that another lacks: they are level once those have passed.
        behind.extend(targets.iter().zip(there).next());
    }
    let mut tables = HashMap::new();
    for (index, source) in source.into_iter().enumerate() {
        let name = source.def.name.clone();
        let mut defs = behind.iter().filter_map(|(writer, there)| Some((writer, &there.get(index)?.def)));
        let Some((_, def)) = defs.next() else {
            return Err(EngineError::Table { table: name, why: "it is missing on a target".into() });
        };
        if let Some((other, _)) = defs.find(|(_, other)| other.columns != def.columns || other.key != def.key) {
            let why = format!("{} has other columns or another key than the other targets", other.side().label);
            return Err(EngineError::Table { table: name, why });
        }
        let unique = there.iter().filter_map(|there| there.get(index)).any(|table| table.def.other_unique);
        let other_unique = source.def.other_unique || unique;
        let sharding = mapping.bind(def)?;
        let def = TableDef { other_unique, cascades: source.def.cascades, sharding, ..def.clone() };
        tables.insert(name, SourceTable { def, ..source });
    }
    Ok(tables)
}

/// Tells the targets whose rows are whose, with `tables` as they are read and `there` as each target has them.
pub fn share(
    spec: &StreamSpec,
    owners: &Owners,
    targets: &mut Targets,
    there: &[Vec<SourceTable>],
    tables: &HashMap<TableName, SourceTable>,
) -> Result<(), EngineError> {
    for ((writer, there), target) in targets.iter_mut().zip(there).zip(&spec.targets) {
        let def = |table: &SourceTable| tables.get(&table.def.name).map(|known| Arc::new(known.def.clone()));
        let shared = there.iter().filter_map(|table| Some((table, def(table)?)));
        let ownership = Arc::new(Ownership::bind(owners.clone(), shared)?);
        writer.shared = Some(Shared { key: target.key.clone(), ownership });
    }
    Ok(())
}

/// Takes away the tables that another source's stream feeds alone.
pub fn leave_out(owners: &Owners, tables: &mut Vec<SourceTable>) -> Result<(), EngineError> {
    let mut kept = Vec::with_capacity(tables.len());
    for table in std::mem::take(tables) {
        if !owners.leave_out(&table.def)? {
            kept.push(table);
        }
    }
    *tables = kept;
    Ok(())
}
