//! The gateway that the shop's writers connect to, in this process.
//!
//! Invariant: it was told to end, and has ended, before its servers are stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use crate::daemon::gateway::{GatewayError, Service};
use crate::daemon::http::HttpListen;
use crate::gateway::Limits;
use crate::gateway::backend::PoolOptions;
use crate::gateway::buffer::BufferLimits;
use crate::gateway::client::{Budget, Offer, RsaKeys, Users, users};
use crate::gateway::serve::Doors;
use crate::local::cluster::Cluster;
use crate::model::InstanceId;
use crate::mysql::Credentials;

/// How long a login may take.
const LOGIN: Duration = Duration::from_secs(10);
/// How long a client may be silent; the writers never are.
const IDLE: Duration = Duration::from_secs(600);
/// How long a transaction may go on when the demo ends.
const DRAIN: Duration = Duration::from_secs(2);
/// More clients than any demo has.
const CLIENTS: usize = 100;
/// The longest statement, in bytes.
const PACKET: usize = 1 << 20;
/// All long statements under way, in bytes.
const PACKETS: usize = 64 << 20;

/// A gateway that runs.
pub(super) struct Gateway {
    /// Where clients connect, on 127.0.0.1.
    pub(super) port: u16,
    ready: oneshot::Receiver<()>,
    drain: CancellationToken,
    task: JoinHandle<Result<(), GatewayError>>,
}

impl Gateway {
    /// Starts it in front of the cluster, for the cluster's `app`.
    pub(super) async fn start(cluster: &Cluster, id: InstanceId) -> Result<Self, DemoError> {
        let (file, app) = (cluster.spec().users_file(), cluster.app());
        users::create(&file, &app.user, &app.password, cluster.app_credential())?;
        let tcp = TcpListener::bind("127.0.0.1:0").await.map_err(GatewayError::Socket)?;
        let port = tcp.local_addr().map_err(GatewayError::Socket)?.port();
        let service = Service {
            id,
            topology: cluster.topology().clone(),
            credentials: Credentials::new(Some(cluster.credentials_file())),
            doors: Doors { tcp, unix: None },
            offer: Offer {
                version: String::new(),
                // Nobody listens on the loopback.
                tls: None,
                keys: RsaKeys::new(),
                users: Arc::new(Users::load(file)?),
                max_packet: PACKET,
                budget: Budget::new(PACKETS),
                login_timeout: LOGIN,
                require_tls: false,
            },
            limits: Limits { clients: CLIENTS, idle: IDLE, replica_lag: Duration::MAX, drain: DRAIN },
            pools: PoolOptions::default(),
            buffer: BufferLimits::default(),
            http: HttpListen::Off,
        };
        let (drain, (told, ready)) = (CancellationToken::new(), oneshot::channel());
        let tell = |_: &str, _: &str| {
            // Nobody waits for it any more when the demo was interrupted.
            let _ = told.send(());
        };
        let task = tokio::spawn(service.run(drain.clone(), tell));
        Ok(Self { port, ready, drain, task })
    }

    /// Waits until it serves.
    pub(super) async fn ready(&mut self) -> Result<(), DemoError> {
        (&mut self.ready).await.map_err(|_| DemoError::GatewayEnded)
    }

    /// Ends it; how it went.
    pub(super) async fn end(self) -> Result<(), DemoError> {
        self.drain.cancel();
        Ok(self.task.await??)
    }
}
