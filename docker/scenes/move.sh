# The journey of MoveTables, under load, and what befalls the engines on the way. Sourced by docker/test.

shardlift_state() { [ "$(field state)" = "$1" ]; }

# Writes of both applications are going on, so that the scenes below mean something.
load_runs() {
    compose up -d load >/dev/null 2>&1
    wait_for "writes" 120 acknowledged_lately
    saw "$(($(date +%s) - 2))" --expect "$ANY"
}

engine_killed_while_copying() {
    local began died survivor
    began=$(now)
    shardlift movetables start -w commerce2customer --source-keyspace commerce --target-keyspace customer \
        --tables customer,corder --max-rows-per-second 3000 | sed 's/^/  /'
    wait_for "rows to be copied" 60 some_copied
    died=$(owner)
    [ "$(field state)" = Copying ]
    kill_hard "$died"
    survivor=engine$((3 - ${died#engine}))
    wait_for "$survivor to take over" 60 owned_by "$survivor"
    echo "  $died was killed, $survivor carries on"
    start_again "$died"
    saw "$began"
}

some_copied() { workflow | grep -q '"rows": [1-9]'; }

owned_by() { [ "$(owner)" = "$1" ]; }

engine_cut_off_from_the_target() {
    local began engine
    began=$(now)
    engine=$(owner)
    cut_off "$engine" customer-primary
    sleep 8
    mend "$engine"
    shardlift workflow update -w commerce2customer -k customer --max-rows-per-second 0 >/dev/null
    wait_for "the copy to end" 120 shardlift_state Running
    echo "  all rows are there, $(owner) follows"
    saw "$began"
}

engine_cut_off_from_etcd() {
    local began engine survivor
    began=$(now)
    engine=$(owner)
    survivor=engine$((3 - ${engine#engine}))
    cut_off "$engine" etcd1 etcd2 etcd3
    wait_for "$survivor to take over" 60 owned_by "$survivor"
    echo "  $survivor has taken over from $engine"
    mend "$engine"
    healthy "$engine"
    wait_for "following" 60 shardlift_state Running
    saw "$began"
}
