#!/usr/bin/env bash
# Keyspace customer is declared to be sharded by customer_id, though one shard still has it all. Sequences in commerce number
# its rows from here on, beginning above what is there; only then do the tables lose their AUTO_INCREMENT.
source "$(dirname "$0")/env.sh"

"$SHARDLIFT" schema apply --sql-file "$STEPS/customer_sequences.sql" commerce
for sequence in customer_seq:customer:customer_id order_seq:corder:order_id; do
    IFS=: read -r name table column <<<"$sequence"
    next=$(mysql -N -e "SELECT COALESCE(MAX($column), 0) + 1000 FROM $table" customer)
    mysql -e "INSERT INTO $name (id, next_id, cache) VALUES (0, $next, 100)" commerce
done
"$SHARDLIFT" vschema apply --vschema-file "$STEPS/vschema_commerce_seq.json" commerce
"$SHARDLIFT" vschema apply --vschema-file "$STEPS/vschema_customer_sharded.json" customer
"$SHARDLIFT" schema apply --sql-file "$STEPS/customer_sharded.sql" customer
