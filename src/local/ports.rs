//! Loopback ports that nobody else will take.
//!
//! A free port found by binding to port 0 may be given to any outgoing connection while its server restarts. So ports
//! come from below the kernel's range for outgoing connections, and each is held by a lock file in the cache: neither
//! this process nor another shardlift of the same user gets it until the [`Port`] is dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use rand::Rng;

use super::{Cache, LocalError};

const LOWEST: u16 = 10_000;
/// Below this there would be too few ports under the kernel's range, and the whole upper range is used.
const WORTHWHILE: u16 = 12_000;

/// A port number, and the lock that keeps it ours. Clones share the lock.
#[derive(Debug, Clone)]
pub struct Port {
    number: u16,
    _lock: Option<Arc<File>>,
}

impl Port {
    /// A port the user chose: not locked, and not checked before its server binds it.
    pub fn fixed(number: u16) -> Self {
        Self { number, _lock: None }
    }

    /// The port number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Where ports are taken from.
#[derive(Debug, Clone)]
pub struct Ports {
    locks: PathBuf,
    low: u16,
    high: u16,
}

impl Ports {
    /// Ports locked in this cache.
    pub fn open(cache: &Cache) -> Result<Self, LocalError> {
        let outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let (low, high) = usable(&outgoing);
        Ok(Self { locks: cache.folder("ports")?, low, high })
    }

    /// A free port of 127.0.0.1. Starts at a random place, so that users with caches of their own rarely meet.
    pub fn lease(&self) -> Result<Port, LocalError> {
        let start = rand::rng().random_range(self.low..=self.high);
        for number in (start..=self.high).chain(self.low..start) {
            if let Some(port) = self.claim(number)? {
                return Ok(port);
            }
        }
        Err(LocalError::NoPort { low: self.low, high: self.high })
    }

    /// The port a server had before, if it is still free; else another one. 0 for a server that never had one.
    pub fn claim_or_lease(&self, number: u16) -> Result<Port, LocalError> {
        let former = if number == 0 { None } else { self.claim(number)? };
        former.map_or_else(|| self.lease(), Ok)
    }

    fn claim(&self, number: u16) -> Result<Option<Port>, LocalError> {
        let path = self.locks.join(number.to_string());
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(LocalError::io("open", &path))?;
        let free = file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then(|| Port { number, _lock: Some(Arc::new(file)) }))
    }
}

/// The range to use, given the kernel's range of outgoing ports ("32768\t60999").
fn usable(outgoing: &str) -> (u16, u16) {
    match outgoing.split_whitespace().next().and_then(|low| low.parse::<u16>().ok()) {
        Some(low) if low > WORTHWHILE => (LOWEST, low - 1),
        _ => (LOWEST, u16::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_lie_below_the_outgoing_range() {
        assert_eq!(usable("32768\t60999\n"), (10_000, 32_767));
        assert_eq!(usable("1024 65535"), (10_000, 65_535));
        assert_eq!(usable(""), (10_000, 65_535));
    }

    #[test]
    fn a_leased_port_is_not_given_twice_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(folder.path())).unwrap();
        let one = Ports { low: 10_000, high: 32_000, ..Ports::open(&cache).unwrap() }.lease().unwrap();
        let only = Ports { low: one.number(), high: one.number(), ..Ports::open(&cache).unwrap() };
        assert!(matches!(only.lease(), Err(LocalError::NoPort { .. })));
        drop(one);
        assert!(only.lease().is_ok());
    }
}
