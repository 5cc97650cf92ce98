# How the tests speak to the cluster, hurt it, and ask what applications saw. Sourced by docker/test.

compose() { docker compose -p "$PROJECT" -f docker/compose.yaml -f docker/scenes/compose.yaml --profile load "$@"; }

# A command in the container that reaches everything: shardlift, /app/report, /app/check, /app/sql.
operator() { timeout 300 docker exec -i "$(container operator)" "$@" </dev/null; }

# A command of shardlift's. What the topology did not answer, and says was not done, is said again: etcd is slow here at times.
shardlift() {
    local told=$WORK/told.$BASHPID try status
    for try in 1 2 3 4 5; do
        status=0
        operator shardlift "$@" 2>"$told" || status=$?
        [ $status -ne 0 ] && grep -q 'nothing was changed, try again' "$told" || break
        sleep 1
    done
    cat "$told" >&2
    return $status
}

container() { echo "$PROJECT-$1-1"; }

now() { date +%s.%N; }

# wait_for WHAT SECONDS COMMAND…: until it succeeds.
wait_for() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then
            echo "waited in vain for $what: $*" >&2
            return 1
        fi
        sleep 1
    done
}

is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]; }

healthy() { wait_for "$1 to be healthy" 120 is_healthy "$1"; }

# saw SINCE [FLAG…]: what the applications saw since then; fails for what they must not see.
saw() {
    local since=$1
    shift
    operator /app/report --since "$since" "$@" | sed 's/^/  the applications saw: /'
}

acknowledged_lately() { operator /app/report --since "$(($(date +%s) - 2))" --longest 2 --expect "$ANY"; }

# kill_hard SERVICE: as a power cut would. Docker does not start it again by itself after that.
kill_hard() { docker kill -s KILL "$(container "$1")" >/dev/null; }

start_again() { docker start "$(container "$1")" >/dev/null; }

# cut A B…: no packet passes between container A and the others any more, and nobody is told.
cut_off() {
    local a=$1 rules= b address
    shift
    for b in "$@"; do
        for address in $(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$(container "$b")"); do
            rules+="iptables -A INPUT -s $address -j DROP; iptables -A OUTPUT -d $address -j DROP; "
        done
    done
    in_network_of "$a" "$rules"
}

mend() { in_network_of "$1" "iptables -F"; }

in_network_of() {
    docker run --rm --network "container:$(container "$1")" --cap-add NET_ADMIN --user 0 --entrypoint /bin/sh "$TOOLS_IMAGE" -ec "$2"
}

# Words of the workflow's state, as `workflow show` has them in JSON.
workflow() { shardlift workflow show -w "$WORKFLOW" -k customer --format json; }

field() { workflow | sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" | head -n 1; }

# The service whose engine carries the workflow out.
owner() { field engine | grep -o '^engine[0-9]'; }
