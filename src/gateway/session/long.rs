//! Long data of prepared statements: sent to a server's statement of its own.

use crate::gateway::backend::Checkout;
use crate::gateway::client::{ClientError, SqlError};

use super::prepared::{Own, Prepared};
use super::ready::NotSent;
use super::{Flow, Session};

const LONG_DATA: u8 = 0x18;

impl Session {
    /// COM_STMT_SEND_LONG_DATA. It has no reply: what goes wrong shows when the statement is executed.
    pub(super) async fn long_data(&mut self, id: u32, parameter: u16, data: &[u8]) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get(&id).cloned() else { return Ok(Flow::On) };
        let sent = match self.where_to(&prepared).await {
            Ok((mut checkout, text)) => {
                let sent = send_long(&mut checkout, &prepared, &text, parameter, data).await;
                if sent.is_ok() {
                    self.keep.statements.insert(id);
                }
                self.settle(checkout);
                sent
            }
            Err(error) => Err(error),
        };
        let Some(prepared) = self.statements.by_id.get_mut(&id) else { return Ok(Flow::On) };
        match sent {
            Ok(own) => prepared.own = Some(own),
            Err(_) => prepared.holed = true,
        }
        Ok(Flow::On)
    }
}

/// Sends a piece of long data, to a server's statement of its own.
async fn send_long(
    checkout: &mut Checkout,
    prepared: &Prepared,
    text: &[u8],
    parameter: u16,
    data: &[u8],
) -> Result<Own, NotSent> {
    let own = match &prepared.own {
        Some(own) if own.is_on(checkout) => own.clone(),
        // What was sent before went elsewhere.
        Some(_) => return Err(NotSent::Told(SqlError::new(1105, b"HY000", "long data on another connection"))),
        None => {
            let server_id = checkout.backend.prepare(text).await?.id;
            Own::new(checkout, server_id)
        }
    };
    let mut body = Vec::with_capacity(6 + data.len());
    body.extend_from_slice(&own.server_id.to_le_bytes());
    body.extend_from_slice(&parameter.to_le_bytes());
    body.extend_from_slice(data);
    checkout.backend.notify(LONG_DATA, &body).await?;
    Ok(own)
}
