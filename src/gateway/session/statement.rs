//! Texts: a text's statements, one after another, each answered here or where its tables are.

use std::collections::VecDeque;
use std::ops::Range;

use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::sql::{Kind, Statement, analyze, split};

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
            [_, rest @ ..] if !self.several && rest.iter().all(|part| self.is_comment(sql, part)) => {
                self.statement(attributes, sql, false).await
            }
            [_, ..] if !self.several => match self.alone(sql) {
                Ok(statement) => self.forward(&statement, sql, Ask::Text(attributes), false).await,
                Err(error) => self.fail(error).await,
            },
            _ => self.one_by_one(attributes, sql).await,
        }
    }

    /// A text that must be one statement. If it is several, no server takes it either, and the server asked says so in its
    /// own words; should it find one statement in it after all, that is not one this gateway understands. An error where
    /// no server can be asked.
    pub(super) fn alone(&self, sql: &[u8]) -> Result<Statement, SqlError> {
        let statement = analyze(sql, self.mode);
        let parts = split(sql, self.mode);
        let Some((first, rest)) = parts.split_first() else { return Ok(statement) };
        if rest.iter().all(|part| self.is_comment(sql, part)) {
            return Ok(statement);
        }
        let statement = Statement { kind: Kind::Other(String::new()), certain: false, ..statement };
        match self.routed(&self.view(), &statement, sql) {
            Ok(_) => Ok(statement),
            Err(_) => Err(SqlError::syntax(sql.get(first.end + 1..).unwrap_or_default())),
        }
    }

    fn is_comment(&self, sql: &[u8], part: &Range<usize>) -> bool {
        analyze(sql.get(part.clone()).unwrap_or_default(), self.mode).kind == Kind::Empty
    }

    /// Several statements. A text is split anew after a statement that has changed how texts are read.
    async fn one_by_one(&mut self, attributes: &[u8], sql: &[u8]) -> Result<Flow, ClientError> {
        let (mut rest, mut mode) = (sql, self.mode);
        let mut parts = VecDeque::from(split(rest, mode));
        while let Some(part) = parts.pop_front() {
            let text = rest.get(part.clone()).unwrap_or_default();
            let flow = self.statement(attributes, text, !parts.is_empty()).await?;
            if flow != Flow::On || self.doomed {
                return Ok(flow);
            }
            if self.mode != mode && !parts.is_empty() {
                mode = self.mode;
                // Behind the statement and its semicolon.
                rest = rest.get(part.end + 1..).unwrap_or_default();
                parts = split(rest, mode).into();
            }
        }
        Ok(Flow::On)
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
