//! A topology of one's own, on either backend, and words to say what it should do.

use std::process::{Command, Output};
use std::time::Duration;

use shardlift::local::{self, Etcd, EtcdPorts, InstallOptions, Lifetime, Ports};
use shardlift::topology::store::{Change, Listing, Watch, WatchEvent};
use shardlift::topology::{Revision, Store, Topology, Txn, TxnOutcome};

pub(super) const SOON: Duration = Duration::from_secs(15);

/// A topology of one's own.
pub(super) struct Backend {
    pub(super) address: String,
    pub(super) etcd: Option<Etcd>,
    pub(super) folder: tempfile::TempDir,
}

impl Backend {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { address: folder.path().join("new/topology.sqlite").display().to_string(), etcd: None, folder }
    }

    pub(super) async fn etcd() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let servers =
            local::ensure(&InstallOptions { need_etcd: true, ..InstallOptions::from_env() }, &()).await.unwrap();
        let ports = Ports::open(&servers.cache).unwrap();
        let ports = EtcdPorts { client: ports.lease().unwrap(), peer: ports.lease().unwrap() };
        let etcd = Etcd::start(&servers, folder.path(), ports, Lifetime::Owned).await.unwrap();
        Self { address: etcd.endpoint().replace("http", "etcd"), etcd: Some(etcd), folder }
    }

    /// A client of its own, as another process would have.
    pub(super) async fn topology(&self) -> Topology {
        Topology::open(&self.address, &"main".parse().unwrap()).await.unwrap()
    }

    /// Keeps the store from answering until what is returned is dropped.
    pub(super) fn freeze(&self) -> Box<dyn Send + '_> {
        struct Thaw<'a>(&'a Etcd);
        impl Drop for Thaw<'_> {
            fn drop(&mut self) {
                self.0.resume().unwrap();
            }
        }
        match &self.etcd {
            Some(etcd) => {
                etcd.pause().unwrap();
                // The signal is sent; a thread that is running takes it when the system comes to it.
                std::thread::sleep(std::time::Duration::from_millis(100));
                Box::new(Thaw(etcd))
            }
            None => {
                let connection = rusqlite::Connection::open(&self.address).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Box::new(connection)
            }
        }
    }

    pub(super) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
        command.args(["--topo", &self.address]).args(line.split(' '));
        command
    }

    pub(super) fn must(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

pub(super) fn committed(outcome: TxnOutcome) -> Revision {
    match outcome {
        TxnOutcome::Committed { revision } => revision,
        refused => panic!("{refused:?}"),
    }
}

pub(super) async fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    committed(store.txn(Txn::new().put(key, value)).await.unwrap())
}

pub(super) async fn next(watch: &mut Watch) -> WatchEvent {
    tokio::time::timeout(SOON, watch.next()).await.expect("the watch says nothing").unwrap()
}

pub(super) async fn snapshot(watch: &mut Watch) -> Listing {
    match next(watch).await {
        WatchEvent::Snapshot(listing) => listing,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn changes(watch: &mut Watch) -> (Revision, Vec<Change>) {
    match next(watch).await {
        WatchEvent::Changes { revision, changes } => (revision, changes),
        other => panic!("{other:?}"),
    }
}
