//! What a statement that names no table asks of the connection it is run on. Pure.

use crate::gateway::sql::{Handler, Kind, Statement};

/// Whether a statement may run on any of the session's connections: nothing in it depends on the default database. What
/// is not known to be so follows the session's target.
pub(super) fn is_indifferent(statement: &Statement, sql: &[u8]) -> bool {
    let names_nothing = statement.certain
        && statement.tables.is_empty()
        && statement.qualifiers.is_empty()
        && statement.uses.database_function.is_empty();
    names_nothing
        && match &statement.kind {
            Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint
            | Kind::RollbackTo
            | Kind::ReleaseSavepoint => true,
            Kind::Begin { .. } | Kind::SetTransaction { .. } | Kind::SetRole | Kind::Xa(_) => true,
            Kind::Diagnostics | Kind::Signal | Kind::Execute { .. } | Kind::Deallocate { .. } => true,
            Kind::UnlockTables | Kind::UnlockInstance | Kind::Handler(Handler::Close) => true,
            Kind::Query | Kind::Do | Kind::Set(_) => calls_only_built_ins(sql),
            _ => false,
        }
}

/// Whether a statement that is [indifferent](is_indifferent) is about what the session has on a connection it keeps. Others
/// follow the target: `@@server_id` is asked of the server the session is aimed at.
pub(super) fn is_bound(statement: &Statement) -> bool {
    let uses = &statement.uses;
    uses.advisory_locks || uses.asks_for_locks || !matches!(statement.kind, Kind::Query | Kind::Do | Kind::Set(_))
}

/// Whether it asks for what the statement before it left on its connection.
pub(super) fn asks_back(statement: &Statement) -> bool {
    statement.kind == Kind::Diagnostics || statement.uses.previous_statement
}

/// Whether LAST_INSERT_ID() is all it asks back for, which can be told to another connection.
pub(super) fn asks_insert_id_only(statement: &Statement, sql: &[u8]) -> bool {
    const OTHERS: [&[u8]; 4] = [b"found_rows", b"row_count", b"warning_count", b"error_count"];
    let lower = sql.to_ascii_lowercase();
    statement.kind != Kind::Diagnostics
        && !OTHERS.iter().any(|other| lower.windows(other.len()).any(|window| window == *other))
}

/// Whether LAST_INSERT_ID() is among what it asks back for; in doubt it is.
pub(super) fn asks_insert_id(sql: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"last_insert_id", b"identity"];
    let lower = sql.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.windows(name.len()).any(|window| window == *name))
}

/// Whether a transaction that was begun need not begin on a server for this: it neither reads nor writes rows.
pub(super) fn begins_nothing(statement: &Statement, sql: &[u8]) -> bool {
    let autocommit = |kind: &Kind| match kind {
        Kind::Set(assignments) => assignments.iter().any(|one| one.name == "autocommit"),
        _ => false,
    };
    match &statement.kind {
        Kind::Query | Kind::Set(_) => is_indifferent(statement, sql) && !autocommit(&statement.kind),
        Kind::SetTransaction { .. } | Kind::Diagnostics => true,
        _ => false,
    }
}

/// Whether a statement within a transaction, outside SERIALIZABLE, does no more than read a snapshot, so that the transaction
/// could as well be begun anew before it.
pub(super) fn reads_snapshot(statement: &Statement, sql: &[u8]) -> bool {
    let uses = &statement.uses;
    let harmless = statement.certain && !uses.locking_read && !uses.into_outfile && !uses.advisory_locks;
    harmless
        && match &statement.kind {
            // A stored function may write.
            Kind::Query | Kind::Do | Kind::Set(_) => calls_only_built_ins(sql),
            Kind::Show(_) | Kind::Describe | Kind::Explain { analyze: false } | Kind::Diagnostics | Kind::Help => true,
            _ => false,
        }
}

/// Whether every word before a parenthesis is a function or keyword of MySQL's own.
fn calls_only_built_ins(sql: &[u8]) -> bool {
    sql.iter().enumerate().filter(|(_, byte)| **byte == b'(').all(|(at, _)| {
        let before = sql.get(..at).unwrap_or_default().trim_ascii_end();
        let word = before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80)
            .count();
        let word = before.get(before.len() - word..).unwrap_or_default();
        let quoted = before.last().is_some_and(|byte| b"`\"".contains(byte));
        !quoted && (word.is_empty() || BUILT_IN.split(' ').any(|known| known.as_bytes().eq_ignore_ascii_case(word)))
    })
}

