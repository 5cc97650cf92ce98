#!/usr/bin/env bash
# The shop's tables and its first rows, through the gateway.
source "$(dirname "$0")/env.sh"

mysql commerce <"$STEPS/commerce_schema.sql"
mysql commerce <"$STEPS/commerce_data.sql"
mysql --table commerce <"$STEPS/select_shop.sql"
