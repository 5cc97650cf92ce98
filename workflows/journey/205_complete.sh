#!/usr/bin/env bash
# For good: the old tables are renamed to _<table>_old, the way back and the rules are gone. Statements now have to name
# customer; those that still say commerce.corder are told that there is no such table.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" movetables complete -w commerce2customer -k customer
mysql --table -e 'SELECT COUNT(*) AS orders FROM corder' customer
mysql --table -e 'SHOW TABLES' commerce
