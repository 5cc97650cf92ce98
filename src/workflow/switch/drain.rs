//! Between the closed fence and the commit: everything that was written has arrived, and nothing moves it any more.

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use crate::engine::EngineError;
use crate::engine::conflict::settle_final;
use crate::engine::progress::Snapshot;
use crate::engine::sidecar::{self, StreamKey};
use crate::engine::stream::StreamSpec;
use crate::model::GtidSet;
use crate::mysql::admin::{Session, wait_for_executed_gtid_set};
use crate::workflow::carry::Streaming;
use crate::workflow::fence::Fence;

use super::SwitchError;
use super::ends::End;

/// Waits until the stream that reads each closed end has passed its fence (F of design §5.2): its own reader has met the
/// fence's transaction, for that is in F, and P has all of F. On the server's own order of events and not on numbers rests
/// that nothing is missing.
pub async fn passed(
    closed: &[End],
    fences: &[GtidSet],
    streaming: &mut Streaming,
    end: Instant,
) -> Result<(), SwitchError> {
    let position = |snapshot: &Snapshot| snapshot.position.parse::<GtidSet>().unwrap_or_default();
    for (closed, fence) in closed.iter().zip(fences) {
        let progress = streaming.progress(&closed.fence.key.shard).ok_or(EngineError::Cancelled)?;
        let passed = progress.until(|snapshot| fence.is_subset(&position(snapshot)).then_some(()));
        tokio::select! {
            biased;
            () = passed => {}
            ended = streaming.ended() => {
                return Err(ended.err().map_or(EngineError::Cancelled, |(_, error)| error).into());
            }
            () = sleep_until(end) => {
                let (missing, side) = (fence.minus(&progress.look(position)), &closed.fence.side.label);
                return Err(SwitchError::Refused(format!("{side}: its stream has not read {missing} yet")));
            }
        }
    }
    Ok(())
}

/// Settles, from the closed sources, what rows of theirs have met on the new side; `shared` has one stream of each group of
/// sources that feed the same targets, all of which rest. What two shards hold for good is named.
pub async fn settle(shared: &[StreamSpec]) -> Result<(), SwitchError> {
    let mut held = Vec::new();
    for spec in shared {
        held.extend(settle_final(spec).await?);
    }
    if held.is_empty() {
        return Ok(());
    }
    let told: Vec<_> = held.iter().map(ToString::to_string).collect();
    Err(SwitchError::Refused(format!(
        "the new side can hold only one row where two shards hold one each: change or delete one of them, then switch again\n{}",
        told.join("\n")
    )))
}

/// A session in which a stream's row on its new side is looked at and taken, opened before anybody waits.
#[derive(Debug)]
pub struct Freezer {
    session: Session,
    stream: u64,
    token: u64,
}

impl Freezer {
    /// Connects to the new side of the stream `key`, which runs.
    pub async fn prepare(new: &Fence, key: &StreamKey) -> Result<Self, SwitchError> {
        let mut session = new.working_session().await?;
        let found = sidecar::owner(&mut session, key).await?;
        let (stream, token) = found.ok_or(EngineError::Sidecar("the stream's row is missing"))?;
        Ok(Self { session, stream, token })
    }

    /// What the new side has, now that the stream has ended; it must be all of `fence`.
    pub async fn look(&mut self, fence: &GtidSet) -> Result<Frozen, SwitchError> {
        let select = format!(
            "SELECT position, ceiling, @@global.gtid_executed, @@global.server_uuid FROM _shardlift.stream
             WHERE id = {} AND owner_token = {}",
            self.stream, self.token
        );
        let row = self.session.row(&select).await?.ok_or(EngineError::NotOwner)?;
        let set = |index| row.text(index).and_then(|text| text.parse::<GtidSet>().ok());
        let (Some(position), Some(ceiling), Some(executed), Some(server)) = (set(0), set(1), set(2), row.text(3))
        else {
            return Err(EngineError::Sidecar("a stream's position").into());
        };
        if !fence.is_subset(&position) || !ceiling.is_subset(&position) {
            return Err(SwitchError::Lacking { missing: fence.minus(&position) });
        }
        Ok(Frozen { executed, server })
    }

    /// Takes the stream's row, so that nobody moves it any more: waits for whoever is at it, and refuses who comes later.
    pub async fn freeze(&mut self) -> Result<(), SwitchError> {
        let token: u64 = rand::random_range(1..=u64::MAX);
        let take = format!(
            "UPDATE _shardlift.stream SET owner_token = {token} WHERE id = {} AND owner_token = {}",
            self.stream, self.token
        );
        match self.session.execute(&take).await? {
            1 => self.token = token,
            _ => return Err(EngineError::NotOwner.into()),
        }
        Ok(())
    }
}

/// The new side at rest.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// Its `gtid_executed`: everything that was streamed to it.
    pub executed: GtidSet,
    /// Its `server_uuid`.
    pub server: String,
}

/// Sessions on the replicas of one end that may be promoted, opened before anybody waits.
#[derive(Debug)]
pub struct Replicas(Vec<(String, Session)>);

impl Replicas {
    /// Connects to those of `end` that can be reached; there must be one, if there is any.
    pub async fn prepare(end: &End) -> Result<Self, SwitchError> {
        let opened = join_all(
            end.replicas
                .iter()
                .map(|replica| async { Ok::<_, EngineError>((replica.label.clone(), replica.session().await?)) }),
        );
        let (open, failed): (Vec<_>, Vec<_>) = opened.await.into_iter().partition(Result::is_ok);
        match (open.is_empty(), failed.into_iter().find_map(Result::err)) {
            (true, Some(error)) => Err(error.into()),
            _ => Ok(Self(open.into_iter().flatten().collect())),
        }
    }

    /// Waits until at least one of them has `set`, if there is one.
    pub async fn have(&mut self, set: &GtidSet, until: Instant) -> Result<(), SwitchError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let wait = until.saturating_duration_since(Instant::now());
        let asked = self.0.iter_mut().map(|(label, session)| {
            Box::pin(async move {
                match wait_for_executed_gtid_set(session, set, wait).await? {
                    true => Ok(()),
                    false => Err(SwitchError::Refused(format!("{label} does not keep up"))),
                }
            })
        });
        futures_util::future::select_ok(asked).await.map(drop)
    }
}
