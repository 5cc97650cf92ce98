#!/usr/bin/env bash
# Two more shards for customer, with servers of their own. They serve nothing yet.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" local add customer/-80 customer/80- --dir "$CLUSTER"
"$SHARDLIFT" shard list customer
