//! `shardlift health`: what a container's health check runs, for the image holds no other program.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Outcome;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(3);
/// No answer of /healthz is longer, in bytes.
const LONGEST: u64 = 64 << 10;

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Where the engine or gateway serves HTTP (its --http-listen)
    #[arg(default_value = "127.0.0.1:15380", value_name = "IP:PORT")]
    address: SocketAddr,
}

impl Flags {
    /// Prints the answer; a problem is the outcome `Failed`.
    pub(super) async fn run(self) -> Result<Outcome> {
        let address = self.address;
        let answer = timeout(DEADLINE, ask(address))
            .await
            .map_err(|_| anyhow!("no answer within {} s", DEADLINE.as_secs()))
            .and_then(|answer| Ok(answer?))
            .with_context(|| {
                format!("http://{address}/healthz; is an engine or gateway running with this --http-listen?")
            })?;
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            bail!("http://{address}/healthz: the answer is not HTTP");
        };
        println!("{}", body.trim());
        let healthy = head.split_whitespace().nth(1) == Some("200");
        Ok(if healthy { Outcome::Done } else { Outcome::Failed })
    }
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::daemon::http::{Health, HttpService};

    #[tokio::test]
    async fn the_outcome_is_the_answer() {
        let end = CancellationToken::new();
        for (problems, outcome) in [(vec![], Outcome::Done), (vec!["the topology is away".to_owned()], Outcome::Failed)]
        {
            let service = HttpService::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().unwrap();
            let address = service.address();
            let health = move || problems.iter().cloned().collect::<Health>();
            tokio::spawn(service.serve(Registry::new(), health, end.clone()));
            assert_eq!(Flags { address }.run().await.unwrap(), outcome);
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = Flags { address: free }.run().await.unwrap_err();
        assert!(format!("{refused:#}").contains("--http-listen"), "{refused:#}");
        end.cancel();
    }
}
