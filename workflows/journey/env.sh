# Where the journey's cluster lives and how its steps reach it. Every step sources this; nothing here changes anything.
#
#   SHARDLIFT  the program             [shardlift, on PATH]
#   JOURNEY    the cluster's folder    [~/.local/share/shardlift/journey]
#   PORT       where the gateway listens  [15306]
set -euo pipefail

STEPS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${SHARDLIFT:=shardlift}" "${JOURNEY:=$HOME/.local/share/shardlift/journey}" "${PORT:=15306}"
CLUSTER=$JOURNEY/cluster

export SHARDLIFT_TOPO=$CLUSTER/topology.sqlite
export SHARDLIFT_CREDENTIALS=$CLUSTER/credentials.json
export SHARDLIFT_GATEWAY_USERS=$CLUSTER/gateway-users.json

command -v "$SHARDLIFT" >/dev/null || {
    echo "$SHARDLIFT: no such program; build it (cargo build --release) and say SHARDLIFT=$PWD/target/release/shardlift" >&2
    exit 1
}

# Through the gateway, as an application.
mysql() { "$CLUSTER/mysql" --host=127.0.0.1 --port="$PORT" "$@"; }

# start NAME COMMAND…: in the background, with its log and process id in the journey's folder.
start() {
    local name=$1
    shift
    nohup "$@" >"$JOURNEY/$name.log" 2>&1 </dev/null &
    echo $! >"$JOURNEY/$name.pid"
}

# stop NAME: asks it to end, and waits until it has.
stop() {
    local pid
    [ -e "$JOURNEY/$1.pid" ] || return 0
    pid=$(cat "$JOURNEY/$1.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 600); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    rm -f "$JOURNEY/$1.pid"
}

# wait_for WHAT SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local what=$1 seconds=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.2
    done
    echo "$what did not come up within $seconds s; see the logs in $JOURNEY" >&2
    return 1
}
