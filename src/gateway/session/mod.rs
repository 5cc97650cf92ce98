//! One client's session: reads its commands and has each done.
//!
//! | module | what it does |
//! |---|---|
//! | [`statement`] | texts: one statement after another |
//! | [`send`] | one statement to one tablet, and its reply back |
//! | [`ready`] | what comes before it on its connection |
//! | [`digest`] | what the reply says of the session |
//! | [`lend`] | connections: taken, kept, given back |
//! | [`hold`] | what is held, sent again or given up while traffic is switched |
//! | [`fence`] | what a switch does to an open transaction |
//! | [`local`] | what is answered here |
//! | [`prepared`], [`long`] | COM_STMT_… |
//! | [`spread`], [`gather`], [`merge`], [`conclude`] | statements that several shards answer |
//! | [`sequence`] | numbers from sequences |
//! | [`several`] | transactions on several shards |
//! | [`bound`], [`columns`] | what finding the shards of rows takes |
//! | [`watch`] | what a switch would part is noted |
//! | [`variables`] | user variables that follow a session to another tablet |
//! | [`txn`], [`keep`], [`nature`], [`parameters`], [`verb`] | pure parts |
//!
//! Invariants:
//! - Every command that has a reply gets exactly one, whatever happens behind it.
//! - A connection with something of this session on it ([`keep::Keep`], an open transaction) is not given back.
//! - A transaction is on one tablet; what needs another one is refused while it is open, unless both are of shards of one keyspace.

mod bound;
mod columns;
mod conclude;
mod counts;
mod digest;
mod fence;
mod gather;
mod hold;
mod keep;
mod lend;
mod local;
mod long;
mod merge;
mod nature;
pub mod parameters;
mod prepared;
mod ready;
mod send;
mod sequence;
mod several;
mod spread;
mod statement;
mod txn;
mod variables;
mod verb;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use tokio_util::sync::CancellationToken;

use crate::metrics::{RouteMetrics, TurnedAway};
use crate::model::TabletAlias;
use crate::sharding::{RoutingRules, Target};

use super::Gateway;
use super::backend::{Checkout, PoolKey, SessionId, Settings};
use super::client::{Client, ClientError, Command, OkPacket, SqlError, StateChange};
use super::route::parse_target;
use super::sessions::Seat;
use super::sql::{SqlMode, analyze};
use super::view::{Tablet, View};

use self::keep::Keep;
use self::prepared::Statements;
use self::ready::PreparedInSql;
use self::txn::{Origin, Txn};

/// Whether the conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// With the next statement of the text, or the next command.
    On,
    /// With the next command: this one ended in an error.
    Failed,
    /// No further.
    Quit,
}

/// What of the last statement the next one may ask for.
#[derive(Debug, Clone, Default)]
struct Last {
    /// LAST_INSERT_ID().
    insert_id: u64,
    /// An error the gateway made itself, for SHOW WARNINGS.
    refusal: Option<SqlError>,
    /// Whether there was any statement at all.
    any: bool,
    /// Where it ran: the tablet and the connection's id.
    at: Option<(TabletAlias, u32)>,
    /// Several shards answered it: what that connection has counted is a part.
    partial: bool,
    /// Which connection has `insert_id` as its own LAST_INSERT_ID(): not always the one that ran the last statement, and none
    /// where the number came of a sequence, or of several shards.
    insert_id_at: Option<(TabletAlias, u32)>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    gateway: Arc<Gateway>,
    client: Client,
    seat: Seat,
    number: SessionId,
    target: Target,
    settings: Settings,
    mode: SqlMode,
    /// The mode of a session that has set none.
    base_mode: SqlMode,
    /// Whether SERIALIZABLE is the level of a session that has set none.
    base_serializable: bool,
    txn: Txn,
    origin: Origin,
    /// SET TRANSACTION for the next transaction, which no server has seen yet.
    characteristics: Vec<Vec<u8>>,
    /// By name in lower case.
    prepared_in_sql: BTreeMap<String, PreparedInSql>,
    /// The rules as they were at the first HANDLER OPEN, or PREPARE that is not remembered.
    rules_at_prepare: Option<Arc<RoutingRules>>,
    /// Whether transactions may be on several shards.
    multi: bool,
    /// Something of the session is lost; it ends with the present command.
    doomed: bool,
    /// What servers reported behind errors, and the client has yet to be told.
    untold: Vec<u8>,
    keep: Keep,
    held: Vec<Checkout>,
    /// Which tablet's connection has the user variables as they were set last.
    variables_at: Option<TabletAlias>,
    statements: Statements,
    /// Whether a text may hold several statements.
    several: bool,
    last: Last,
    keys: Vec<(Arc<Tablet>, Arc<PoolKey>)>,
    route: Option<(Arc<Tablet>, Arc<RouteMetrics>)>,
}

