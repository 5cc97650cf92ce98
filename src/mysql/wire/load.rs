//! LOAD DATA LOCAL INFILE from memory. The file name in the statement is a formality; no file is ever opened.
//!
//! Invariant: dropping a [`Load`] before [`Load::finish`] breaks the connection, and the server then fails the statement
//! instead of taking what has arrived for the whole.

use crate::mysql::error::MysqlError;

use super::{
    connection::{Outcome, Wire, outcome},
    reply::{self, Answer, Done},
};

const DOING: &str = "LOAD DATA";
/// Bytes of data per packet; the server's buffer for the connection grows to this.
const CHUNK: usize = 256 * 1024;

/// A load under way.
#[derive(Debug)]
pub struct Load<'a> {
    wire: &'a mut Wire,
    /// False while a piece is on its way: a failed or cancelled one must not be followed by an end of file.
    whole: bool,
}

impl Wire {
    /// Starts `LOAD DATA LOCAL INFILE '…' INTO TABLE …`.
    pub async fn load(&mut self, sql: &[u8]) -> Result<Load<'_>, MysqlError> {
        self.statement(DOING, sql).await?;
        self.receive(DOING).await?;
        match reply::answer(self.reader.payload(), self.capabilities) {
            Ok(Answer::LocalInfile) => {
                self.writer.seq = self.reader.seq();
                Ok(Load { wire: self, whole: true })
            }
            Ok(Answer::Refused(error)) => {
                self.settle();
                Err(error)
            }
            Ok(_) => Err(self.violation("LOAD DATA LOCAL did not ask for data".to_owned())),
            Err(what) => Err(self.violation(what)),
        }
    }

    /// Loads `data`, whose pieces are read as one file. LOCAL turns data errors into warnings and skips duplicate keys:
    /// compare [`Done::load_counts`] with what was sent.
    pub async fn load_data(&mut self, sql: &[u8], data: &[&[u8]]) -> Result<Done, MysqlError> {
        let mut load = self.load(sql).await?;
        for piece in data {
            load.send(piece).await?;
        }
        load.finish().await
    }
}

impl Load<'_> {
    /// Sends more of the file; pieces may end anywhere.
    pub async fn send(&mut self, data: &[u8]) -> Result<(), MysqlError> {
        self.intact()?;
        self.whole = false;
        for chunk in data.chunks(CHUNK) {
            if let Err(error) = self.wire.writer.write(&mut self.wire.stream, &[], chunk).await {
                return Err(self.wire.fault(DOING, error.into()).await);
            }
        }
        self.whole = true;
        Ok(())
    }

    /// Ends the file and waits for the server's verdict on all of it.
    pub async fn finish(self) -> Result<Done, MysqlError> {
        self.intact()?;
        let Load { wire, .. } = self;
        wire.send(DOING, &[]).await?;
        match outcome(&mut wire.reader, &mut wire.stream, wire.capabilities).await {
            Ok(Outcome { result, more: false }) => {
                wire.settle();
                result
            }
            Ok(Outcome { .. }) => Err(wire.violation("further statements after LOAD DATA".to_owned())),
            Err(fault) => Err(wire.fault(DOING, fault).await),
        }
    }

    fn intact(&self) -> Result<(), MysqlError> {
        match self.whole {
            true => Ok(()),
            false => Err(MysqlError::Broken { address: self.wire.address.clone() }),
        }
    }
}
