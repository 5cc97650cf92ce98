#!/usr/bin/env bash
# Everything ends in order. The data stays in the journey's folder, unless --purge is given.
source "$(dirname "$0")/env.sh"

stop gateway
stop engine
"$SHARDLIFT" local down --dir "$CLUSTER"
if [ "${1:-}" = --purge ]; then
    rm -rf "$JOURNEY"
fi
