"""PyMySQL, pure Python, against the gateway: port, user, password, CA file, data file."""
import io
import ssl
import sys

import pymysql

port, user, password, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def connect(**options):
    plain = {"host": "127.0.0.1", "port": port, "user": user, "password": password, "ssl_disabled": "ssl" not in options}
    options = {**plain, "database": "commerce", **options}
    return pymysql.connect(**options)


def refused(code, work):
    try:
        work()
    except pymysql.MySQLError as error:
        assert error.args[0] == code, error
        return str(error)
    raise AssertionError(f"not refused with {code}")


def ok(name):
    print("ok", name, flush=True)


refused(1045, lambda: connect(password="wrong"))
refused(1045, lambda: connect(user="nobody"))
refused(1045, lambda: connect(password=""))
refused(1049, lambda: connect(database="nosuch"))
ok("refusals")

context = ssl.create_default_context(cafile=ca)
context.check_hostname = False
with connect(ssl=context) as db, db.cursor() as cursor:
    assert isinstance(db._sock, ssl.SSLSocket) and db._sock.version() in ("TLSv1.2", "TLSv1.3")
    cursor.execute("SELECT 6 * 7")
    assert cursor.fetchone() == (42,)
ok("tls")

with connect() as db, db.cursor() as cursor:
    assert not isinstance(db._sock, ssl.SSLSocket)
    assert db.server_version and db.thread_id()
    db.ping(reconnect=False)
    cursor.execute("SELECT DATABASE()")
    assert cursor.fetchone() == ("commerce",)
ok("plain")

with connect() as db, db.cursor() as cursor:
    text = "Привет 你好 שלום 😀 \\ ' \" \0 %"
    cursor.execute("CREATE TABLE pymysql_t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), b LONGBLOB)")
    cursor.execute("INSERT INTO pymysql_t (v, b) VALUES (%s, %s)", (text, bytes(range(256))))
    assert (cursor.rowcount, cursor.lastrowid) == (1, 1)
    db.commit()
    cursor.execute("SELECT v, b FROM pymysql_t WHERE v = %s", (text,))
    assert cursor.fetchone() == (text, bytes(range(256)))
ok("unicode")

with connect() as db, connect() as other, db.cursor() as cursor, other.cursor() as looking:
    other.autocommit(True)
    db.begin()
    cursor.executemany("INSERT INTO pymysql_t (v) VALUES (%s)", [(str(n),) for n in range(100)])
    looking.execute("SELECT COUNT(*) FROM pymysql_t")
    assert looking.fetchone() == (1,)
    db.rollback()
    cursor.execute("INSERT INTO pymysql_t (v) VALUES ('kept')")
    db.commit()
    looking.execute("SELECT COUNT(*) FROM pymysql_t")
    assert looking.fetchone() == (2,)
ok("transactions")

with connect() as db, db.cursor(pymysql.cursors.SSCursor) as cursor:
    cursor.execute("WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 1000) SELECT n, REPEAT('x', 20000) FROM up")
    total = 0
    for n, text in cursor:
        total += len(text)
    assert total == 20_000_000
ok("big result")

with connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as db, db.cursor() as cursor:
    cursor.execute("SELECT 1; SELECT 2; SELECT 'x;y'")
    seen = [cursor.fetchall()]
    while cursor.nextset():
        seen.append(cursor.fetchall())
    assert seen == [((1,),), ((2,),), (("x;y",),)], seen
ok("several statements")

with connect(local_infile=True) as db, db.cursor() as cursor:
    cursor.execute(f"LOAD DATA LOCAL INFILE '{sys.argv[5]}' INTO TABLE pymysql_t FIELDS TERMINATED BY ',' (id, v)")
    assert cursor.rowcount == 3, cursor.rowcount
    db.commit()
ok("load data local")

with connect(autocommit=True) as db, db.cursor() as cursor:
    cursor.execute("SHOW DATABASES")
    names = [name for (name,) in cursor.fetchall()]
    assert "commerce" in names and "customer" in names and "information_schema" in names, names
    cursor.execute("SHOW TABLES LIKE 'pymysql%'")
    assert cursor.fetchall() == (("pymysql_t",),)
    cursor.execute("SELECT v FROM pymysql_t WHERE id = 1")
    cursor.execute("use commerce@replica")
    cursor.execute("SELECT @@global.super_read_only")
    assert cursor.fetchone() == (1,)
    refused(1290, lambda: cursor.execute("INSERT INTO pymysql_t (v) VALUES ('no')"))
    cursor.execute("use `commerce@primary`")
    cursor.execute("SELECT @@global.super_read_only")
    assert cursor.fetchone() == (0,)
ok("targets and SHOW")
