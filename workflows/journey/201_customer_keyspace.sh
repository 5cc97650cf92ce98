#!/usr/bin/env bash
# A second keyspace with servers of its own, beside the running one. It is empty.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" local add customer --dir "$CLUSTER"
wait_for "keyspace customer, at the gateway," 30 mysql -e 'SELECT 1' customer
mysql -e 'SHOW keyspaces'
