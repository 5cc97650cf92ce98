//! Lending connections to sessions.
//!
//! A session gets, in this order: the connection it had last; one whose settings are its own; a new one, while the tablet
//! has fewer than the most allowed; one with other settings, changed by SET or reset; one of another kind, closed for a new
//! one. Else it waits its turn. See [`super::places`] for the bookkeeping.
//!
//! Invariants: no lock is held across an await; every wait has a deadline; a [`Checkout`] that is dropped closes its
//! connection and frees its place, so a cancelled session costs a connection and nothing else.

use std::{sync::Arc, time::Duration};

use mysql_common::constants::CapabilityFlags;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::view::{Tablet, View},
    model::{CredentialName, DatabaseName, TabletAlias},
    mysql::{
        Credentials, Login, MysqlError,
        wire::{Announce, ConnectOptions, RELAYED, Wire},
    },
};

use super::{
    connection::Backend,
    places::{Census, Grant, Idle, Pick, Place, Places, SiteKey},
    settings::Settings,
};

/// A session, for as long as it lives.
pub type SessionId = u64;

/// How often connections are looked through for those that rest too long.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a server has for a ping, and for KILL.
const PATIENCE: Duration = Duration::from_secs(5);
/// KILL's answer when there is no such connection (any more).
const NO_SUCH_THREAD: u16 = 1094;

/// What a connection must agree in to stand in for another.
#[derive(Debug, PartialEq, Eq)]
pub struct PoolKey {
    site: Arc<SiteKey>,
    database: DatabaseName,
    credential: CredentialName,
    capabilities: CapabilityFlags,
    collation: u16,
}

impl PoolKey {
    /// For a client with these capabilities and this collation at its login, at `tablet` as the account of `credential`.
    pub fn new(tablet: &Tablet, credential: CredentialName, client: CapabilityFlags, collation: u16) -> Self {
        PoolKey {
            site: Arc::new(SiteKey { alias: tablet.alias.clone(), endpoint: tablet.record.endpoint.clone() }),
            database: tablet.record.database.clone(),
            credential,
            capabilities: client & RELAYED,
            collation,
        }
    }

    /// The tablet.
    pub fn tablet(&self) -> &TabletAlias {
        &self.site.alias
    }
}

/// The limits of the pools.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Most connections per tablet, whatever their kind.
    pub most_per_tablet: usize,
    /// How long a connection may rest before it is closed. It should be less than the servers' `wait_timeout`.
    pub idle: Duration,
    /// After how long a rest a connection is pinged before it is used.
    pub ping_after: Duration,
    /// How long a session waits for a connection.
    pub wait: Duration,
    /// Time limits and attributes of connections; what they announce is set by each key.
    pub connect: ConnectOptions,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions {
            most_per_tablet: 100,
            idle: Duration::from_secs(300),
            ping_after: Duration::from_secs(30),
            wait: Duration::from_secs(10),
            connect: ConnectOptions::default(),
        }
    }
}

/// Why there is no connection for a session.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// All are lent.
    #[error(
        "all {most} connections to tablet {tablet} were in use for {waited:?}; raise the gateway's limit per tablet, or look \
         for transactions left open"
    )]
    Full {
        /// The tablet.
        tablet: TabletAlias,
        /// The limit.
        most: usize,
        /// How long the session waited.
        waited: Duration,
    },
    /// The server cannot be reached, or refuses the login or one of the session's settings.
    #[error("tablet {tablet}: {error}")]
    Server {
        /// The tablet.
        tablet: TabletAlias,
        /// What happened.
        #[source]
        error: MysqlError,
    },
}

/// A connection's present statement, for KILL. It must not be used when that statement is over: the connection may be
/// another session's by then.
#[derive(Debug, Clone)]
pub struct Running {
    key: Arc<PoolKey>,
    connection_id: u32,
    /// Where other shards' parts of it run.
    others: Vec<Running>,
}

impl Running {
    /// Several connections' statements, which are one to the client.
    pub fn together(mut all: Vec<Running>) -> Option<Running> {
        let mut first = all.pop()?;
        first.others = all;
        Some(first)
    }
}