impl Session {
    /// Ends a login: checks the database it asked for and admits the client.
    pub async fn begin(gateway: Arc<Gateway>, client: Client, seat: Seat) -> Result<Self, ClientError> {
        let mut session = Self {
            number: SessionId::from(seat.id()),
            gateway,
            client,
            seat,
            target: Target::default(),
            settings: Settings::default(),
            mode: SqlMode::default(),
            base_mode: SqlMode::default(),
            base_serializable: false,
            txn: Txn::None,
            origin: Origin::default(),
            characteristics: Vec::new(),
            prepared_in_sql: BTreeMap::new(),
            rules_at_prepare: None,
            multi: true,
            doomed: false,
            untold: Vec::new(),
            keep: Keep::default(),
            held: Vec::new(),
            variables_at: None,
            statements: Statements::default(),
            several: false,
            last: Last::default(),
            keys: Vec::new(),
            route: None,
        };
        session.enter().await?;
        Ok(session)
    }

    /// What follows a login and COM_CHANGE_USER.
    async fn enter(&mut self) -> Result<(), ClientError> {
        let identity = self.client.identity();
        self.seat.belongs_to(&identity.user);
        self.several = identity.capabilities.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS);
        self.keys.clear();
        let database = identity.database.clone().filter(|name| !name.is_empty());
        self.target = match database.map(|name| parse_target(&self.view(), &name)) {
            None => Target::default(),
            Some(Ok(target)) => target,
            Some(Err(refusal)) => {
                self.gateway.metrics.turned_away(TurnedAway::UnknownDatabase);
                return Err(self.client.refuse(refusal.into()).await);
            }
        };
        self.learn_mode().await;
        self.client.admit(self.status()).await
    }

    /// Serves the client until it leaves, is killed, or the gateway ends.
    pub async fn run(mut self, drain: CancellationToken) -> Result<(), ClientError> {
        let killed = self.seat.killed().clone();
        let ended = loop {
            let busy = self.txn.is_active() || self.keep.any();
            let command = tokio::select! {
                biased;
                () = killed.cancelled() => break Err(self.expel(1317, b"70100", "the connection was killed").await),
                () = drain.cancelled(), if !busy => break Err(self.expel(1053, b"08S01", "Server shutdown in progress").await),
                command = self.client.command(self.gateway.limits.idle) => command,
            };
            let done = match command {
                Ok(command) => self.obey(command).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(Flow::On | Flow::Failed) if !self.doomed => {}
                Ok(Flow::On | Flow::Failed) => break Ok(()),
                Ok(Flow::Quit) => break Ok(()),
                Err(ClientError::Gone) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.let_go();
        self.gateway.pools.forget(self.number);
        ended
    }

    async fn expel(&mut self, code: u16, state: &[u8; 5], message: &str) -> ClientError {
        self.client.expel(SqlError::new(code, state, message)).await
    }

    /// Does one command, its reply sent.
    async fn obey(&mut self, command: Command) -> Result<Flow, ClientError> {
        let flow = match command {
            Command::Query { attributes, sql } => self.text(&attributes, &sql).await?,
            Command::Quit => return Ok(Flow::Quit),
            Command::Ping => self.done().await?,
            Command::InitDb(name) => self.use_target(&String::from_utf8_lossy(&name)).await?,
            Command::ResetConnection => {
                self.start_over();
                self.done().await?
            }
            Command::ChangeUser(body) => {
                self.start_over();
                let gateway = self.gateway.clone();
                self.client.change_user(&body, &gateway.offer).await?;
                self.enter().await?;
                Flow::On
            }
            Command::SetOption(option) => self.set_option(option).await?,
            Command::Statistics => {
                let text = format!("Threads: {}", self.gateway.sessions.count());
                self.client.packet(text.as_bytes()).await?;
                Flow::On
            }
            Command::ProcessKill(id) => self.kill(Some(u64::from(id)), false, false).await?,
            Command::FieldList { table, wildcard } => self.field_list(&table, &wildcard).await?,
            Command::StmtPrepare(sql) => self.prepare(&sql).await?,
            Command::StmtExecute { id, flags, rest } => self.execute_prepared(id, flags, &rest).await?,
            // These two have no reply.
            Command::StmtSendLongData { id, parameter, data } => return self.long_data(id, parameter, &data).await,
            Command::StmtClose(id) => return self.close_prepared(id).await,
            Command::StmtReset(id) => self.reset_prepared(id).await?,
            Command::StmtFetch { id, rows } => self.fetch(id, rows).await?,
            Command::Unknown(code, name) => {
                let text = format!("Unknown command: {name} ({code:#04x}) is not supported by this gateway");
                self.fail(SqlError::new(1047, b"08S01", text)).await?
            }
            Command::Malformed(_) => self.fail(SqlError::malformed_packet()).await?,
        };
        self.client.flush().await?;
        Ok(flow)
    }

    /// Finds out how servers read texts by default. Where none answers now, the usual is assumed.
    async fn learn_mode(&mut self) {
        let asked = b"SELECT 1";
        if let Ok((checkout, _)) = self.place(&analyze(asked, self.mode), asked).await {
            self.base_mode = SqlMode::parse(checkout.backend.sql_mode());
            self.mode = self.base_mode;
            self.base_serializable = checkout.backend.serializable();
            self.settle(checkout);
        }
    }

    /// The cluster as it is now.
    fn view(&self) -> Arc<View> {
        self.gateway.views.borrow().clone()
    }

    /// The status of what is answered here.
    fn status(&self) -> StatusFlags {
        const READ_ONLY: StatusFlags = StatusFlags::SERVER_STATUS_IN_TRANS_READONLY;
        let mut status = StatusFlags::empty();
        status.set(StatusFlags::SERVER_STATUS_AUTOCOMMIT, self.settings.get("autocommit") != Some("OFF"));
        status.set(StatusFlags::SERVER_STATUS_IN_TRANS, self.txn.is_active());
        status |= self.txn.flags_of_begun();
        let open = self.held.iter().find(|held| Some(held.key().tablet()) == self.txn.tablet());
        let read_only = open.is_some_and(|open| open.backend.status().contains(READ_ONLY));
        status.set(READ_ONLY, read_only || status.contains(READ_ONLY));
        status.set(StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES, self.mode.no_backslash_escapes);
        status
    }

    /// Answers OK.
    async fn done(&mut self) -> Result<Flow, ClientError> {
        self.done_with(Vec::new(), false).await
    }

    async fn done_with(&mut self, mut changes: Vec<StateChange>, more: bool) -> Result<Flow, ClientError> {
        if !self.untold.is_empty() {
            changes.insert(0, StateChange::Reported(std::mem::take(&mut self.untold)));
        }
        let mut status = self.status();
        status.set(StatusFlags::SERVER_MORE_RESULTS_EXISTS, more);
        self.client.ok(&OkPacket { status, changes, ..OkPacket::default() }).await?;
        Ok(Flow::On)
    }

    /// Answers with an error of the gateway's own.
    async fn fail(&mut self, error: SqlError) -> Result<Flow, ClientError> {
        self.client.error(&error).await?;
        self.last.refusal = Some(error);
        Ok(Flow::Failed)
    }

    /// The session as after its login: what it has left on connections is removed before others get them.
    fn start_over(&mut self) {
        self.let_go();
        self.settings = Settings::default();
        self.mode = self.base_mode;
        (self.txn, self.origin) = (Txn::None, Origin::default());
        self.multi = true;
        self.rules_at_prepare = None;
        self.prepared_in_sql.clear();
        self.characteristics.clear();
        self.untold.clear();
        self.statements = Statements::default();
        self.last = Last::default();
    }
}
