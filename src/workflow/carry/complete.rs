//! What becomes of the old tables when a workflow is completed.
//!
//! Invariant: running it again goes on where it was left; a table that is neither ours to rename nor renamed by us is not
//! touched. Shards that are done are noted in the record, and not asked for again.

use std::collections::BTreeSet;

use crate::engine::EngineError;
use crate::engine::connect::Side;
use crate::model::TableName;
use crate::model::workflow::OldTables;
use crate::mysql::quote;
use crate::mysql::schema::read_tables;
use crate::workflow::leftover::old_name;
use crate::workflow::switch::SwitchError;

/// Renames, drops or keeps them.
pub async fn old_tables(side: &Side, tables: &[TableName], fate: OldTables) -> Result<(), SwitchError> {
    if fate == OldTables::Keep {
        return Ok(());
    }
    let at = EngineError::at(&side.label);
    let mut session = side.session().await?;
    let there = read_tables(&mut session, side.database.as_str(), None).await.map_err(&at)?;
    let there: BTreeSet<String> = there.into_iter().map(|table| table.name).collect();
    let present: Vec<_> = tables.iter().filter(|table| there.contains(table.as_str())).collect();
    if let Some(taken) = present.iter().find(|table| fate == OldTables::Rename && there.contains(&old_name(table))) {
        return Err(SwitchError::Refused(format!(
            "{}: table {taken} cannot be renamed to {}, which exists: drop or rename that one",
            side.label,
            old_name(taken)
        )));
    }
    if !present.is_empty() {
        let name = |table: &TableName| quote::table_name(&side.database, table);
        let statement = match fate {
            OldTables::Rename => {
                let renamed = |table: &&TableName| {
                    format!("{} TO {}", name(table), quote::qualified(side.database.as_str(), &old_name(table)))
                };
                format!("RENAME TABLE {}", present.iter().map(renamed).collect::<Vec<_>>().join(", "))
            }
            _ => format!("DROP TABLE {}", present.iter().map(|table| name(table)).collect::<Vec<_>>().join(", ")),
        };
        session.execute("SET foreign_key_checks = 0").await.map_err(&at)?;
        session.execute(&statement).await.map_err(&at)?;
    }
    session.close().await;
    Ok(())
}
