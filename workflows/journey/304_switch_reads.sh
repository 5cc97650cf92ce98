#!/usr/bin/env bash
# Replicas' reads go to the new shards.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" reshard switch-traffic -w cust2cust -k customer --tablet-types REPLICA,RDONLY
