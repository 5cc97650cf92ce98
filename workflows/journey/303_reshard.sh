#!/usr/bin/env bash
# Every row is copied to the shard that will have it, and kept level.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" reshard start --workflow cust2cust --target-keyspace customer --source-shards 0 --target-shards -80,80- --wait running
"$SHARDLIFT" reshard status -w cust2cust -k customer
