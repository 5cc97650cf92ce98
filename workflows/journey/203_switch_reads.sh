#!/usr/bin/env bash
# Reads from replicas go to customer; writes, and reads from the primary, stay. First what would be done, then the deed.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" movetables switch-traffic -w commerce2customer -k customer --tablet-types REPLICA,RDONLY --dry-run
"$SHARDLIFT" movetables switch-traffic -w commerce2customer -k customer --tablet-types REPLICA,RDONLY
