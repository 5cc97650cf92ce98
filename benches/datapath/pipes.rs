//! The raw ceiling: range reads piped into LOAD DATA LOCAL, on as many connections as shardlift uses.
//!
//! No owner guard, no marks, no checks, no escapes; the only work between is from length-prefixed fields to tab-separated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use shardlift::model::workflow::WorkflowOptions;
use shardlift::mysql::quote::{READER_SESSION, WRITER_SESSION};
use shardlift::mysql::wire::Wire;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::copy::Turn;
use super::stage::{Stage, run, same, wire};
use super::sysbench::{COLUMNS, KEY, TABLE, create_table, load_data};

const COPY: &str = "raw.sbtest1";
const PIECE: usize = 256 << 10;
/// A row of this table in a LOAD DATA file, about.
const ROW_BYTES: u64 = 196;

/// Copies, and adds the key.
pub async fn copy(stage: &Stage, rows: u64) -> Result<Turn> {
    let (source, target) = (stage.source()?, stage.target()?);
    run(target, &["CREATE DATABASE raw", &create_table(COPY)]).await?;
    let options = WorkflowOptions::default();
    // Ranges as large as shardlift's chunks, handed out in key order to whichever pipe is free.
    let range = (options.chunk_bytes / ROW_BYTES).max(1);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut pipes = JoinSet::new();
    for _ in 0..options.workers {
        let (mut reader, mut writer) = (wire(source, READER_SESSION).await?, wire(target, WRITER_SESSION).await?);
        let next = next.clone();
        pipes.spawn(async move {
            loop {
                let from = next.fetch_add(range, Ordering::Relaxed);
                if from >= rows {
                    return anyhow::Ok(());
                }
                pipe(&mut reader, &mut writer, from, from + range).await?;
            }
        });
    }
    while let Some(ended) = pipes.join_next().await {
        ended??;
    }
    let copied = started.elapsed();
    run(target, &[&format!("ALTER TABLE {COPY} {KEY}")]).await?;
    let keys = started.elapsed() - copied;
    same((source, TABLE), (target, COPY)).await?;
    run(target, &["DROP DATABASE raw"]).await?;
    Ok(Turn { before: Duration::ZERO, rows: copied, keys })
}

async fn pipe(reader: &mut Wire, writer: &mut Wire, after: u64, upto: u64) -> Result<()> {
    let select = format!("SELECT {COLUMNS} FROM {TABLE} WHERE id > {after} AND id <= {upto} ORDER BY id");
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(4);
    let read = async move {
        let mut rows = reader.query(select.as_bytes()).await?;
        let mut piece = Vec::with_capacity(PIECE + PIECE / 8);
        while let Some(row) = rows.next().await? {
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