/// How the pool of a tablet stands.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The tablet.
    pub tablet: TabletAlias,
    /// The numbers.
    pub census: Census,
}

/// A connection on loan.
#[derive(Debug)]
pub struct Checkout {
    /// The connection. It is passed on several times per statement, and is large.
    pub backend: Box<Backend>,
    /// It is the one the session had last, untouched since.
    pub continued: bool,
    key: Arc<PoolKey>,
    session: SessionId,
    place: Place<Box<Backend>, PoolKey>,
}

impl Checkout {
    /// What to end when the statement under way is to be ended.
    pub fn running(&self) -> Running {
        Running { key: self.key.clone(), connection_id: self.backend.connection_id(), others: Vec::new() }
    }

    /// What the connection is good for.
    pub fn key(&self) -> &Arc<PoolKey> {
        &self.key
    }

    /// Gives the connection back. In a transaction, soiled, or midway in a command, it is closed instead.
    pub fn checkin(self) {
        let Checkout { backend, key, session, place, .. } = self;
        if backend.is_usable() && !backend.is_soiled() {
            let idle = Idle { item: backend, group: key, session: Some(session), since: Instant::now() };
            if let Some(left_over) = place.leave(idle) {
                left_over.item.close();
            }
        }
    }
}

/// The pools of all tablets.
#[derive(Debug, Clone)]
pub struct Pools {
    options: Arc<PoolOptions>,
    credentials: Credentials,
    places: Places<Box<Backend>, PoolKey>,
}

impl Pools {
    /// Pools without a connection.
    pub fn new(options: PoolOptions, credentials: Credentials) -> Self {
        Pools { options: Arc::new(options), credentials, places: Places::default() }
    }

    /// A connection for `session`, with the variables `wanted`.
    pub async fn checkout(
        &self,
        key: &Arc<PoolKey>,
        session: SessionId,
        wanted: &Settings,
    ) -> Result<Checkout, CheckoutError> {
        let most = self.options.most_per_tablet;
        let picked = self.places.pick(&key.site, most, key, session, |backend| {
            backend.settings() == wanted && !backend.is_soiled() && !backend.is_unread()
        });
        let (Grant { idle, place }, continued) = match picked {
            Pick::Continued(grant) => (grant, true),
            Pick::Now(grant) => (grant, false),
            Pick::Later(granted) => match timeout(self.options.wait, granted).await {
                Ok(Ok(grant)) => (grant, false),
                Ok(Err(_)) | Err(_) => {
                    self.places.note(&key.site, |tally| tally.timed_out += 1);
                    let (tablet, waited) = (key.tablet().clone(), self.options.wait);
                    return Err(CheckoutError::Full { tablet, most, waited });
                }
            },
        };
        // One that rested for this very session may have been handed over to it while it waited.
        let continued =
            continued || idle.as_ref().is_some_and(|idle| idle.session == Some(session) && *idle.group == **key);
        let key = key.clone();
        if let Some(Idle { item: mut backend, group, since, .. }) = idle {
            if *group != *key {
                backend.close();
            } else {
                match self.revive(&key, &mut backend, since, wanted, continued).await {
                    Ok(()) => return Ok(Checkout { backend, continued, key, session, place }),
                    // It still serves, so it is the session's settings that the server refuses.
                    Err(error) if backend.is_usable() => {
                        return Err(CheckoutError::Server { tablet: key.tablet().clone(), error });
                    }
                    Err(error) => tracing::debug!(tablet = %key.tablet(), %error, "an idle connection was lost"),
                }
            }
        }
        match self.connect(&key, wanted).await {
            Ok(backend) => Ok(Checkout { backend, continued: false, key, session, place }),
            Err(error) => Err(CheckoutError::Server { tablet: key.tablet().clone(), error }),
        }
    }

    /// The session has ended: its connections are anybody's.
    pub fn forget(&self, session: SessionId) {
        self.places.forget(session);
    }

