# The image by itself, and the cluster of it. Sourced by docker/test.

the_image_is_what_it_says() {
    local version label
    version=$(docker run --rm "$SHARDLIFT_IMAGE" --version)
    label() { docker image inspect -f "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "$SHARDLIFT_IMAGE"; }
    [ "shardlift $(label version)" = "$version" ]
    [ "$(label licenses)" = Apache-2.0 ]
    [ "$(docker image inspect -f '{{.Config.User}}' "$SHARDLIFT_IMAGE")" = 10001:10001 ]
    docker image inspect -f '{{.Config.Healthcheck.Test}}' "$SHARDLIFT_IMAGE" | grep -q 'shardlift health'
    # Nothing but the program: no shell to break into.
    if docker run --rm --entrypoint /bin/sh "$SHARDLIFT_IMAGE" -c true 2>/dev/null; then
        echo "there is a shell in the image"
        return 1
    fi
    echo "  $version, $(label licenses), $(docker image inspect -f '{{.Size}}' "$SHARDLIFT_IMAGE" | awk '{ printf "%.1f", $1 / 1e6 }') MB"
}

# A file with a flag that does not exist stops it at once, by name.
a_wrong_configuration_is_refused() {
    local said
    mkdir -p "$WORK/config"
    echo 'pool-sise: 5' >"$WORK/config/gateway.yaml"
    if said=$(docker run --rm -v "$WORK/config:/etc/shardlift:ro" "$SHARDLIFT_IMAGE" gateway run --config /etc/shardlift/gateway.yaml 2>&1); then
        return 1
    fi
    grep -q '`pool-sise` is not a flag' <<<"$said"
    docker compose -f docker/compose.yaml --profile load --profile metrics config -q
}

the_cluster_comes_up() {
    local began=$SECONDS
    compose up -d shop operator engine1 engine2 >"$LOGS/up.log" 2>&1 || return 1
    healthy engine1
    healthy engine2
    # On this machine's port, as the host of an application sees it.
    local door
    door=$(compose port balancer 15306)
    exec 3<>"/dev/tcp/${door%:*}/${door##*:}"
    read -rN 1 -t 5 -u 3 _ || true
    exec 3>&-
    wait_for "the first rows" 180 seeded
    echo "  after $((SECONDS - began)) s applications are served at $door"
}

seeded() { operator grep -qs '"seed"' /ledger/shop.jsonl; }
