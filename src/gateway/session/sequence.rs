//! Rows of an INSERT that a sequence has to number before it can be told which shards they belong to.

use std::num::NonZeroU64;

use crate::gateway::client::SqlError;
use crate::gateway::sequence::SequenceName;
use crate::gateway::sql::Statement;
use crate::gateway::view::View;

use super::Session;
use super::columns::Bindings;

impl Session {
    /// Has the rows of an INSERT numbered whose column a sequence fills.
    pub(super) async fn number_rows(
        &mut self,
        view: &View,
        statement: &Statement,
        sql: &[u8],
        bindings: &mut Bindings<'_>,
    ) -> Result<(), SqlError> {
        let Some(wanted) = self.wanted_numbers(view, statement, sql, bindings)? else { return Ok(()) };
        let lacking = wanted.rows.iter().filter(|row| **row).count();
        let Some(count) = NonZeroU64::new(lacking as u64) else { return Ok(()) };
        let keyspace = view.find_sequence(&wanted.sequence).map_err(|why| SqlError::new(1105, b"HY000", why))?;
        let name = SequenceName { keyspace, table: wanted.sequence.table };
        let mut next = self.draw(&name, count).await?;
        let given = wanted.rows.iter().map(|lacks| {
            lacks.then(|| {
                next += 1;
                i128::from(next - 1)
            })
        });
        bindings.given = given.collect();
        Ok(())
    }
}

/// The first number given to rows, which LAST_INSERT_ID() is to tell.
pub(super) fn first_given(bindings: &Bindings<'_>) -> Option<u64> {
    bindings.given.iter().flatten().next().and_then(|number| u64::try_from(*number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_given_is_told() {
        let mut bindings = Bindings::default();
        assert_eq!(first_given(&bindings), None);
        bindings.given = vec![None, Some(7), Some(8)];
        assert_eq!(first_given(&bindings), Some(7));
    }
}
