# What is around the cluster: its board, and its manifests for Kubernetes. Sourced by docker/test.

# Prometheus finds both engines and both gateways, and every panel of the board has something to show.
the_board_has_numbers() {
    compose --profile metrics up -d prometheus >"$LOGS/up.log" 2>&1
    operator /app/board http://prometheus:9090 /board.json | sed "s/^/  /"
}

# The manifests are built as `kubectl apply -k` would, and held to the API's schemas.
kubernetes_manifests_are_valid() {
    local built=$WORK/kubernetes.yaml
    kustomize build docker/kubernetes >"$built"
    "$(validator)" --strict --quiet "$built"
    # That it can fail: a field that no API has.
    sed 's/containerPort: 15306/containerDoor: 15306/' "$built" >"$built.wrong"
    if "$(validator)" --strict --quiet "$built.wrong" >/dev/null 2>&1; then
        echo "the validator lets anything pass"
        return 1
    fi
    echo "  $(grep -c '^kind:' "$built") manifests are valid, by kubernetes-validate $VALIDATOR"
}

# The schemas come with the package: only to install it needs the network.
VALIDATOR=1.37.0

validator() {
    local folder=$CACHE/kubernetes-validate-$VALIDATOR
    if [ ! -x "$folder/bin/kubernetes-validate" ]; then
        {
            python3 -m venv "$folder" || { install_packages python3-venv && python3 -m venv "$folder"; }
            again "$folder/bin/pip" install --quiet "kubernetes-validate==$VALIDATOR"
        } >>"$LOGS/pip.log" 2>&1
    fi
    echo "$folder/bin/kubernetes-validate"
}
