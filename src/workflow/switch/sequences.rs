//! Sequences that number the moved tables (P12): the new side's go on above whatever the old side has given.
//!
//! A sequence is seldom on either side: gateways draw from it while it is raised, and what they have in hand counts as given
//! because its row says so. Where its own table moves with the switch it is raised where it is until the sides are closed,
//! so that the stream carries that over, and where it will be from then on.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::engine::EngineError;
use crate::engine::connect::Side;
use crate::model::TableName;
use crate::model::fence::FENCE_ERRNO;
use crate::model::switch::Direction;
use crate::mysql::admin::Session;
use crate::mysql::{Credentials, MysqlError};
use crate::topology::Topology;
use crate::topology::records::Workflow;
use crate::workflow::sequences::{self, Numbered, Numbering, Sequence};

use super::SwitchError;
use super::ends::Ends;

/// Numbers of tables.
pub type Numbers = BTreeMap<TableName, u64>;

/// The highest number a sequence can give: its row is a BIGINT.
const MOST: u64 = i64::MAX as u64;

/// Those of both sides, each with a session that was opened before anybody waits.
#[derive(Debug)]
pub struct Sequences {
    old: Vec<Drawn>,
    new: Vec<Drawn>,
}

/// A sequence, and what it numbers on one side.
#[derive(Debug)]
struct Drawn {
    sequence: Sequence,
    tables: Vec<Numbered>,
    now: Place,
    /// Where it is once the switch is done, if its table moves.
    after: Option<Place>,
}

/// The server of a sequence's table.
#[derive(Debug)]
struct Place {
    side: Side,
    session: Session,
}

impl Sequences {
    /// Finds them, and connects to where they are.
    pub async fn prepare(
        topology: &Topology,
        credentials: &Credentials,
        workflow: &Workflow,
        direction: Direction,
        ends: &Ends,
    ) -> Result<Self, SwitchError> {
        let numbering = Numbering::read(topology).await?;
        let (old, new) = workflow.spec.sides(direction);
        let open = async |keyspace| {
            let mut by_sequence: BTreeMap<Sequence, Vec<Numbered>> = BTreeMap::new();
            for numbered in numbering.of(keyspace, &workflow.spec.tables)? {
                by_sequence.entry(numbered.sequence.clone()).or_default().push(numbered);
            }
            let each = by_sequence.into_iter().map(async |(sequence, tables)| {
                let home = numbering.home(&sequence)?;
                let side = sequences::primary(topology, credentials, home).await?;
                let mut now = Place { session: side.session().await?, side };
                if workflow.replaced.iter().any(|one| one.created && one.sequence == sequence.table) {
                    let create = sequences::create_sql(&now.side, &sequence.table);
                    now.session.execute(&create).await.map_err(at(&sequence))?;
                }
                let moves = home == old.keyspace && workflow.spec.tables.contains(&sequence.table);
                let after = if moves { Some(Place::opening(workflow, ends).await?) } else { None };
                Ok::<_, SwitchError>(Drawn { sequence, tables, now, after })
            });
            try_join_all(each).await
        };
        Ok(Self { old: open(old.keyspace).await?, new: open(new.keyspace).await? })
    }

    /// Those columns of the new side that a sequence numbers which did not on the old one.
    pub fn begun(&self) -> impl Iterator<Item = &Numbered> {
        let before = |numbered: &&Numbered| {
            let tables = || self.old.iter().flat_map(|drawn| &drawn.tables);
            tables().any(|old| old.table == numbered.table && old.sequence == numbered.sequence)
        };
        self.new.iter().flat_map(|drawn| &drawn.tables).filter(move |numbered| !before(numbered))
    }

    /// The next numbers of the old side's tables, those in the hands of gateways counted as given.
    pub async fn given(&mut self) -> Result<Numbers, SwitchError> {
        let mut given = Numbers::new();
        for drawn in &mut self.old {
            let Place { side, session } = &mut drawn.now;
            let next = sequences::next(session, side, &drawn.sequence.table).await.map_err(at(&drawn.sequence))?;
            given.extend(drawn.tables.iter().filter_map(|numbered| Some((numbered.table.clone(), next?))));
        }
        Ok(given)
    }

    /// Lets the new side's go on at `wanted`, and `headroom` above that if they are behind it at all; whether a moved one
    /// had to be raised where it will be, which `closed` sides allow.
    pub async fn raise(&mut self, wanted: &Numbers, headroom: u64, closed: bool) -> Result<bool, SwitchError> {
        let mut moved = false;
        for drawn in &mut self.new {
            let wanted = drawn.tables.iter().filter_map(|numbered| wanted.get(&numbered.table)).max().copied();
            let moves = closed && drawn.after.is_some();
            let place = drawn.after.as_mut().filter(|_| closed).unwrap_or(&mut drawn.now);
            let Place { side, session } = place;
            let at = at(&drawn.sequence);
            let next = sequences::next(session, side, &drawn.sequence.table).await.map_err(&at)?;
            let wanted = wanted.unwrap_or(1);
            if next.is_some_and(|next| next >= wanted) {
                continue;
            }
            if wanted >= MOST {
                return Err(SwitchError::Refused(format!(
                    "sequence {} must go on at {wanted}, which is more than its row can hold: look for a row with an id as \
                     high as that among {}",
                    drawn.sequence,
                    drawn.tables.iter().map(|one| one.table.as_str()).collect::<Vec<_>>().join(", ")
                )));
            }
            let next = wanted.saturating_add(headroom).min(MOST);
            sequences::raise(session, side, &drawn.sequence.table, next).await.map_err(&at)?;
            tracing::info!(sequence = %drawn.sequence, next, "a sequence is raised");
            moved |= moves;
        }
        Ok(moved)
    }
}

impl Place {
    /// Where a moved table of an unsharded keyspace will be; the fence there lets this session through.
    async fn opening(workflow: &Workflow, ends: &Ends) -> Result<Self, SwitchError> {
        let [end] = ends.opening.as_slice() else {
            return Err(SwitchError::Refused("a sequence cannot move into a sharded keyspace".into()));
        };
        let mut session = end.fence.working_session().await?;
        session.execute(&format!("SET @shardlift_stream = '{}'", workflow.uid)).await?;
        Ok(Self { side: end.fence.side.clone(), session })
    }
}

/// An error of a sequence's server.
fn at(sequence: &Sequence) -> impl Fn(MysqlError) -> SwitchError {
    move |error| match error.code() {
        Some(FENCE_ERRNO) => SwitchError::Refused(format!(
            "sequence {sequence} is itself being switched by another workflow: try again when that is done"
        )),
        _ => EngineError::at(&format!("sequence {sequence}"))(error).into(),
    }
}
