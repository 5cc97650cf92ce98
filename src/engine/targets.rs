//! The targets of a stream: one source's rows go to each of them, each with a checkpoint of its own.
//!
//! # Invariants
//! - Reading goes on from what *every* target has ([`Targets::position`]); a target that is ahead passes over what it has.
//! - A batch is applied on all targets side by side, each to its end: an error of one cuts no other's commit short.
//! - The stream is consistent when every target is.

use futures_util::future::join_all;

use crate::mapping::Mapping;
use crate::model::GtidSet;

use super::apply::batch::{Batch, LastTxn};
use super::apply::writer::Writer;
use super::checkpoint::Checkpoint;
use super::error::EngineError;
use super::source::Source;

/// A stream's targets; at least one.
#[derive(Debug)]
pub struct Targets {
    writers: Vec<Writer>,
}

impl Targets {
    /// Of these writers, in the order of the stream's mapping.
    pub fn new(writers: Vec<Writer>) -> Self {
        Self { writers }
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Writer> {
        self.writers.iter()
    }

    /// Each of them.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Writer> {
        self.writers.iter_mut()
    }

    /// What every target has applied.
    pub fn position(&self) -> GtidSet {
        let mut positions = self.writers.iter().map(|writer| &writer.checkpoint.position);
        let first = positions.next().cloned().unwrap_or_default();
        // What all have: the first without what it alone has.
        positions.fold(first, |common, other| common.minus(&common.minus(other)))
    }

    /// What some target has applied, or may show some effect of.
    fn known(&self) -> GtidSet {
        self.writers.iter().fold(GtidSet::new(), |mut known, writer| {
            known.union(&writer.checkpoint.position);
            known.union(&writer.checkpoint.ceiling);
            known
        })
    }

    /// Everything some target has applied: a SELECT that is to overwrite rows must see at least this.
    pub fn newest(&self) -> GtidSet {
        self.writers.iter().fold(GtidSet::new(), |mut newest, writer| {
            newest.union(&writer.checkpoint.position);
            newest
        })
    }

    /// Whether every target equals the source, at its position, for every row copied so far.
    pub fn are_consistent(&self) -> bool {
        let position = self.position();
        // A target that is ahead shows what the common position lacks.
        let level = |checkpoint: &Checkpoint| checkpoint.is_consistent() && checkpoint.position == position;
        self.writers.iter().all(|writer| level(&writer.checkpoint))
    }

    /// The newest transaction that a target has read from the binlog, each once, with that target's position.
    pub fn last(&self) -> Vec<(&LastTxn, &Checkpoint)> {
        let mut found: Vec<(&LastTxn, &Checkpoint)> = Vec::new();
        for checkpoint in self.writers.iter().map(|writer| &writer.checkpoint) {
            if let Some(last) = checkpoint.last.as_ref().filter(|last| !found.iter().any(|(known, _)| known == last)) {
                found.push((last, checkpoint));
            }
        }
        found
    }

    /// Refuses a source that lacks what was read before, or that no longer has the binlog we need.
    pub async fn check_history(&self, source: &mut Source) -> Result<(), EngineError> {
        source.check_history(&self.position(), &self.known()).await
    }

    /// Applies `batch` on at most `connections` connections to each target.
    pub async fn apply(&mut self, mut batch: Batch, connections: usize) -> Result<(), EngineError> {
        let shares = batch.take_shares();
        let each = self.writers.iter_mut().zip(shares).map(|(writer, share)| writer.apply(share, connections));
        join_all(each).await.into_iter().collect()
    }

    /// Settles conflicts with rows of other sources, where there are any.
    pub async fn settle_conflicts(&mut self, mapping: &Mapping) -> Result<(), EngineError> {
        for (number, writer) in self.writers.iter_mut().enumerate() {
            writer.settle_conflicts(mapping, number).await?;
        }
        Ok(())
    }

    /// Stores positions that have moved without row changes.
    pub async fn settle(&mut self) -> Result<(), EngineError> {
        join_all(self.writers.iter_mut().map(Writer::settle)).await.into_iter().collect()
    }

    /// Raises every stored ceiling to `seen`, or notes the server the stream reads now.
    pub async fn note(&mut self, seen: Option<&GtidSet>, source_uuid: Option<&str>) -> Result<(), EngineError> {
        let each = self.writers.iter_mut().map(|writer| writer.note(seen, source_uuid));
        join_all(each).await.into_iter().collect()
    }
}
