//! Copies of one shard's rows with nothing around them: the least that four separate copies can cost.
//!
//! Each has as many connections as a workflow, reads the whole source as a workflow does, by ranges of the primary key, asks
//! shardlift's own mapping for each row's shard, and loads its own rows with LOAD DATA LOCAL; the secondary key comes last.
//! No snapshot, no marks, no checkpoints, no escapes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow};
use futures_util::future::try_join_all;
use shardlift::mapping::{Home, Mapping};
use shardlift::model::workflow::WorkflowOptions;
use shardlift::model::{Column, ColumnKind, Key, TableDef};
use shardlift::mysql::quote::{READER_SESSION, WRITER_SESSION};
use shardlift::mysql::wire::Wire;
use shardlift::sharding::ShardMap;
use shardlift::sharding::vschema::{self, KeyspaceSchema};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::split::Times;
use super::stage::{SHARDS, Stage, VSCHEMA, run, wire};
use super::testbed::sysbench::{COLUMNS, KEY, TABLE, create_table, load_data};

/// Where the copies are, on each shard's server.
pub const COPY: &str = "raw.sbtest1";
const PIECE: usize = 256 << 10;
/// A row of this table in a LOAD DATA file, about.
const ROW_BYTES: u64 = 196;

/// Copies each shard's rows to its server, one shard after another or all side by side.
pub async fn copy(stage: &Stage, rows: u64, side_by_side: bool) -> Result<Times> {
    let began = Instant::now();
    let times = if side_by_side {
        try_join_all((0..SHARDS.len()).map(|shard| one(stage, rows, shard))).await?
    } else {
        let mut times = Vec::new();
        for shard in 0..SHARDS.len() {
            times.push(one(stage, rows, shard).await?);
        }
        times
    };
    let all = began.elapsed();
    // Of copies side by side the rows are there when the last one has them.
    let rows = if side_by_side { times.iter().max().copied() } else { Some(times.iter().sum()) };
    Ok(Times { rows: rows.unwrap_or_default(), copy: all, whole: all })
}

/// Copies one shard's rows and adds the key; how long the rows took.
async fn one(stage: &Stage, rows: u64, shard: usize) -> Result<std::time::Duration> {
    let (source, target) = (stage.source()?, stage.shard(SHARDS[shard])?);
    let options = WorkflowOptions::default();
    // Ranges as large as shardlift's chunks, handed out in key order to whichever pipe is free.
    let range = (options.chunk_bytes / ROW_BYTES).max(1);
    let next = Arc::new(AtomicU64::new(0));
    let (mapping, table) = mapping()?;
    let began = Instant::now();
    run(target, &["CREATE DATABASE raw", &create_table(COPY)]).await?;
    let mut pipes = JoinSet::new();
    for _ in 0..options.workers {
        let (mut reader, mut writer) = (wire(source, READER_SESSION).await?, wire(target, WRITER_SESSION).await?);
        let (next, mapping, table) = (next.clone(), mapping.clone(), table.clone());
        pipes.spawn(async move {
            loop {
                let from = next.fetch_add(range, Ordering::Relaxed);
                if from >= rows {
                    return anyhow::Ok(());
                }
                let belongs = |id: Option<&[u8]>| Ok(mapping.home(&table, |_| id)? == Home::One(shard));
                pipe(&mut reader, &mut writer, from, from + range, belongs).await?;
            }
        });
    }
    while let Some(ended) = pipes.join_next().await {
        ended??;
    }
    let copied = began.elapsed();
    run(target, &[&format!("ALTER TABLE {COPY} {KEY}")]).await?;
    Ok(copied)
}

/// Takes the copies away.
pub async fn drop_all(stage: &Stage) -> Result<()> {
    for shard in SHARDS {
        run(stage.shard(shard)?, &["DROP DATABASE raw"]).await?;
    }
    Ok(())
}

async fn pipe(
    reader: &mut Wire,
    writer: &mut Wire,
    after: u64,
    upto: u64,
    belongs: impl Fn(Option<&[u8]>) -> Result<bool>,
) -> Result<()> {
    let select = format!("SELECT {COLUMNS} FROM {TABLE} WHERE id > {after} AND id <= {upto} ORDER BY id");
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(4);
    let read = async move {
        let mut rows = reader.query(select.as_bytes()).await?;
        let mut piece = Vec::with_capacity(PIECE + PIECE / 8);
        while let Some(row) = rows.next().await? {
            if !belongs(row.values().next().flatten())? {
                continue;
            }
            for (place, value) in row.values().enumerate() {
                if place > 0 {
                    piece.push(b'\t');
                }
                piece.extend_from_slice(value.unwrap_or_default());
            }
            piece.push(b'\n');
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE + PIECE / 8));
                sender.send(full).await.context("the writing end is gone")?;
            }
        }
        sender.send(piece).await.context("the writing end is gone")
    };
    let write = async {
        let mut load = writer.load(load_data(COPY).as_bytes()).await?;
        while let Some(piece) = pieces.recv().await {
            load.send(&piece).await?;
        }
        anyhow::Ok(load.finish().await?)
    };
    let (read, written) = tokio::join!(read, write);
    written?;
    read
}

/// Where rows belong, as a workflow asks it.
pub fn mapping() -> Result<(Mapping, Arc<TableDef>)> {
    let schema = KeyspaceSchema::new(&vschema::parse(VSCHEMA)?).map_err(|why| anyhow!("{}", why.join("; ")))?;
    let shards = SHARDS.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    let mut mapping = Mapping::sharded(Arc::new(schema), ShardMap::complete(shards)?);
    let id = Column {
        name: "id".into(),
        kind: ColumnKind::Int { width: 8, unsigned: false },
        nullable: false,
        zerofill: false,
        ordinal: 0,
    };
    let mut table = TableDef {
        name: "sbtest1".parse()?,
        columns: vec![id],
        column_count: 1,
        key: Key { name: "PRIMARY".into(), columns: vec![0] },
        other_unique: false,
        cascades: false,
        sharding: vec![],
    };
    table.sharding = mapping.bind(&table)?;
    Ok((mapping, Arc::new(table)))
}
