#!/usr/bin/env bash
# For good: the way back is gone.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" reshard complete -w cust2cust -k customer
mysql --table -e 'SELECT COUNT(*) AS orders FROM corder' customer
mysql --table -e 'SELECT COUNT(*) AS orders FROM corder' 'customer:-80'
mysql --table -e 'SELECT COUNT(*) AS orders FROM corder' 'customer:80-'
