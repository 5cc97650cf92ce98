#!/usr/bin/env bash
# The old shard is forgotten; its servers go with the cluster.
source "$(dirname "$0")/env.sh"

for alias in $("$SHARDLIFT" tablet list | awk '$2 == "customer" && $3 == "0" { print $1 }'); do
    "$SHARDLIFT" tablet remove --allow-primary "$alias"
done
"$SHARDLIFT" shard remove customer/0
"$SHARDLIFT" shard list customer
