#!/usr/bin/env bash
# Writes follow, with one short pause. From here on changes flow back to commerce, so that `reverse-traffic` loses nothing.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" movetables switch-traffic -w commerce2customer -k customer --tablet-types PRIMARY
"$SHARDLIFT" movetables status -w commerce2customer -k customer
