//! What one SQLite transaction does to the tables. Everything here runs inside a transaction its caller holds.
//!
//! Every write is preceded by a sweep of expired leases in the same transaction, its clock read under the write lock: read
//! before, it could be older than a renewal it then meets.
//!
//! Time is this host's monotonic clock in milliseconds, which all its processes share and no clock adjustment moves. A
//! lease lives while `renewed ≤ now < renewed + ttl`; a reboot sets the clock back, which ends leases too.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::store::{
    Change, Compare, Entry, LeaseId, Listing, Revision, StoreError, Txn, TxnOutcome, WatchEvent,
};
use super::schema::classify;

/// Revisions of history kept for watchers to resume from.
const KEPT: Revision = 1000;
/// Revisions one read of the history spans.
const PAGE: Revision = 256;

/// The present, as leases count it.
pub(super) fn now_ms() -> Result<i64, StoreError> {
    use nix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_err(|e| StoreError::Unavailable { what: "reading the clock".into(), why: e.to_string() })?;
    Ok(now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000)
}

fn counter(db: &Connection, name: &str) -> Result<Revision, StoreError> {
    let sql = "SELECT value FROM counter WHERE name = ?";
    db.prepare_cached(sql).and_then(|mut s| s.query_row([name], |row| row.get(0))).map_err(|e| classify(e, name))
}

pub(super) fn revision(db: &Connection) -> Result<Revision, StoreError> {
    counter(db, "revision")
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let lease: Option<i64> = row.get(3)?;
    Ok(Entry { key: row.get(0)?, value: row.get(1)?, mod_revision: row.get(2)?, lease: lease.map(LeaseId) })
}

pub(super) fn get(db: &Connection, key: &str) -> Result<Option<Entry>, StoreError> {
    let sql = "SELECT key, value, mod_revision, lease FROM entry WHERE key = ?";
    db.prepare_cached(sql).and_then(|mut s| s.query_row([key], entry).optional()).map_err(|e| classify(e, key))
}

/// The end of the range of keys that start with `prefix`. No key holds this last character of Unicode.
fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

pub(super) fn list(db: &Connection, prefix: &str) -> Result<Listing, StoreError> {
    let sql = "SELECT key, value, mod_revision, lease FROM entry WHERE key >= ? AND key < ? ORDER BY key";
    let entries = db
        .prepare_cached(sql)
        .and_then(|mut s| s.query_map([prefix, &end_of(prefix)], entry)?.collect())
        .map_err(|e| classify(e, prefix))?;
    Ok(Listing { revision: revision(db)?, entries })
}

fn holds(db: &Connection, compare: &Compare) -> Result<(bool, Option<Entry>), StoreError> {
    if let Compare::NoneAfter(prefix, after) = compare {
        let sql = "SELECT 1 FROM entry WHERE key >= ? AND key < ? AND mod_revision > ? LIMIT 1";
        let newer = db
            .prepare_cached(sql)
            .and_then(|mut s| s.exists(params![prefix, end_of(prefix), after]))
            .map_err(|e| classify(e, prefix))?;
        return Ok((!newer, None));
    }
    let found = get(db, compare.key())?;
    let holds = match (compare, &found) {
        (Compare::Absent(_), found) => found.is_none(),
        (Compare::Exists(_), found) => found.is_some(),
        (Compare::ModRevision(_, revision), Some(entry)) => entry.mod_revision == *revision,
        (Compare::Value(_, value), Some(entry)) => entry.value == *value,
        _ => false,
    };
    Ok((holds, found))
}

/// Applies `txn` whole, or reports what stood against it.
pub(super) fn txn(db: &Connection, txn: &Txn) -> Result<TxnOutcome, StoreError> {
    let mut found = Vec::with_capacity(txn.compares.len());
    let mut all = true;
    for compare in &txn.compares {
        let (holds, entry) = holds(db, compare)?;
        all &= holds;
        found.push(entry);
    }
    let current = revision(db)?;
    if !all {
        return Ok(TxnOutcome::Refused { revision: current, found });
    }
    let next = current + 1;
    let mut changed = false;
    for put in &txn.puts {
        if let Some(lease) = put.lease {
            find_lease(db, lease)?;
        }
        let lease = put.lease.map(|lease| lease.0);
        write(
            db,
            "INSERT OR REPLACE INTO entry (key, value, mod_revision, lease) VALUES (?, ?, ?, ?)",
            params![put.key, put.value, next, lease],
        )?;
        write(
            db,
            "INSERT INTO change (revision, key, value, lease) VALUES (?, ?, ?, ?)",
            params![next, put.key, put.value, lease],
        )?;
        changed = true;
    }
    for key in &txn.deletes {
        changed |= delete(db, key, next)?;
    }
    finish(db, changed, current)
}

