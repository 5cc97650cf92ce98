# What befalls hosts while traffic is served and switched. Sourced by docker/test.

# One etcd node is lost, then back.
an_etcd_node_is_lost() {
    local began
    began=$(now)
    kill_hard etcd1
    sleep 8
    [ "$(field state)" = Running ]
    start_again etcd1
    healthy etcd1
    saw "$began"
}

# It serves on by what it knows, and is itself again afterwards.
a_gateway_is_cut_off_from_etcd() {
    local began
    began=$(now)
    cut_off gateway1 etcd1 etcd2 etcd3
    wait_for "gateway1 to say so" 60 is_stale gateway1
    sleep 5
    mend gateway1
    wait_for "gateway1 to be level" 60 is_level gateway1
    saw "$began"
}

is_level() { docker exec "$(container "$1")" shardlift health; }
is_stale() { ! is_level "$1"; }

# switch_held POINT: a switch of writes that stands still at that point of its plan, until somebody does something about it.
switch_held() {
    operator sh -c "rm -f /points/held; echo '$1=hold:/points/held' >/points/armed"
    operator shardlift movetables switch-traffic -w commerce2customer -k customer >"$LOGS/switch.log" 2>&1 &
    SWITCH=$!
    wait_for "the switch to be at $1" 60 operator test -e /points/held
}

# Fences are closed, nothing is committed: whoever takes over undoes it, and writes go on where they were.
engine_killed_before_the_commit_of_a_switch() {
    local began died
    began=$(now)
    switch_held after-close
    died=$(owner)
    kill_hard "$died"
    wait_for "writes" 60 acknowledged_lately
    wait "$SWITCH" && return 1
    echo "  $died was killed; the switch said: $(tail -n 1 "$LOGS/switch.log")"
    start_again "$died"
    accepting | grep -q commerce-primary
    saw "$began" --expect 1213
}

# The topology has it: whoever takes over brings it to its end.
engine_killed_after_the_commit_of_a_switch() {
    local began died
    began=$(now)
    switch_held after-commit
    died=$(owner)
    kill_hard "$died"
    wait_for "writes" 60 acknowledged_lately
    wait "$SWITCH"
    echo "  $died was killed; the switch said: $(tail -n 1 "$LOGS/switch.log")"
    start_again "$died"
    [ "$(accepting)" = customer-primary/customer ]
    saw "$began" --expect 1213
}

# The servers that would take a write to a moved table, asked directly.
accepting() { operator /app/check --accepting commerce-primary/commerce customer-primary/customer; }

there_and_back_and_there_again() {
    local began verb
    for verb in reverse-traffic switch-traffic; do
        began=$(now)
        healthy engine1
        healthy engine2
        shardlift movetables $verb -w commerce2customer -k customer | sed 's/^/  /'
        saw "$began" --expect 1213
    done
    [ "$(accepting)" = customer-primary/customer ]
}

# Its clients lose their connections, and are served by the other one.
a_gateway_is_killed() {
    local began
    began=$(now)
    kill_hard gateway1
    sleep 6
    start_again gateway1
    healthy gateway1
    saw "$began" --expect "$LOST"
}

# Everything is restarted in order, one by one, as for an upgrade. Servers of MySQL are away meanwhile: their clients wait.
everything_is_restarted() {
    local began service
    for service in engine1 engine2 gateway1 gateway2 etcd1 etcd2 etcd3 commerce-replica customer-replica; do
        began=$(now)
        restart $service
        echo "  $service took $(since "$began") s"
        case $service in
        gateway*) saw "$began" --expect "$LOST" ;;
        *) saw "$began" ;;
        esac
    done
    for service in commerce-primary customer-primary balancer; do
        began=$(now)
        restart $service
        wait_for "writes" 60 acknowledged_lately
        echo "  $service took $(since "$began") s"
        saw "$began" --expect "$LOST" --longest 60
    done
    wait_for "the way back to be level" 60 shardlift_state Running
}

# A transaction that is open when its gateway is asked to end may go on, and its commit counts.
a_gateway_drains() {
    local began
    began=$(now)
    operator rm -f /points/open
    operator /app/linger gateway2 8 /points/open &
    local client=$!
    wait_for "a transaction to be open" 30 operator test -e /points/open
    docker stop -t 40 "$(container gateway2)" >/dev/null
    wait $client
    [ "$(docker inspect -f '{{.State.ExitCode}}' "$(container gateway2)")" = 0 ]
    echo "  gateway2 ended in order after $(since "$began") s, when its last transaction was through"
    start_again gateway2
    healthy gateway2
    saw "$began" --expect "$LOST"
}

restart() {
    docker stop -t 40 "$(container "$1")" >/dev/null
    local code
    code=$(docker inspect -f '{{.State.ExitCode}}' "$(container "$1")")
    # 143: by SIGTERM, as etcd and HAProxy do.
    [ "$code" = 0 ] || [ "$code" = 143 ] || { echo "$1 ended with $code"; return 1; }
    start_again "$1"
    healthy "$1"
}

since() { awk "BEGIN { printf \"%.1f\", $(now) - $1 }"; }
