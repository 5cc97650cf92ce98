//! Our transactions and entries in etcd's terms.

use etcd_client::{Compare as EtcdCompare, CompareOp, GetOptions, KeyValue, PutOptions, TxnOp};

use super::super::store::{Compare, Entry, LeaseId, StoreError, Txn};

/// Operations per nested transaction, and nested transactions per transaction: within etcd's 128 on both levels.
const NEST: usize = 64;

/// The end of the range of keys that start with `prefix`; the same as the SQLite backend's.
pub(super) fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

/// Puts more operations than etcd takes in one list into nested transactions, which commit as one revision.
pub(super) fn request(txn: &Txn) -> etcd_client::Txn {
    let compares: Vec<EtcdCompare> = txn.compares.iter().map(compare).collect();
    let reads: Vec<TxnOp> = txn
        .compares
        .iter()
        .map(|compare| match compare {
            Compare::NoneAfter(key, _) => TxnOp::get(key.as_str(), Some(GetOptions::new().with_count_only())),
            other => TxnOp::get(other.key(), None),
        })
        .collect();
    let mut writes = txn.puts.iter().map(|put| {
        let options = put.lease.map(|lease| PutOptions::new().with_lease(lease.0));
        TxnOp::put(put.key.as_str(), put.value.as_slice(), options)
    });
    let mut writes: Vec<TxnOp> =
        writes.by_ref().chain(txn.deletes.iter().map(|key| TxnOp::delete(key.as_str(), None))).collect();
    if writes.len() > NEST {
        writes = writes.chunks(NEST).map(|ops| TxnOp::txn(etcd_client::Txn::new().and_then(ops))).collect();
    }
    etcd_client::Txn::new().when(compares).and_then(writes).or_else(reads)
}

fn compare(compare: &Compare) -> EtcdCompare {
    match compare {
        Compare::Exists(key) => EtcdCompare::create_revision(key.as_str(), CompareOp::Greater, 0),
        Compare::Absent(key) => EtcdCompare::create_revision(key.as_str(), CompareOp::Equal, 0),
        // To etcd a key that does not exist has modification revision 0; to us nothing was ever written by revision 0.
        Compare::ModRevision(key, ..=0) => EtcdCompare::create_revision(key.as_str(), CompareOp::Less, 0),
        Compare::ModRevision(key, revision) => EtcdCompare::mod_revision(key.as_str(), CompareOp::Equal, *revision),
        Compare::Value(key, value) => EtcdCompare::value(key.as_str(), CompareOp::Equal, value.as_slice()),
        Compare::NoneAfter(prefix, revision) => {
            EtcdCompare::mod_revision(prefix.as_str(), CompareOp::Less, revision + 1).with_range(end_of(prefix))
        }
    }
}

pub(super) fn entry(kv: &KeyValue) -> Result<Entry, StoreError> {
    let key = kv.key_str().map_err(|e| StoreError::Corrupt {
        what: String::from_utf8_lossy(kv.key()).into_owned(),
        why: format!("the key is not text: {e}"),
    })?;
    let lease = (kv.lease() != 0).then(|| LeaseId(kv.lease()));
    Ok(Entry { key: key.into(), value: kv.value().into(), mod_revision: kv.mod_revision(), lease })
}
