//! The gateways, and what they said of the pauses.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use shardlift::gateway::client::users;
use shardlift::topology::paths;
use shardlift::topology::records::GatewayPresence;

use super::testbed::process::Process;
use super::testbed::{Stage, until};

const POLL: Duration = Duration::from_millis(50);
/// What a gateway logs at the end of each pause, and of that what comes before the time.
const PAUSE: (&str, &str) = ("a pause has ended", "lasted=");

/// Gateways in front of the stage. Dropping them kills them.
#[derive(Debug)]
pub struct Doors {
    names: Vec<String>,
    listen: Vec<String>,
    _processes: Vec<Process>,
}

impl Doors {
    /// Starts so many, with the applications' account as their user, and waits until the topology knows them.
    pub async fn start(stage: &Stage, count: u32) -> Result<Self> {
        let (users, app) = (stage.cluster().spec().users_file(), stage.cluster().app());
        users::create(&users, &app.user, &app.password, stage.cluster().app_credential())?;
        let users = users.to_str().context("a folder whose name is no text")?;
        let names: Vec<_> = (1..=count).map(|number| format!("gateway-{number}")).collect();
        let mut processes = Vec::new();
        for name in &names {
            let arguments = ["gateway", "run", "--id", name, "--listen", "127.0.0.1:0", "--users", users];
            processes.push(Process::start(stage, name, &arguments)?);
        }
        let listen = until("the gateways register", POLL, async || {
            for process in &mut processes {
                process.check()?;
            }
            let seen = stage.cluster().topology().list::<GatewayPresence>(&paths::gateways()).await?;
            let listen: Vec<_> = seen.records.into_iter().map(|(_, found)| found.record.listen).collect();
            Ok((listen.len() == names.len()).then_some(listen))
        })
        .await?;
        Ok(Self { names, listen, _processes: processes })
    }

    /// Where client number `n` connects, as host:port.
    pub fn at(&self, n: usize) -> &str {
        &self.listen[n % self.listen.len()]
    }

    /// Each gateway's pauses in milliseconds, from the first statement held to the first released.
    pub fn pauses(&self, stage: &Stage) -> Result<Vec<(String, Vec<f64>)>> {
        let read = |name: &String| {
            let log = fs::read_to_string(stage.folder().join(format!("{name}.log")))?;
            let lines = log.lines().filter(|line| line.contains(PAUSE.0));
            let pauses = lines.filter_map(|line| millis(line.split(PAUSE.1).nth(1)?));
            Ok((name.clone(), pauses.collect()))
        };
        self.names.iter().map(read).collect()
    }
}

/// A duration as `Debug` writes it.
fn millis(text: &str) -> Option<f64> {
    let number: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let value: f64 = number.parse().ok()?;
    match text.get(number.len()..)?.chars().next()? {
        'm' => Some(value),
        's' => Some(value * 1e3),
        'n' => Some(value / 1e6),
        _ => Some(value / 1e3),
    }
}
