//! What finding the shards of a statement's rows takes: the columns of its tables, and its parameters' values.

use std::borrow::Cow;
use std::sync::Arc;

use mysql_common::constants::CapabilityFlags;
use tokio::time::timeout;

use crate::gateway::client::SqlError;
use crate::gateway::plan::Value;
use crate::gateway::route::{Destination, Refusal, Router, Spreading, Wanted};
use crate::gateway::sql::{Dml, Kind, Statement};
use crate::gateway::view::View;

use super::Session;
use super::bound::Parameters;
use super::send::{Ask, OWN};

/// What a statement's rows are found by, besides its text. It holds for one View: under the next one the tables may be spread
/// otherwise, and what a sequence has given before must not be used (promise P12).
#[derive(Debug, Default)]
pub(super) struct Bindings<'a> {
    view: Option<Arc<View>>,
    pub parameters: Option<Parameters<'a>>,
    values: Option<Vec<Value<'static>>>,
    /// What sequences have given to its rows.
    pub given: Vec<Option<i128>>,
}

impl Bindings<'_> {
    /// Whether they were found by this View.
    pub fn are_of(&self, view: &Arc<View>) -> bool {
        self.view.as_ref().is_some_and(|of| Arc::ptr_eq(of, view))
    }
}

impl Session {
    /// Reads what finding a statement's rows takes, if they are spread over shards.
    pub(super) async fn bindings<'a>(
        &mut self,
        view: &Arc<View>,
        statement: &Statement,
        sql: &[u8],
        ask: Ask<'a>,
    ) -> Result<Bindings<'a>, SqlError> {
        let mut bindings = Bindings { view: Some(view.clone()), ..Bindings::default() };
        if !view.spreads || !self.know_columns(view, statement).await? {
            return Ok(bindings);
        }
        if let Ask::Execute { id, flags, rest } = ask {
            if self.has_long_data(id) {
                let text = "long data is not looked into, so that it cannot be told which shard has the rows; bind the value whole";
                return Err(SqlError::new(1235, b"42000", text));
            }
            let attributes = self.client.identity().capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
            let (body, count) = self.whole_body(id, flags, rest)?;
            let read = Parameters::read(body, flags, count, attributes).ok_or_else(SqlError::malformed_packet)?;
            bindings.values = Some(read.values());
            bindings.parameters = Some(read);
        }
        self.number_rows(view, statement, sql, &mut bindings).await?;
        Ok(bindings)
    }

    /// Makes sure that the columns of a statement's tables are known; false where it has none that are spread.
    pub(super) async fn know_columns(&mut self, view: &View, statement: &Statement) -> Result<bool, SqlError> {
        let found = {
            let healths = self.gateway.healths.borrow();
            let most = self.gateway.limits.replica_lag;
            let health = |tablet: &super::Tablet| healths.fitness(&tablet.alias, most);
            let router = self.router(view, &health, None);
            router.spread_keyspace(statement).map(|keyspace| (keyspace.name.clone(), Router::first_primary(keyspace)))
        };
        let Some((keyspace, tablet)) = found else { return Ok(false) };
        let stale =
            self.gateway.columns.stale(&keyspace, statement.tables.iter().map(|table| table.table.text.as_str()));
        if stale.is_empty() {
            return Ok(true);
        }
        let known = stale.iter().all(|table| self.gateway.columns.get(&keyspace, table).is_some());
        let fail = |why: String| {
            if known {
                // They were read before, and that they are read again is only so that a change is noticed some time.
                tracing::warn!(%keyspace, %why, "the columns of sharded tables cannot be read again");
                return Ok(true);
            }
            let text = format!("the columns of {} cannot be read: {why}", stale.join(", "));
            Err(SqlError::new(1105, b"HY000", text))
        };
        let Some(tablet) = tablet else { return fail(format!("no shard of keyspace {keyspace} has a primary")) };
        let credentials = self.gateway.pools.credentials().clone();
        match timeout(OWN, self.gateway.columns.read(&keyspace, &stale, &tablet, &credentials)).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => fail(format!("tablet {}: {error}", tablet.alias)),
            Err(_) => fail(format!("tablet {} has not answered within {OWN:?}", tablet.alias)),
        }
    }

    /// Where a statement goes.
    pub(super) fn destined(
        &self,
        view: &View,
        statement: &Statement,
        sql: &[u8],
        bindings: &Bindings<'_>,
    ) -> Result<Destination, SqlError> {
        self.decided(view, bindings, |router| router.destination(statement, sql))
    }

    /// The rows of an INSERT that a sequence has to number.
    pub(super) fn wanted_numbers(
        &self,
        view: &View,
        statement: &Statement,
        sql: &[u8],
        bindings: &Bindings<'_>,
    ) -> Result<Option<Wanted>, SqlError> {
        if !matches!(statement.kind, Kind::Dml(Dml::Insert | Dml::Replace)) {
            return Ok(None);
        }
        self.decided(view, bindings, |router| router.wanted(statement, sql))
    }

    fn decided<T>(
        &self,
        view: &View,
        bindings: &Bindings<'_>,
        decide: impl FnOnce(&Router<'_>) -> Result<T, Refusal>,
    ) -> Result<T, SqlError> {
        let healths = self.gateway.healths.borrow();
        let most = self.gateway.limits.replica_lag;
        let health = |tablet: &super::Tablet| healths.fitness(&tablet.alias, most);
        let columns = |keyspace: &_, table: &str| self.gateway.columns.get(keyspace, table);
        let spreading = view.spreads.then(|| Spreading {
            plans: &self.gateway.plans,
            columns: &columns,
            bound: bindings.values.as_deref(),
            utf8: self.speaks_utf8(),
            given: &bindings.given,
            asked: false,
        });
        decide(&self.router(view, &health, spreading)).map_err(|refusal| self.refused(refusal))
    }

    /// Whether the session's statements are in UTF-8.
    pub(super) fn speaks_utf8(&self) -> bool {
        match self.settings.get("character_set_client") {
            Some(set) => set.starts_with("utf8"),
            None => is_utf8(self.client.identity().collation),
        }
    }
}

/// Whether a collation is one of utf8mb3 or utf8mb4, by its number.
fn is_utf8(collation: u16) -> bool {
    matches!(collation, 33 | 45 | 46 | 76 | 83 | 192..=215 | 223..=247 | 255..=323)
}

/// The body of an execution with its types, and how many parameters it has.
pub(super) type Body<'a> = (Cow<'a, [u8]>, u16);
