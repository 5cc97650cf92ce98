//! Texts: a text's statements, one after another, each answered here or where its tables are.

use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::sql::{analyze, split};

use super::send::Ask;
use super::{Flow, Session};

impl Session {
    /// COM_QUERY.
    pub(super) async fn text(&mut self, attributes: &[u8], sql: &[u8]) -> Result<Flow, ClientError> {
        let parts = split(sql, self.mode);
        match parts.as_slice() {
            [] => self.fail(SqlError::new(1065, b"42000", "Query was empty")).await,
            [_] => {
                // As it came, so that the server counts lines and columns as the client does.
                self.statement(attributes, sql, false).await
            }
            [first, ..] if !self.several => {
                self.fail(SqlError::syntax(sql.get(first.end + 1..).unwrap_or_default())).await
            }
            [.., last] => {
                for part in &parts {
                    let text = sql.get(part.clone()).unwrap_or_default();
                    let flow = self.statement(attributes, text, part != last).await?;
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Ok(Flow::On)
            }
        }
    }

    /// One statement; `more`: others follow in its text.
    async fn statement(&mut self, attributes: &[u8], sql: &[u8], more: bool) -> Result<Flow, ClientError> {
        let statement = analyze(sql, self.mode);
        match self.answer(&statement, sql, false, more).await? {
            Some(flow) => Ok(flow),
            None => self.forward(&statement, sql, Ask::Text(attributes), more).await,
        }
    }
}
