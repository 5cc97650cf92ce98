# What the tests stand on: a Docker engine, compose, the images. Sourced by docker/test.
#
# What a registry would give is made from Debian's packages where none can be reached, and kept as images and in
# ~/.cache/shardlift for the next run. Nothing is installed on a machine that has it, and no engine is started where one runs.

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/shardlift
# The release that has the newest etcd, MySQL and so on is not this machine's; compose and buildx run on Debian 12 as they are.
PLUGINS_SUITE=trixie
DAEMON=

refuse() {
    tail -n 20 "$(ls -t "$LOGS"/*.log | head -n 1)" >&2
    echo "docker/test cannot run: $*" >&2
    exit 1
}

# again COMMAND…: what asks the network is asked three times.
again() { "$@" || { sleep 10 && "$@"; } || { sleep 30 && "$@"; }; }

# The Docker engine that runs, or one of our own.
docker_engine() {
    if ! docker info >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || refuse "no Docker engine answers, and only root can start one: start it, or run this as root"
        # --no-install-recommends leaves out what dockerd needs to reach the network.
        command -v dockerd >/dev/null || install_packages docker.io iptables
        echo "no Docker engine runs: one is started, and stopped at the end"
        # Of one that was killed: its number may be another process's by now.
        pgrep -x dockerd >/dev/null || rm -f /var/run/docker.pid
        dockerd >"$LOGS/dockerd.log" 2>&1 &
        DAEMON=$!
        wait_for "dockerd" 60 docker info || refuse "no Docker engine can be started; see $LOGS/dockerd.log"
        left_over
    fi
    export DOCKER_BUILDKIT=1
    has_plugins && return
    plugins
    has_plugins || refuse "docker compose, docker buildx or kustomize cannot be had: install them"
}

has_plugins() {
    docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && command -v kustomize >/dev/null
}

# What a run that was killed has left comes up with the engine.
left_over() {
    docker ps -aq --filter name=shardlift-test- | xargs -r docker rm -fv >/dev/null
    docker volume ls -q --filter name=shardlift-test- | xargs -r docker volume rm >/dev/null
    docker network ls -q --filter name=shardlift-test- | xargs -r docker network rm >/dev/null
}

install_packages() {
    command -v apt-get >/dev/null || refuse "$* is missing, and there is no apt-get to fetch it with"
    [ "$(id -u)" = 0 ] || refuse "$* is missing, and only root can install it: apt-get install $*"
    echo "installing $*"
    again apt-get update -q >>"$LOGS/apt.log" 2>&1 || true
    DEBIAN_FRONTEND=noninteractive again apt-get install -qy --no-install-recommends "$@" >>"$LOGS/apt.log" 2>&1 ||
        refuse "$* cannot be installed; see $LOGS/apt.log"
}

