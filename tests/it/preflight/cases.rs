//! What provokes each refusal, and what takes it back.

#[derive(Clone, Copy, PartialEq)]
pub(super) enum On {
    Source,
    Target,
}
use On::{Source, Target};

/// What provokes a refusal, and what takes it back. `{s}`, `{t}` and `{o}` stand for the schemas.
pub(super) struct Case {
    pub(super) check: &'static str,
    pub(super) on: On,
    pub(super) make: &'static [&'static str],
    pub(super) undo: &'static [&'static str],
    pub(super) tables: &'static [&'static str],
}

const fn case(check: &'static str, on: On, make: &'static [&'static str], undo: &'static [&'static str]) -> Case {
    Case { check, on, make, undo, tables: &["t"] }
}

/// Refusals that SET GLOBAL and the like provoke; all together in one run, too.
pub(super) const SETTINGS: [Case; 10] = [
    case("binlog-format", Source, &["SET GLOBAL binlog_format = MIXED"], &["SET GLOBAL binlog_format = ROW"]),
    case(
        "binlog-row-image",
        Source,
        &["SET GLOBAL binlog_row_image = NOBLOB"],
        &["SET GLOBAL binlog_row_image = FULL"],
    ),
    case(
        "binlog-partial-json",
        Source,
        &["SET GLOBAL binlog_row_value_options = PARTIAL_JSON"],
        &["SET GLOBAL binlog_row_value_options = ''"],
    ),
    case("durability", Source, &["SET GLOBAL sync_binlog = 0"], &["SET GLOBAL sync_binlog = 1"]),
    case(
        "retention",
        Source,
        &["SET GLOBAL binlog_expire_logs_seconds = 60"],
        &["SET GLOBAL binlog_expire_logs_seconds = 2592000"],
    ),
    case("gtid-mode", Target, &["SET GLOBAL gtid_mode = ON_PERMISSIVE"], &["SET GLOBAL gtid_mode = ON"]),
    case(
        "max-allowed-packet",
        Target,
        &["SET GLOBAL max_allowed_packet = 1048576"],
        &["SET GLOBAL max_allowed_packet = 134217728"],
    ),
    case(
        "channel-into-primary",
        Source,
        &[
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x' FOR CHANNEL 'c'",
            "START REPLICA IO_THREAD FOR CHANNEL 'c'",
        ],
        &["STOP REPLICA FOR CHANNEL 'c'", "RESET REPLICA ALL FOR CHANNEL 'c'"],
    ),
    case(
        "group-replication",
        Target,
        &[
            "INSTALL PLUGIN group_replication SONAME 'group_replication.so'",
            "SET GLOBAL group_replication_single_primary_mode = OFF",
        ],
        &["UNINSTALL PLUGIN group_replication"],
    ),
    // Last: nothing else can be done there then.
    case(
        "read-only",
        Target,
        &["SET GLOBAL super_read_only = ON"],
        &["SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"],
    ),
];

/// Refusals that tables and other objects provoke, one at a time.
pub(super) const OBJECTS: [Case; 26] = [
    case(
        "replication-filter",
        Target,
        &[
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1 FOR CHANNEL 'f'",
            "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('\\_shardlift.%') FOR CHANNEL 'f'",
        ],
        &[
            "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = () FOR CHANNEL 'f'",
            "RESET REPLICA ALL FOR CHANNEL 'f'",
        ],
    ),
    case(
        "prepared-xa",
        Source,
        &[
            "XA START 'pf', 'b', 7",
            "INSERT INTO {s}.t VALUES (99, 'x')",
            "XA END 'pf', 'b', 7",
            "XA PREPARE 'pf', 'b', 7",
        ],
        &["XA ROLLBACK 'pf', 'b', 7"],
    ),
    Case { tables: &["absent"], ..case("missing-table", Source, &[], &[]) },
    Case {
        tables: &["m"],
        ..case("engine", Source, &["CREATE TABLE {s}.m (id INT PRIMARY KEY) ENGINE = MyISAM"], &["DROP TABLE {s}.m"])
    },
    Case { tables: &["v"], ..case("not-a-table", Source, &["CREATE VIEW {s}.v AS SELECT 1"], &["DROP VIEW {s}.v"]) },
    Case {
        tables: &["k"],
        ..case(
            "missing-key",
            Source,
            &["CREATE TABLE {s}.k (a INT UNIQUE, b TEXT NOT NULL, UNIQUE KEY (b(9)), c INT AS (a) STORED UNIQUE)"],
            &["DROP TABLE {s}.k"],
        )
    },
    Case {
        tables: &["z"],
        ..case(
            "zoned-generated",
            Source,
            &["CREATE TABLE {s}.z (id INT PRIMARY KEY, ts TIMESTAMP, d DATE AS (DATE(ts)) STORED)"],
            &["DROP TABLE {s}.z"],
        )
    },
    case(
        "foreign-key-out",
        Source,
        &[
            "CREATE TABLE {s}.p (id INT PRIMARY KEY)",
            "INSERT INTO {s}.p VALUES (1)",
            "ALTER TABLE {s}.t ADD CONSTRAINT fo FOREIGN KEY (id) REFERENCES {s}.p (id)",
        ],
        &["ALTER TABLE {s}.t DROP FOREIGN KEY fo", "DROP TABLE {s}.p"],
    ),
    case(
        "foreign-key-in",
        Source,
        &["CREATE TABLE {o}.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {s}.t (id))"],
        &["DROP TABLE {o}.c"],
    ),
    case(
        "trigger-on-table",
        Source,
        &["CREATE TRIGGER {s}.tr BEFORE INSERT ON {s}.t FOR EACH ROW SET NEW.v = 'x'"],
        &["DROP TRIGGER {s}.tr"],
    ),
    case(
        "program-names-table",
        Source,
        &[
            "CREATE TABLE {o}.a (id INT)",
            "CREATE TRIGGER {o}.tr AFTER INSERT ON {o}.a FOR EACH ROW INSERT INTO {s}.t VALUES (NEW.id, '')",
        ],
        &["DROP TABLE {o}.a"],
    ),
    case("program-names-table", Source, &["CREATE PROCEDURE {s}.pr() DELETE FROM t"], &["DROP PROCEDURE {s}.pr"]),
    case(
        "program-names-table",
        Source,
        &["CREATE FUNCTION {o}.fu() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM `{s}`.`t`)"],
        &["DROP FUNCTION {o}.fu"],
    ),
    case(
        "program-names-table",
        Source,
        &["CREATE EVENT {o}.ev ON SCHEDULE EVERY 1 YEAR DISABLE DO INSERT INTO {s}.t VALUES (1, '')"],
        &["DROP EVENT {o}.ev"],
    ),
    case("program-names-table", Source, &["CREATE VIEW {o}.vi AS SELECT * FROM {s}.t"], &["DROP VIEW {o}.vi"]),
    case(
        "target-not-empty",
        Target,
        &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO {t}.t VALUES (1, '')"],
        &["DROP TABLE {t}.t"],
    ),
    case(
        "target-differs",
        Target,
        &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_bin)"],
        &["DROP TABLE {t}.t"],
    ),
    case(
        "target-differs",
        Target,
        &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20) UNIQUE)"],
        &["DROP TABLE {t}.t"],
    ),
    case(
        "trigger-on-table",
        Target,
        &[
            "CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TRIGGER {t}.tr BEFORE INSERT ON {t}.t FOR EACH ROW SET NEW.v = 'x'",
        ],
        &["DROP TABLE {t}.t"],
    ),
    case("target-name", Target, &["CREATE VIEW {t}.t AS SELECT 1"], &["DROP VIEW {t}.t"]),
    Case {
        tables: &["ck"],
        ..case(
            "constraint-name",
            Target,
            &["CREATE TABLE {t}.z (id INT, CONSTRAINT ck_1 CHECK (id > 0))"],
            &["DROP TABLE {t}.z"],
        )
    },
    Case {
        tables: &["uk"],
        ..case(
            "target-requires-primary-key",
            Target,
            &["SET GLOBAL sql_require_primary_key = ON"],
            &["SET GLOBAL sql_require_primary_key = OFF"],
        )
    },
    // What must not be refused: the same findings' innocent neighbours.
    case("", Source, &["CREATE PROCEDURE {o}.pr() DELETE FROM t"], &["DROP PROCEDURE {o}.pr"]),
    case("", Target, &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20), KEY (v))"], &["DROP TABLE {t}.t"]),
    Case {
        tables: &["t", "ch"],
        ..case(
            "",
            Source,
            &["CREATE TABLE {s}.ch (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {s}.t (id) ON DELETE CASCADE)"],
            &["DROP TABLE {s}.ch"],
        )
    },
    Case {
        tables: &["ai"],
        ..case(
            "",
            Source,
            &["CREATE TABLE {s}.ai (id INT AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO {s}.ai VALUES ()"],
            &["DROP TABLE {s}.ai"],
        )
    },
];
