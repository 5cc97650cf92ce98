# A journey under load, and what befalls the engines on the way: MoveTables first, then Reshard. Sourced by docker/test.

# journey NOUN WORKFLOW OLD NEW FLAG…: what the scenes from here on are about. OLD and NEW are places as /app/check has them.
journey() {
    NOUN=$1 WORKFLOW=$2 OLD=$3 NEW=$4
    START=("${@:5}")
    echo "$NOUN, $OLD to $NEW:"
}

in_state() { [ "$(field state)" = "$1" ]; }

# Writes of both applications are going on, so that the scenes below mean something.
load_runs() {
    compose up -d shop load >"$LOGS/up.log" 2>&1
    wait_for "writes" 120 acknowledged_lately
    saw "$(($(date +%s) - 2))" --expect "$ANY"
}

engine_killed_while_copying() {
    local began died survivor
    began=$(now)
    shardlift "$NOUN" start -w "$WORKFLOW" --target-keyspace customer "${START[@]}" --max-rows-per-second 1500 | sed 's/^/  /'
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

copied() { workflow | awk -F'[:,]' '/^ *"rows": /{ rows += $2 } END { print rows }'; }

engine_cut_off_from_the_target() {
    local began engine rows
    began=$(now)
    engine=$(owner)
    [ "$(field state)" = Copying ]
    cut_off "$engine" "${NEW%%/*}"
    # What was on its way is there, or is not.
    sleep 4
    rows=$(copied)
    sleep 6
    [ "$(copied)" = "$rows" ]
    mend "$engine"
    echo "  the copy stood still at $rows rows"
    shardlift workflow update -w "$WORKFLOW" -k customer --max-rows-per-second none >/dev/null
    wait_for "the copy to end" 240 in_state Running
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
    wait_for "following" 60 in_state Running
    saw "$began"
}

# switch_held POINT: a switch of writes that stands still at that point of its plan, until somebody does something about it.
switch_held() {
    operator sh -c "rm -f /points/held; echo '$1=hold:/points/held' >/points/armed"
    shardlift "$NOUN" switch-traffic -w "$WORKFLOW" -k customer >"$LOGS/switch.log" 2>&1 &
    SWITCH=$!
    wait_for "the switch to be at $1" 60 operator test -e /points/held
}

# engine_killed_in_a_switch POINT EXIT PLACE: held there; how the switch must end, and where writes must then be taken.
engine_killed_in_a_switch() {
    local began died ended=0
    began=$(now)
    switch_held "$1"
    died=$(owner)
    kill_hard "$died"
    wait_for "writes" 60 acknowledged_lately
    wait "$SWITCH" || ended=$?
    echo "  $died was killed; the switch ended with $ended: $(tail -n 1 "$LOGS/switch.log")"
    [ $ended = "$2" ]
    start_again "$died"
    accepting "$3"
    # 1205: a gateway has held a write for as long as it holds any, where taking over took that long.
    saw "$began" --expect 1205,1213
}

# Fences are closed, nothing is committed: whoever takes over undoes it, and writes go on where they were. The new side has
# no fence before the first switch.
engine_killed_before_the_commit_of_a_switch() { engine_killed_in_a_switch after-close 1 "$OLD $NEW"; }

# The topology has it: whoever takes over brings it to its end.
engine_killed_after_the_commit_of_a_switch() { engine_killed_in_a_switch after-commit 0 "$NEW"; }

# accepting PLACES: whether their servers, all of them and no others, take a write to a moved table when asked directly.
accepting() {
    local found
    found=$(operator /app/check --accepting "$OLD" "$NEW")
    [ "$found" = "${1//+/ }" ] || { echo "  writes are taken by $found, not by $1"; return 1; }
}

there_and_back_and_there_again() {
    local began verb
    for verb in reverse-traffic switch-traffic; do
        began=$(now)
        healthy engine1
        healthy engine2
        shardlift "$NOUN" $verb -w "$WORKFLOW" -k customer | sed 's/^/  /'
        saw "$began" --expect 1213
    done
    accepting "$NEW"
}

# Nobody writes any more: both sides and their replicas have the same rows, each where it belongs, and these are what the
# applications were told.
every_acknowledged_write_is_there_once() {
    local places=() place
    compose stop load shop >"$LOGS/stop.log" 2>&1
    for place in "$NEW" "$OLD"; do
        places+=("$place" "${place//-primary/-replica}")
    done
    operator /app/check "${places[@]}" | tail -n ${#places[@]} | sed 's/^/  /'
}

it_is_completed() {
    shardlift "$NOUN" complete -w "$WORKFLOW" -k customer | sed 's/^/  /'
    operator /app/check "$NEW" "$OLD:old" | tail -n 2 | sed 's/^/  /'
    # What is left is what was there before.
    shardlift workflow list --format json | grep -q '^\[\]$'
}
