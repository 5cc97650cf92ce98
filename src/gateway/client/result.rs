//! Results the gateway makes itself, for statements that are run as text and for prepared ones.

use mysql_common::constants::StatusFlags;

use super::{Client, ColumnSpec, error::ClientError, packets};

/// How rows are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Text,
    Binary,
}

impl Client {
    /// Queues a result set for COM_QUERY. Rows have as many values as there are columns; `None` is NULL.
    pub async fn text_result<Row, Text>(
        &mut self,
        columns: &[ColumnSpec],
        rows: impl IntoIterator<Item = Row>,
        warnings: u16,
        status: StatusFlags,
    ) -> Result<(), ClientError>
    where
        Row: IntoIterator<Item = Option<Text>>,
        Text: AsRef<[u8]>,
    {
        self.result(Protocol::Text, columns, rows, warnings, status).await
    }

    /// Queues the same result set for COM_STMT_EXECUTE.
    pub async fn binary_result<Row, Text>(
        &mut self,
        columns: &[ColumnSpec],
        rows: impl IntoIterator<Item = Row>,
        warnings: u16,
        status: StatusFlags,
    ) -> Result<(), ClientError>
    where
        Row: IntoIterator<Item = Option<Text>>,
        Text: AsRef<[u8]>,
    {
        self.result(Protocol::Binary, columns, rows, warnings, status).await
    }

    /// Queues the answer to COM_STMT_PREPARE of a statement without parameters that the gateway will answer itself.
    pub async fn prepared(&mut self, id: u32, columns: &[ColumnSpec], status: StatusFlags) -> Result<(), ClientError> {
        let mut packet = Vec::new();
        packets::prepared(&mut packet, id, columns.len(), self.identity.capabilities);
        self.packet(&packet).await?;
        if columns.is_empty() {
            return Ok(());
        }
        self.columns(columns, status).await
    }

    async fn result<Row, Text>(
        &mut self,
        protocol: Protocol,
        columns: &[ColumnSpec],
        rows: impl IntoIterator<Item = Row>,
        warnings: u16,
        status: StatusFlags,
    ) -> Result<(), ClientError>
    where
        Row: IntoIterator<Item = Option<Text>>,
        Text: AsRef<[u8]>,
    {
        let mut packet = Vec::new();
        packets::column_count(&mut packet, columns.len(), self.identity.capabilities);
        self.packet(&packet).await?;
        self.columns(columns, status).await?;
        for row in rows {
            packet.clear();
            match protocol {
                Protocol::Text => packets::text_row(&mut packet, row),
                Protocol::Binary => packets::binary_row(&mut packet, columns, row),
            }
            self.packet(&packet).await?;
        }
        packet.clear();
        packets::end_of_rows(&mut packet, warnings, status, self.identity.capabilities);
        self.packet(&packet).await
    }

    async fn columns(&mut self, columns: &[ColumnSpec], status: StatusFlags) -> Result<(), ClientError> {
        let mut packet = Vec::new();
        for column in columns {
            packet.clear();
            packets::column(&mut packet, column);
            self.packet(&packet).await?;
        }
        packet.clear();
        if packets::end_of_columns(&mut packet, status, self.identity.capabilities) {
            self.packet(&packet).await?;
        }
        Ok(())
    }
}
