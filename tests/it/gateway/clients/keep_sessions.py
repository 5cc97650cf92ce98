"""What a session has set and left behind is there for its next statement, and for nobody else's: port, user, password."""
import sys

import pymysql
from pymysql.constants import CLIENT

port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def connect(**options):
    plain = {"host": "127.0.0.1", "port": port, "user": user, "password": password, "database": "commerce"}
    return pymysql.connect(**{**plain, "autocommit": True, **options})


def rows(cursor, sql):
    cursor.execute(sql)
    return cursor.fetchall()


def same(seen, wanted):
    assert seen == wanted, f"{seen} instead of {wanted}"


one = connect().cursor()
for keyspace in ("commerce", "customer"):
    one.execute(f"use {keyspace}")
    one.execute("drop table if exists kept")
    one.execute("create table kept (id int auto_increment primary key, v varchar(20))")
    one.execute("drop procedure if exists where_am_i")
    one.execute(f"create procedure where_am_i () select '{keyspace}', @who")
one.execute("alter table customer.kept auto_increment = 700")
one.execute("use commerce")

# LAST_INSERT_ID in a transaction whose connection did not come from the pool as the session's last one: nothing is lost.
for turn in range(20):
    client = connect().cursor()
    client.execute("begin")
    client.execute("insert into kept (v) values ('first')")
    client.execute("insert into kept (v) values (last_insert_id())")
    client.execute("commit")
    client.connection.close()
same(rows(one, "select count(*) from kept"), ((40,),))

# The last statement's id, whichever tablet that was.
one.execute("insert into commerce.kept (v) values ('a')")
one.execute("insert into customer.kept (v) values ('b')")
same(rows(one, "select last_insert_id()"), ((700,),))
one.execute("insert into commerce.kept (v) values (last_insert_id())")
same(rows(one, "select v from commerce.kept order by id desc limit 1"), (("700",),))

# Procedures and DATABASE() follow the target, with user variables the text does not name.
client = connect().cursor()
client.execute("set @who = 'bob'")
client.execute("use customer")
same(rows(client, "call where_am_i()"), (("customer", "bob"),))
same(rows(client, "select database()"), (("customer",),))

# A transaction begins where its first table is.
client = connect().cursor()
client.execute("set transaction isolation level read committed")
client.execute("begin")
rows(client, "select 1, now()")
client.execute("insert into customer.kept (v) values ('x')")
client.execute("commit")

# A procedure that fails with its transaction open.
one.execute("drop procedure if exists fails")
one.execute("create procedure fails () begin start transaction; insert into kept (v) values ('kept'); signal sqlstate '45000'; end")
client = connect().cursor()
try:
    client.execute("call fails()")
except pymysql.MySQLError:
    pass
client.execute("commit")
client.execute("rollback")
same(rows(one, "select count(*) from kept where v = 'kept'"), ((1,),))

# What a procedure leaves behind is its session's.
one.execute("drop procedure if exists leaves")
one.execute("create procedure leaves () begin set sql_mode = ''; create temporary table kept2 (a int); set @left = 3; do get_lock('kept', 1); end")
client = connect()
client.cursor().execute("call leaves()")
others = [connect().cursor() for _ in range(10)]
assert all(rows(other, "select @left, is_used_lock('kept') = connection_id()")[0] in ((None, 0),) for other in others)
client.close()

# Several statements: texts are read as the session says by then, and KILL has one reply.
several = connect(client_flag=CLIENT.MULTI_STATEMENTS).cursor()
several.execute("set sql_mode = 'NO_BACKSLASH_ESCAPES'; select 'a\\'; select 2")
while several.nextset():
    pass
same(rows(several, "select 8"), ((8,),))
several.execute(f"kill query {one.connection.thread_id()}; select 7")
several.nextset()
same(several.fetchall(), ((7,),))
same(rows(several, "select 9"), ((9,),))
print("ok sessions keep what is theirs", flush=True)
