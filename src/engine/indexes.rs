//! Adds the keys that were left off during the copy, while the stream goes on following.
//!
//! A table's missing keys are added by one ALTER, tables one after another. An online ALTER may meet a duplicate that is
//! only passing: InnoDB logs the writes of others meanwhile and checks each as it replays them (Reference Manual, "Online
//! DDL Limitations"). Then the stream must rest at a consistent position while the ALTER is tried again; a duplicate that
//! is still there is one the source does not have.

use std::time::Duration;

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::copy::marks::{TableState, state_sql};
use crate::engine::error::EngineError;
use crate::engine::prepare::key_names;
use crate::engine::progress::Progress;
use crate::mysql::quote;
use crate::mysql::schema::SourceTable;

const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3);
/// An index on a large table may take this long.
const ALTER: Duration = Duration::from_secs(24 * 3600);

/// Adds what is missing of each table's noted keys and notes the table as done. While the stream goes on, a duplicate
/// ends it with [`EngineError::PassingDuplicate`].
pub async fn add(
    target: Side,
    checkpoint: Checkpoint,
    slot: u32,
    tables: Vec<(SourceTable, Vec<String>)>,
    progress: Progress,
) -> Result<(), EngineError> {
    let at = EngineError::at(&target.label);
    let mut session = target.owned_session(&checkpoint, slot).await?;
    for (table, noted) in tables {
        let mut tries = 0;
        loop {
            let there = key_names(&mut session, &target, &table).await.map_err(&at)?;
            let missing: Vec<_> = noted.iter().filter(|clause| !there.contains(&name_in(clause))).collect();
            if missing.is_empty() {
                break;
            }
            // As the source declares the key now; as it did, where it has dropped it since.
            let now = |clause: &String| table.deferrable.iter().find(|key| key.name == name_in(clause));
            let clauses: Vec<_> =
                missing.iter().map(|clause| now(clause).map_or(clause.as_str(), |key| &key.add)).collect();
            let name = quote::table_name(&target.database, &table.def.name);
            let alter = format!("ALTER TABLE {name} {}", clauses.join(", "));
            progress
                .update(|snapshot| snapshot.message = format!("adding {} key(s) to {}", missing.len(), table.def.name));
            session.set_limit(ALTER);
            match session.execute(&alter).await {
                Ok(_) => {}
                // 1799: the log of others' writes is full.
                Err(error) if matches!(error.code(), Some(1062 | 1799)) => {
                    return Err(EngineError::PassingDuplicate { table: table.def.name, detail: error.to_string() });
                }
                // 1061: an ALTER of an earlier run has just ended; 1205, 1213: in someone's way.
                Err(error) if tries < TRIES && matches!(error.code(), Some(1061 | 1205 | 1213)) => {
                    tries += 1;
                    tracing::info!(table = %table.def.name, %error, tries, "adding keys is tried again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    let why = format!("its keys cannot be added on the target: {error}");
                    return Err(EngineError::Table { table: table.def.name, why });
                }
            }
        }
        let done = state_sql(checkpoint.stream_id, &table.def.name, TableState::Done);
        session.execute(&done).await.map_err(&at)?;
        progress.update(|snapshot| {
            snapshot.message.clear();
            snapshot.tables.entry(table.def.name.clone()).or_default().state = TableState::Done.as_str();
        });
    }
    Ok(())
}

/// The key's name in a clause ``ADD [UNIQUE] KEY `name` (…)``.
fn name_in(clause: &str) -> String {
    let mut name = String::new();
    let mut characters = clause.chars().skip_while(|c| *c != '`').skip(1).peekable();
    while let Some(c) = characters.next() {
        if c == '`' && characters.next_if_eq(&'`').is_none() {
            break;
        }
        name.push(c);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::name_in;

    #[test]
    fn names_are_read_out_of_clauses() {
        assert_eq!(name_in("ADD KEY `v` (`v`)"), "v");
        assert_eq!(name_in("ADD UNIQUE KEY `odd ``name` (`a`,`b`) COMMENT 'x'"), "odd `name");
    }
}