# Compose, buildx and kustomize from a later Debian, unpacked into the cache; nothing of the machine changes.
plugins() {
    local folder=$CACHE/docker-$PLUGINS_SUITE apt=$WORK/apt mirror
    if [ ! -d "$folder" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/\?$') || mirror=http://deb.debian.org/debian
        echo "fetching docker compose, buildx and kustomize from Debian $PLUGINS_SUITE"
        mkdir -p "$apt"/{lists/partial,cache/archives/partial,packages,root}
        : >"$apt/status"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $PLUGINS_SUITE main" >"$apt/sources.list"
        cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
Acquire::Languages "none"; APT::Sandbox::User "";
CONF
        (
            # Chained: errexit does not count before `||`.
            cd "$apt/packages" &&
                again apt-get --config-file "$apt/apt.conf" update &&
                again apt-get --config-file "$apt/apt.conf" download docker-compose docker-buildx kustomize &&
                printf '%s\n' *.deb | xargs -I '{}' dpkg-deb --extract '{}' "$apt/root"
        ) >>"$LOGS/apt.log" 2>&1 || refuse "compose cannot be fetched; see $LOGS/apt.log"
        mkdir -p "$CACHE"
        chmod -R u+w "$apt/root"
        mv "$apt/root" "$folder"
    fi
    export DOCKER_CONFIG=$WORK/docker
    mkdir -p "$DOCKER_CONFIG/cli-plugins"
    ln -sf "$folder"/usr/libexec/docker/cli-plugins/* "$DOCKER_CONFIG/cli-plugins/"
    PATH=$PATH:$folder/usr/bin
}

have_image() { docker image inspect "$1" >/dev/null 2>&1; }

# pull VARIABLE IMAGE: the image that compose.yaml names, unless the caller has chosen one; fails where it cannot be had.
pull() {
    [ -z "${!1:-}" ] || return 0
    have_image "$2" || timeout 300 docker pull -q "$2" >>"$LOGS/pull.log" 2>&1
}

# Debian, pulled or bootstrapped.
base_image() {
    have_image "$DEBIAN" && return
    timeout 300 docker pull -q "$DEBIAN" >>"$LOGS/pull.log" 2>&1 && return
    local wanted=$DEBIAN
    DEBIAN=shardlift-packages:debian
    have_image "$DEBIAN" && return
    [ "$(id -u)" = 0 ] || refuse "$wanted cannot be pulled (see $LOGS/pull.log), and only root can make it with debootstrap"
    command -v debootstrap >/dev/null || install_packages debootstrap
    echo "no registry can be reached: $wanted is made with debootstrap"
    again bootstrap || refuse "debootstrap failed; see $LOGS/debootstrap.log"
    rm -rf "$WORK"/debian/var/cache/apt/archives/*.deb "$WORK"/debian/var/lib/apt/lists/* "$WORK"/debian/usr/share/{doc,man,locale,info}/*
    tar -C "$WORK/debian" -c . | docker import - "$DEBIAN" >/dev/null
    rm -rf "$WORK/debian"
}

bootstrap() {
    rm -rf "$WORK/debian"
    debootstrap --variant=minbase bookworm "$WORK/debian" >"$LOGS/debootstrap.log" 2>&1
}

# The binary, as it is (BINARY=…) or built by cargo; a debug build has the failpoints that hold a switch open.
binary() {
    if [ -z "${BINARY:-}" ]; then
        cargo build --quiet --bin shardlift || refuse "the binary cannot be built; name one with BINARY=…"
        BINARY=target/debug/shardlift
    fi
    mkdir -p target/docker
    strip -o target/docker/shardlift "$BINARY" 2>/dev/null || cp "$BINARY" target/docker/shardlift
}

# build TAG DOCKERFILE CONTEXT ARGUMENT…
build() {
    local tag=$1 file=$2 context=$3
    shift 3
    docker build -q -t "$tag" -f "$file" --build-arg "DEBIAN=$DEBIAN" "$@" "$context" >>"$LOGS/build.log" 2>&1 ||
        refuse "image $tag cannot be built; see $LOGS/build.log"
}

shardlift_images() {
    export SHARDLIFT_IMAGE=$PROJECT:shardlift SHARDLIFT_APP_IMAGE=$PROJECT:app
    local revision
    revision=$(git rev-parse --short HEAD 2>/dev/null) || revision=unknown
    build "$SHARDLIFT_IMAGE" docker/Dockerfile . --target shardlift --build-arg BINARY=prebuilt --build-arg "REVISION=$revision"
    build "$SHARDLIFT_APP_IMAGE" docker/Dockerfile . --target app --build-arg BINARY=prebuilt
    built+=("$SHARDLIFT_IMAGE" "$SHARDLIFT_APP_IMAGE")
}

# packages_image TARGET [SERVERS]: the name of a stand-in, which says what it was made of, so that it is made once.
packages_image() {
    echo "shardlift-packages:$1-$({ basename "${2:-}"; cat docker/packages/*; } | sha256sum | head -c 12)"
}

# The servers' images: those of compose.yaml, or stand-ins.
server_images() {
    local default
    default() { sed -n "s/.*\${$1:-\(.*\)}.*/\1/p" docker/compose.yaml | head -n 1; }
    if [ "${STAND_INS:-}" != 1 ] && pull MYSQL_IMAGE "$(default MYSQL_IMAGE)"; then
        pull ETCD_IMAGE "$(default ETCD_IMAGE)" && pull HAPROXY_IMAGE "$(default HAPROXY_IMAGE)" &&
            pull PROMETHEUS_IMAGE "$(default PROMETHEUS_IMAGE)" || refuse "an image cannot be pulled; see $LOGS/pull.log"
    else
        echo "no registry can be reached: MySQL, etcd, HAProxy and Prometheus are Debian's packages"
        local servers context=$WORK/context target
        servers=$(again "$BINARY" local install --format json | grep -o '[^ ]*/usr/sbin/mysqld' | head -n 1) ||
            refuse "MySQL and etcd cannot be fetched"
        servers=${servers%/usr/sbin/mysqld}
        [ -n "$servers" ] || refuse "a mysqld on PATH was found: take it off, so that MySQL is unpacked"
        export MYSQL_IMAGE ETCD_IMAGE HAPROXY_IMAGE PROMETHEUS_IMAGE
        MYSQL_IMAGE=$(packages_image mysql "$servers") ETCD_IMAGE=$(packages_image etcd "$servers")
        HAPROXY_IMAGE=$(packages_image services) PROMETHEUS_IMAGE=$HAPROXY_IMAGE
        if ! have_image "$MYSQL_IMAGE" || ! have_image "$ETCD_IMAGE"; then
            mkdir -p "$context"/servers/usr/{bin,sbin,share,lib}
            cp -a "$servers"/usr/bin/{mysql,mysqladmin,etcd,etcdctl} "$context/servers/usr/bin/"
            cp -a "$servers/usr/sbin/mysqld" "$context/servers/usr/sbin/"
            cp -a "$servers/usr/share/mysql" "$context/servers/usr/share/"
            cp -a "$servers/usr/lib64" "$context/servers/usr/"
            cp -a "$servers"/usr/lib/{*-linux-gnu,mysql} "$context/servers/usr/lib/"
            cp docker/packages/{through-loader,mysql-entrypoint} "$context/"
            build "$MYSQL_IMAGE" docker/packages/Dockerfile "$context" --target mysql
            build "$ETCD_IMAGE" docker/packages/Dockerfile "$context" --target etcd
            rm -rf "$context"
        fi
    fi
    # Packages again: what cuts networks.
    export TOOLS_IMAGE
    TOOLS_IMAGE=$(packages_image services)
    have_image "$TOOLS_IMAGE" || build "$TOOLS_IMAGE" docker/packages/Dockerfile docker/packages --target services
}
