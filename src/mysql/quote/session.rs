//! What every session of the data path sets before its first statement.
//!
//! Reasons, in order of the statements: values travel as bytes; TIMESTAMP in UTC; 0 is a value for AUTO_INCREMENT, zero and
//! invalid dates pass, everything else that does not fit is an error; rows arrive in any order, so no foreign key may be
//! checked and none may cascade; nothing the server's defaults set may cut a statement short or filter its result.

/// The sql_mode of the data path.
pub const SQL_MODE: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,STRICT_ALL_TABLES";

/// The same without strictness: the only way to store an ENUM's error value (index 0) by value.
pub const LENIENT_SQL_MODE: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES";

/// For sessions that write rows. One statement.
///
/// `transaction_isolation`: READ COMMITTED takes no gap locks, so that parallel chunks and batches do not deadlock.
/// `unique_checks` stays on: turned off, InnoDB may let a duplicate into a secondary unique key.
pub const WRITER_SESSION: &str = "SET NAMES binary, time_zone = '+00:00', \
     sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,STRICT_ALL_TABLES', \
     foreign_key_checks = 0, unique_checks = 1, transaction_isolation = 'READ-COMMITTED', \
     innodb_lock_wait_timeout = 10, lock_wait_timeout = 30, autocommit = 1, sql_safe_updates = 0, \
     range_optimizer_max_mem_size = 0, wait_timeout = 86400, net_read_timeout = 600, net_write_timeout = 600";

/// For sessions that read chunks. One statement.
pub const READER_SESSION: &str = "SET NAMES binary, time_zone = '+00:00', \
     sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,STRICT_ALL_TABLES', \
     transaction_isolation = 'READ-COMMITTED', lock_wait_timeout = 30, autocommit = 1, sql_safe_updates = 0, \
     max_execution_time = 0, sql_select_limit = DEFAULT, max_join_size = DEFAULT, sql_big_selects = 1, \
     range_optimizer_max_mem_size = 0, wait_timeout = 86400, net_read_timeout = 600, net_write_timeout = 600";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sessions_use_the_mode() {
        for session in [WRITER_SESSION, READER_SESSION] {
            assert!(session.contains(&format!("sql_mode = '{SQL_MODE}'")));
        }
        assert_eq!(SQL_MODE.replace(",STRICT_ALL_TABLES", ""), LENIENT_SQL_MODE);
    }
}