fn write(db: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<usize, StoreError> {
    db.prepare_cached(sql).and_then(|mut s| s.execute(values)).map_err(|e| classify(e, "transaction"))
}

fn delete(db: &Connection, key: &str, revision: Revision) -> Result<bool, StoreError> {
    let existed = write(db, "DELETE FROM entry WHERE key = ?", params![key])? > 0;
    if existed {
        write(db, "INSERT INTO change (revision, key) VALUES (?, ?)", params![revision, key])?;
    }
    Ok(existed)
}

fn finish(db: &Connection, changed: bool, current: Revision) -> Result<TxnOutcome, StoreError> {
    if !changed {
        return Ok(TxnOutcome::Committed { revision: current });
    }
    let revision = current + 1;
    write(db, "UPDATE counter SET value = ? WHERE name = 'revision'", params![revision])?;
    if revision % PAGE == 0 {
        compact(db, revision - KEPT)?;
    }
    Ok(TxnOutcome::Committed { revision })
}

/// Forgets history up to and including `through`.
pub(super) fn compact(db: &Connection, through: Revision) -> Result<(), StoreError> {
    let through = through.min(revision(db)?);
    write(db, "DELETE FROM change WHERE revision <= ?", params![through])?;
    write(db, "UPDATE counter SET value = max(value, ?) WHERE name = 'compacted'", params![through])?;
    Ok(())
}

/// What a watcher that has seen everything up to `after` reads next, and the revision it has then seen.
pub(super) fn since(
    db: &Connection,
    prefix: &str,
    after: Option<Revision>,
) -> Result<(Revision, Vec<WatchEvent>), StoreError> {
    let current = revision(db)?;
    let compacted = counter(db, "compacted")?;
    // A revision from the future means another file under the same name.
    let Some(after) = after.filter(|after| (compacted..=current).contains(after)) else {
        let listing = list(db, prefix)?;
        return Ok((listing.revision, vec![WatchEvent::Snapshot(listing)]));
    };
    let through = current.min(after + PAGE);
    let sql = "SELECT key, value, revision, lease FROM change
               WHERE revision > ? AND revision <= ? AND key >= ? AND key < ? ORDER BY revision, key";
    let change = |row: &Row<'_>| {
        let value: Option<Vec<u8>> = row.get(1)?;
        let change = if value.is_some() { Change::Put(entry(row)?) } else { Change::Delete(row.get(0)?) };
        Ok((row.get(2)?, change))
    };
    let rows: Vec<(Revision, Change)> = db
        .prepare_cached(sql)
        .and_then(|mut s| s.query_map(params![after, through, prefix, end_of(prefix)], change)?.collect())
        .map_err(|e| classify(e, "change log"))?;
    Ok((through, WatchEvent::by_revision(rows)))
}

pub(super) fn grant(db: &Connection, ttl_ms: i64, now: i64) -> Result<LeaseId, StoreError> {
    write(db, "INSERT INTO lease (ttl_ms, renewed_ms) VALUES (?, ?)", params![ttl_ms, now])?;
    Ok(LeaseId(db.last_insert_rowid()))
}

/// Fails unless the lease lives. Expired ones were swept earlier in the same transaction.
fn find_lease(db: &Connection, lease: LeaseId) -> Result<(), StoreError> {
    let found = db.prepare_cached("SELECT 1 FROM lease WHERE id = ?").and_then(|mut s| s.exists([lease.0]));
    if found.map_err(|e| classify(e, "lease"))? { Ok(()) } else { Err(StoreError::LeaseGone(lease)) }
}

pub(super) fn renew(db: &Connection, lease: LeaseId, now: i64) -> Result<(), StoreError> {
    find_lease(db, lease)?;
    write(db, "UPDATE lease SET renewed_ms = ? WHERE id = ?", params![now, lease.0]).map(|_| ())
}

/// Ends a lease and its keys, as one revision.
pub(super) fn revoke(db: &Connection, lease: LeaseId) -> Result<(), StoreError> {
    write(db, "DELETE FROM lease WHERE id = ?", params![lease.0])?;
    let keys: Vec<String> = db
        .prepare_cached("SELECT key FROM entry WHERE lease = ? ORDER BY key")
        .and_then(|mut s| s.query_map([lease.0], |row| row.get(0))?.collect())
        .map_err(|e| classify(e, "lease"))?;
    let current = revision(db)?;
    let mut changed = false;
    for key in keys {
        changed |= delete(db, &key, current + 1)?;
    }
    finish(db, changed, current).map(|_| ())
}

/// Leases that have run out at `now`.
pub(super) fn expired(db: &Connection, now: i64) -> Result<Vec<LeaseId>, StoreError> {
    let sql = "SELECT id FROM lease WHERE renewed_ms > ?1 OR renewed_ms + ttl_ms <= ?1";
    db.prepare_cached(sql)
        .and_then(|mut s| s.query_map([now], |row| row.get(0).map(LeaseId))?.collect())
        .map_err(|e| classify(e, "lease"))
}

/// When the next lease runs out.
pub(super) fn next_expiry(db: &Connection) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT min(renewed_ms + ttl_ms) FROM lease";
    db.prepare_cached(sql).and_then(|mut s| s.query_row([], |row| row.get(0))).map_err(|e| classify(e, "lease"))
}

/// Ends every lease that has run out, each as one revision.
pub(super) fn sweep(db: &Connection, now: i64) -> Result<(), StoreError> {
    expired(db, now)?.into_iter().try_for_each(|lease| revoke(db, lease))
}
