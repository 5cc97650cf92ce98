#!/usr/bin/env bash
# A cluster with one unsharded keyspace, commerce: a primary and a replica, an engine, a gateway.
source "$(dirname "$0")/env.sh"
mkdir -p "$JOURNEY"

"$SHARDLIFT" local up --dir "$CLUSTER" --keyspaces commerce --replicas 1 --background
start engine "$SHARDLIFT" engine run
start gateway "$SHARDLIFT" gateway run --listen "127.0.0.1:$PORT"
wait_for "the gateway" 30 mysql -e 'SELECT 1'

mysql -e 'SHOW vitess_tablets'
