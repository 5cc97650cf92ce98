#!/usr/bin/env bash
# Customers and their orders are copied to customer, and kept level. Applications see nothing of it: both names of a table
# lead to where it still is.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" movetables start -f "$STEPS/../commerce2customer.yaml" --wait running
"$SHARDLIFT" movetables status -w commerce2customer -k customer
