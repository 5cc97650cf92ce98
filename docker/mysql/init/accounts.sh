#!/usr/bin/env bash
# Run once by the image's entrypoint, as a program, before the server listens: the accounts, the keyspace's schema, and, on a replica,
# where its primary is. Nothing of it is written to the binlog: it would be an errant transaction on a replica.
set -euo pipefail

secret() { cat "/mysql-secrets/$1"; }

read_only=
if [ -n "${SHARDLIFT_REPLICA_OF:-}" ]; then
    read_only="CHANGE REPLICATION SOURCE TO SOURCE_HOST = '$SHARDLIFT_REPLICA_OF', SOURCE_USER = 'replication',
            SOURCE_PASSWORD = '$(secret replication)', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1,
            SOURCE_RETRY_COUNT = 1000000;
        SET PERSIST_ONLY super_read_only = ON;"
fi

MYSQL_PWD=$(secret root) mysql --protocol=socket --user=root <<SQL
    SET sql_log_bin = 0;
    CREATE DATABASE IF NOT EXISTS $SHARDLIFT_DATABASE;
    CREATE USER shardlift@'%' IDENTIFIED BY '$(secret shardlift)';
    GRANT ALL ON *.* TO shardlift@'%' WITH GRANT OPTION;
    CREATE USER replication@'%' IDENTIFIED BY '$(secret replication)';
    GRANT REPLICATION SLAVE ON *.* TO replication@'%';
    CREATE USER app@'%' IDENTIFIED BY '$(secret app)';
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES
        ON *.* TO app@'%';
    $read_only
SQL
