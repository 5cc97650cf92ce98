# What befalls hosts while traffic is served. Sourced by docker/test.

# One etcd node is lost, then back.
an_etcd_node_is_lost() {
    local began
    began=$(now)
    kill_hard etcd1
    sleep 8
    wait_for "following" 30 in_state Running
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

# They serve on, and who comes new is let in.
all_gateways_are_cut_off_from_etcd() {
    local began gateway answer
    began=$(now)
    for gateway in gateway1 gateway2; do
        cut_off $gateway etcd1 etcd2 etcd3
    done
    for gateway in gateway1 gateway2; do
        wait_for "$gateway to say so" 60 is_stale $gateway
    done
    # The load balancer looks three times, a second apart.
    sleep 5
    answer=$(operator /app/sql balancer commerce 'SELECT 1') || true
    for gateway in gateway1 gateway2; do
        mend $gateway
        wait_for "$gateway to be level" 60 is_level $gateway
    done
    [ "$answer" = 1 ]
    saw "$began"
}

is_level() { timeout 60 docker exec "$(container "$1")" shardlift health; }
is_stale() { ! is_level "$1"; }

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

# Everything is restarted in order, one by one, as for an upgrade. A replica gets a new container, as from a new image, and so
# another host name. Primaries are away meanwhile: their clients wait.
everything_is_restarted() {
    local began service
    for service in engine1 engine2 gateway1 gateway2 etcd1 etcd2 etcd3 commerce-replica customer-replica; do
        began=$(now)
        case $service in
        *-replica) make_anew $service ;;
        *) restart $service ;;
        esac
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
        # 1105: the gateway says that the server cannot be reached.
        saw "$began" --expect "$LOST,1105" --longest 60
    done
    wait_for "the way back to be level" 60 in_state Running
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
    docker stop -t 60 "$(container "$1")" >/dev/null
    local code
    code=$(docker inspect -f '{{.State.ExitCode}}' "$(container "$1")")
    # 143: by SIGTERM, as etcd and HAProxy do.
    [ "$code" = 0 ] || [ "$code" = 143 ] || { echo "$1 ended with $code"; return 1; }
    start_again "$1"
    healthy "$1"
}

make_anew() {
    local before
    before=$(docker inspect -f '{{.Id}}' "$(container "$1")")
    compose up -d --no-deps --force-recreate "$1" >"$LOGS/up.log" 2>&1
    [ "$(docker inspect -f '{{.Id}}' "$(container "$1")")" != "$before" ]
    healthy "$1"
}

since() { awk "BEGIN { printf \"%.1f\", $(now) - $1 }"; }
