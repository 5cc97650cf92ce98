#!/usr/bin/env bash
# Writes follow, with one short pause. From here on changes flow back to the old shard, so that `reverse-traffic` loses nothing.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" reshard switch-traffic -w cust2cust -k customer --tablet-types PRIMARY
"$SHARDLIFT" shard list customer
