"""mysql-connector-python, pure or over libmysqlclient's C code: port, user, password, CA file, data file, pure|c."""
import sys

import mysql.connector
from mysql.connector import errors

port, user, password, ca, pure = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[6] == "pure"
if not pure:
    import _mysql_connector  # its absence would silently mean the pure one


def connect(**options):
    options = {
        "host": "127.0.0.1", "port": port, "user": user, "password": password, "database": "commerce",
        "use_pure": pure, "ssl_disabled": True, **options,
    }
    return mysql.connector.connect(**options)


def refused(code, work):
    try:
        work()
    except errors.Error as error:
        assert error.errno == code, error
        return str(error)
    raise AssertionError(f"not refused with {code}")


def ok(name):
    print("ok", name, flush=True)


def value(db, sql):
    with db.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()[0][0]


# The C library sends a password only over TLS; in clear it can do no more than prove one that is cached.
TLS = {"ssl_disabled": False, "ssl_ca": ca, "ssl_verify_cert": True}
with connect(**TLS) as db:
    assert db.is_secure if pure else db._cmysql.get_ssl_cipher()
    assert value(db, "SELECT 6 * 7") == 42
ok("tls")

for way in [TLS] + ([{}] if pure else []):
    refused(1045, lambda: connect(password="wrong", **way))
    refused(1049, lambda: connect(database="nosuch", **way))
ok("refusals")

table = "connector_pure" if pure else "connector_c"
with connect(autocommit=True) as db:
    with db.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), d DATETIME(6), n DECIMAL(20,5), f DOUBLE, b BLOB)")
    with db.cursor(prepared=True) as cursor:
        import datetime
        import decimal

        insert = f"INSERT INTO {table} (v, d, n, f, b) VALUES (?, ?, ?, ?, ?)"
        rows = [
            ("Привет 😀", datetime.datetime(2024, 2, 29, 1, 2, 3, 456789), decimal.Decimal("12345.67890"), 1.5, b"\x00\xff"),
            (None, None, None, None, None),
        ]
        for row in rows:
            cursor.execute(insert, row)
        select = f"SELECT v, d, n, f, b FROM {table} WHERE id = ?"
        for number, row in enumerate(rows, 1):
            cursor.execute(select, (number,))
            seen = tuple(bytes(one) if isinstance(one, bytearray) else one for one in cursor.fetchone())
            assert seen == row, (seen, row)
            assert cursor.fetchall() == []
ok("prepared statements")

with connect() as db, connect(autocommit=True) as other:
    db.start_transaction(isolation_level="READ COMMITTED")
    with db.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} (v) VALUES ('a')")
    assert db.in_transaction
    assert value(other, f"SELECT COUNT(*) FROM {table}") == 2
    db.rollback()
    assert not db.in_transaction
    db.start_transaction()
    with db.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} (v) VALUES ('b')")
    db.commit()
    assert value(other, f"SELECT COUNT(*) FROM {table}") == 3
ok("transactions")

with connect(**TLS) as db:
    with db.cursor() as cursor:
        cursor.execute("SET @x = 5, time_zone = '+09:00'")
    assert value(db, "SELECT @x") == 5
    db.cmd_change_user(user, password, "commerce")
    assert value(db, "SELECT @x") is None
    assert value(db, "SELECT @@time_zone") != "+09:00"
    with db.cursor() as cursor:
        cursor.execute("SET @x = 6")
    db.cmd_reset_connection()
    assert value(db, "SELECT @x") is None
    refused(1045, lambda: db.cmd_change_user(user, "wrong", "commerce"))
    try:
        value(db, "SELECT 1")
    except errors.Error:
        pass
    else:
        raise AssertionError("the connection goes on after a wrong password")
ok("change user")

with connect() as db, db.cursor() as cursor:
    cursor.execute("WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 1000) SELECT n, REPEAT('x', 20000) FROM up")
    assert sum(len(text) for _, text in cursor) == 20_000_000
ok("big result")

with connect(autocommit=True) as db, db.cursor() as cursor:
    cursor.execute(f"CREATE PROCEDURE {table}_p (IN a INT, OUT b INT) BEGIN SELECT a; SELECT a + 1; SET b = a + 2; END")
    assert cursor.callproc(f"{table}_p", (1, 0))[1] == 3
    assert [result.fetchall() for result in cursor.stored_results()] == [[(1,)], [(2,)]]
ok("procedures")

with connect(allow_local_infile=True, autocommit=True) as db, db.cursor() as cursor:
    cursor.execute(f"LOAD DATA LOCAL INFILE '{sys.argv[5]}' INTO TABLE {table} FIELDS TERMINATED BY ',' (id, v)")
    assert cursor.rowcount == 3, cursor.rowcount
ok("load data local")

with connect(autocommit=True) as db, db.cursor() as cursor:
    cursor.execute("SHOW DATABASES")
    names = [name for (name,) in cursor.fetchall()]
    assert "commerce" in names and "customer" in names, names
    cursor.execute("USE commerce@replica")
    cursor.execute("SELECT @@global.super_read_only")
    assert cursor.fetchall() == [(1,)]
    refused(1290, lambda: cursor.execute(f"DELETE FROM {table}"))
ok("targets and SHOW")