    /// Closes the connections to tablets that are not in the View, or at another address now; what is lent ends with its
    /// loan.
    pub fn keep_to(&self, view: &View) {
        let live: Vec<_> = view.tablets().map(|(_, tablet)| (&tablet.alias, &tablet.record.endpoint)).collect();
        for backend in self.places.retain(|site| live.contains(&(&site.alias, &site.endpoint))) {
            backend.close();
        }
    }

    /// Ends a statement that runs now. It is no error if it ended by itself.
    pub async fn kill_query(&self, running: &Running) -> Result<(), MysqlError> {
        for other in &running.others {
            self.kill_one(other).await?;
        }
        self.kill_one(running).await
    }

    async fn kill_one(&self, running: &Running) -> Result<(), MysqlError> {
        let options = ConnectOptions {
            connect_timeout: PATIENCE,
            read_timeout: PATIENCE,
            write_timeout: PATIENCE,
            announce: Announce::default(),
            ..self.options.connect.clone()
        };
        let mut wire = Wire::connect(&self.login(&running.key, None)?, &options).await?;
        let killed = wire.execute(format!("KILL QUERY {}", running.connection_id).as_bytes()).await;
        wire.close().await;
        match killed {
            Err(error) if error.code() != Some(NO_SUCH_THREAD) => Err(error),
            _ => Ok(()),
        }
    }

    /// The logins of tablets.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// How the pools stand, by tablet.
    pub fn usage(&self) -> Vec<Usage> {
        let mut usage: Vec<_> = self.places.census().into_iter().collect();
        usage.sort_by(|(one, _), (other, _)| one.alias.cmp(&other.alias));
        usage.into_iter().map(|(site, census)| Usage { tablet: site.alias.clone(), census }).collect()
    }

    /// Closes what rests too long, until cancelled; then everything that rests.
    pub async fn maintain(&self, cancel: CancellationToken) {
        let mut ticks = interval(SWEEP);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Some(then) = Instant::now().checked_sub(self.options.idle) {
                self.places.expire(then).into_iter().for_each(|backend| backend.close());
            }
        }
        self.places.retain(|_| false).into_iter().for_each(|backend| backend.close());
    }

    /// Makes sure that an idle connection lives and brings it to the session's state.
    async fn revive(
        &self,
        key: &PoolKey,
        backend: &mut Backend,
        since: Instant,
        wanted: &Settings,
        continued: bool,
    ) -> Result<(), MysqlError> {
        let address = || key.site.endpoint.address.to_string();
        if !backend.is_quiet() {
            return Err(MysqlError::Closed { address: address(), reason: "while it was idle".to_owned() });
        }
        let late = |doing, after| move |_| MysqlError::Timeout { address: address(), doing, after };
        if since.elapsed() > self.options.ping_after {
            timeout(PATIENCE, backend.ping()).await.map_err(late("a ping", PATIENCE))??;
        }
        if continued && backend.settings() == wanted {
            return Ok(());
        }
        let limit = self.options.connect.connect_timeout;
        let ready = timeout(limit, backend.prepare_for(wanted)).await;
        if ready.map_err(late("the session's settings", limit))?? {
            self.places.note(&key.site, |tally| tally.reset += 1);
        }
        Ok(())
    }

    async fn connect(&self, key: &PoolKey, wanted: &Settings) -> Result<Box<Backend>, MysqlError> {
        let options = ConnectOptions {
            announce: Announce::relaying(key.capabilities, key.collation),
            ..self.options.connect.clone()
        };
        let limit = options.connect_timeout;
        let login = self.login(key, Some(key.database.as_str().to_owned()))?;
        let address = login.endpoint.address.to_string();
        let mut backend = Box::new(Backend::connect(login, options).await?);
        self.places.note(&key.site, |tally| tally.created += 1);
        match timeout(limit, backend.prepare_for(wanted)).await {
            Ok(ready) => ready.map(|_| backend),
            Err(_) => Err(MysqlError::Timeout { address, doing: "the session's settings", after: limit }),
        }
    }

    fn login(&self, key: &PoolKey, database: Option<String>) -> Result<Login, MysqlError> {
        Ok(self.credentials.resolve(key.credential.as_str())?.login(key.site.endpoint.clone(), database))
    }
}
