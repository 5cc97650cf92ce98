# Keyspace customer is sharded while its applications write; the scenes of move.sh do the rest. Sourced by docker/test.

# The steps of workflows/journey/301: numbers come from sequences, and only then no server makes its own.
a_keyspace_is_declared_sharded() {
    local began next
    began=$(now)
    shardlift schema apply commerce --sql-file /journey/customer_sequences.sql >/dev/null
    for next in customer_seq:1000000 order_seq:1000000; do
        operator /app/sql gateway1 commerce "INSERT INTO ${next%:*} (id, next_id, cache) VALUES (0, ${next#*:}, 1000)"
    done
    shardlift vschema apply commerce --vschema-file /journey/vschema_commerce_seq.json >/dev/null
    shardlift vschema apply customer --vschema-file /journey/vschema_customer_sharded.json >/dev/null
    wait_for "gateways to number orders" 30 numbered_by_sequence
    # By one of them, and soon by the other.
    sleep 5
    shardlift schema apply customer --sql-file /journey/customer_sharded.sql >/dev/null
    sleep 3
    saw "$began"
}

numbered_by_sequence() { [ "$(operator /app/sql customer-primary customer 'SELECT MAX(order_id) >= 1000000 FROM corder')" = 1 ]; }

# Servers of their own, which serve nothing yet: as many as the shard has that they will replace.
shards_are_added() {
    local began shard name range uid
    began=$(now)
    compose up -d customer-{low,high}-{primary,replica} >"$LOGS/up.log" 2>&1
    for shard in low:-80:210 high:80-:220; do
        IFS=: read -r name range uid <<<"$shard"
        healthy "customer-$name-primary"
        healthy "customer-$name-replica"
        shardlift shard add "customer/$range" >/dev/null
        tablet "$uid" PRIMARY "customer-$name-primary"
        tablet "$((uid + 1))" REPLICA "customer-$name-replica"
    done
    shardlift shard list customer | sed 's/^/  /'
    saw "$began"
}

# tablet UID TYPE HOST: of the shard at hand.
tablet() { shardlift tablet add "zone1-$1" --keyspace customer --shard="$range" --type "$2" --mysql "$3:3306" >/dev/null; }