/// MySQL's functions, and its keywords that may stand before a parenthesis. One that is missing here costs nothing but that
/// its statement follows the session's target.
const BUILT_IN: &str = "\
    ABS ACOS ADDDATE ADDTIME AES_DECRYPT AES_ENCRYPT ALL AND ANY ANY_VALUE AS ASCII ASIN ATAN ATAN2 AVG BENCHMARK \
    BETWEEN BIN BINARY BIN_TO_UUID BIT_AND BIT_COUNT BIT_LENGTH BIT_OR BIT_XOR BY CASE CAST CEIL CEILING CHAR \
    CHARACTER_LENGTH CHARSET CHAR_LENGTH COALESCE COERCIBILITY COLLATION COMPRESS CONCAT CONCAT_WS CONNECTION_ID \
    CONV CONVERT CONVERT_TZ COS COT COUNT CRC32 CUME_DIST CURDATE CURRENT_DATE CURRENT_ROLE CURRENT_TIME \
    CURRENT_TIMESTAMP CURRENT_USER CURTIME DATE DATEDIFF DATE_ADD DATE_FORMAT DATE_SUB DAY DAYNAME DAYOFMONTH \
    DAYOFWEEK DAYOFYEAR DECIMAL DEFAULT DEGREES DENSE_RANK DISTINCT DIV ELSE ELT EXISTS EXP EXPORT_SET EXTRACT \
    FIELD FIND_IN_SET FIRST_VALUE FLOOR FORMAT FORMAT_BYTES FOUND_ROWS FROM_BASE64 FROM_DAYS FROM_UNIXTIME \
    GET_FORMAT GET_LOCK GREATEST GROUPING GROUP_CONCAT GTID_SUBSET GTID_SUBTRACT HEX HOUR IF IFNULL IN INET6_ATON \
    INET6_NTOA INET_ATON INET_NTOA INSERT INSTR INTERVAL IS_FREE_LOCK IS_IPV4 IS_IPV6 IS_USED_LOCK IS_UUID ISNULL \
    JSON_ARRAY JSON_ARRAYAGG JSON_CONTAINS JSON_DEPTH JSON_EXTRACT JSON_KEYS JSON_LENGTH JSON_MERGE_PATCH \
    JSON_MERGE_PRESERVE JSON_OBJECT JSON_OBJECTAGG JSON_OVERLAPS JSON_PRETTY JSON_QUOTE JSON_REMOVE JSON_REPLACE \
    JSON_SEARCH JSON_SET JSON_TYPE JSON_UNQUOTE JSON_VALID JSON_VALUE LAG LAST_DAY LAST_INSERT_ID LAST_VALUE LCASE \
    LEAD LEAST LEFT LENGTH LIKE LN LOCALTIME LOCALTIMESTAMP LOCATE LOG LOG10 LOG2 LOWER LPAD LTRIM MAKEDATE \
    MAKETIME MAKE_SET MAX MD5 MEMBER MICROSECOND MID MIN MINUTE MOD MONTH MONTHNAME NOT NOW NTH_VALUE NTILE NULLIF \
    OCT OCTET_LENGTH OF OR ORD OVER PARTITION PERCENT_RANK PERIOD_ADD PERIOD_DIFF PI POSITION POW POWER \
    PS_CURRENT_THREAD_ID QUARTER QUOTE RADIANS RAND RANDOM_BYTES RANK REGEXP REGEXP_INSTR REGEXP_LIKE \
    REGEXP_REPLACE REGEXP_SUBSTR RELEASE_ALL_LOCKS RELEASE_LOCK REPEAT REPLACE REVERSE RIGHT RLIKE ROLES_GRAPHML \
    ROUND ROW ROW_COUNT ROW_NUMBER RPAD RTRIM SECOND SEC_TO_TIME SELECT SESSION_USER SHA SHA1 SHA2 SIGN SIN SLEEP \
    SOME SOUNDEX SPACE SQRT STATEMENT_DIGEST STD STDDEV STDDEV_POP STDDEV_SAMP STRCMP STR_TO_DATE SUBDATE SUBSTR \
    SUBSTRING SUBSTRING_INDEX SUBTIME SUM SYSDATE SYSTEM_USER TAN THEN TIME TIMEDIFF TIMESTAMP TIMESTAMPADD \
    TIMESTAMPDIFF TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_DAYS TO_SECONDS TRIM TRUNCATE UCASE UNCOMPRESS UNHEX UNION \
    UNIX_TIMESTAMP UPPER USER UTC_DATE UTC_TIME UTC_TIMESTAMP UUID UUID_SHORT UUID_TO_BIN VALUES VARIANCE VAR_POP \
    VAR_SAMP VERSION WEEK WEEKDAY WEEKOFYEAR WEIGHT_STRING WHEN WHERE XOR YEAR YEARWEEK";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::{SqlMode, analyze};

    #[test]
    fn what_depends_on_the_database_is_not_indifferent() {
        let is = |sql: &str| is_indifferent(&analyze(sql.as_bytes(), SqlMode::default()), sql.as_bytes());
        for sql in [
            "SELECT 1",
            "select NOW(), @x + abs (-1)",
            "COMMIT",
            "SET @x = (1)",
            "SHOW WARNINGS",
            "select get_lock('a', 1)",
        ] {
            assert!(is(sql), "{sql}");
        }
        for sql in [
            "SELECT f()",
            "SELECT database()",
            "SHOW TABLES",
            "CALL p()",
            "SELECT * FROM t",
            "SELECT `abs`(1)",
            "DO a.f()",
        ] {
            assert!(!is(sql), "{sql}");
        }
    }

    #[test]
    fn reading_a_snapshot_leaves_nothing_to_undo() {
        let reads = |sql: &str| reads_snapshot(&analyze(sql.as_bytes(), SqlMode::default()), sql.as_bytes());
        assert!(reads("SELECT COUNT(*) FROM t WHERE a IN (1, 2)") && reads("SHOW TABLES"));
        for sql in
            ["SELECT f(1)", "SELECT * FROM t FOR SHARE", "SELECT GET_LOCK('a', 1)", "SAVEPOINT a", "DELETE FROM t"]
        {
            assert!(!reads(sql), "{sql}");
        }
    }

    #[test]
    fn only_the_insert_id_can_be_told_elsewhere() {
        let only = |sql: &str| asks_insert_id_only(&analyze(sql.as_bytes(), SqlMode::default()), sql.as_bytes());
        assert!(only("SELECT LAST_INSERT_ID()"));
        assert!(!only("SELECT Row_Count(), LAST_INSERT_ID()"));
        assert!(!only("SHOW WARNINGS"));
        assert!(asks_insert_id(b"SELECT Row_Count(), LAST_INSERT_ID()") && asks_insert_id(b"SELECT @@identity"));
        assert!(!asks_insert_id(b"SELECT ROW_COUNT()"));
    }
}
