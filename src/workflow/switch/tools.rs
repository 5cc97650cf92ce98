//! What the steps of a switch are carried out with.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failpoint::Failpoints;
use crate::model::GtidSet;
use crate::model::switch::Step;
use crate::mysql::Credentials;
use crate::workflow::carry::{Desk, Standing};
use crate::workflow::watch::Watch;

use super::SwitchError;
use super::ends::End;
use super::run::failed;

/// What a switch is carried out with.
#[derive(Debug)]
pub struct Tools<'a> {
    /// The owner's desk.
    pub desk: &'a Desk,
    /// Where logins come from.
    pub credentials: &'a Credentials,
    /// What the streams say of themselves.
    pub standing: &'a Standing,
    /// Who watches the side that is closed before the switch.
    pub watch: &'a Watch,
    /// Cancelled when the engine stops: then nothing is closed any more.
    pub shutdown: &'a CancellationToken,
    /// Failures on demand.
    pub failpoints: &'a Failpoints,
}

impl Tools<'_> {
    /// Makes sure that what an end that opens had `executed` was looked at, as far as it was closed until now: a stranger's
    /// change there must not be met by a commit.
    pub(super) async fn seen(&self, new: &End, executed: &GtidSet, until: Instant) -> Result<(), SwitchError> {
        match self.watch.has_seen(&new.fence.key.shard, executed, until).await {
            true => Ok(()),
            false => Err(SwitchError::Refused(format!(
                "{}: what was done there while it was closed has not all been looked at yet (`workflow show` says whether its \
                 binlog can be read): try again",
                new.fence.side.label
            ))),
        }
    }

    /// Where a step may be made to fail.
    pub(super) async fn reach(&self, when: &str, step: Step) -> Result<(), SwitchError> {
        self.failpoints.reach(&format!("{when}-{step}")).await.map_err(failed)
    }
}
