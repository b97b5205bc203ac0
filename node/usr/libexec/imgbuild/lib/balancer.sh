# The balancer of this node (balancer: local in the cluster file): haproxy on 127.0.0.1, before all control planes. Sourced
# by first boot and by imgbuild-reset.
# shellcheck shell=bash disable=SC2154 # cluster.conf sets them
#
# kubeadm and the kubelet look for the API server there, and a static pod runs only once kubeadm has started the kubelet.
# Until then a container of the same image and configuration serves the port. CRI lists only what it made itself, so
# neither the kubelet nor kubeadm reset touches it. haproxy binds with SO_REUSEPORT: both may serve the port for a while.

lone=imgbuild-balancer

balancer_listens() { (exec 3<> "/dev/tcp/${balancer%:*}/${balancer##*:}") 2> /dev/null; }

# start_balancer: unless the port is served already. Needs containerd and, if the image is not here yet, its registry.
start_balancer() {
    local words try
    if [ -z "$balancer" ] || balancer_listens; then
        return 0
    fi
    words=$(crictl --runtime-endpoint "$cri_socket" images --quiet "$balancer_image" 2> /dev/null || true)
    if [ -z "$words" ] && ! words=$(other balancer timeout --kill-after=30 900 crictl --runtime-endpoint "$cri_socket" \
        pull "$balancer_image" 2>&1); then
        later "the image of this node's balancer, $balancer_image, cannot be pulled: ${words##*$'\n'}"
    fi
    end_lone_balancer || later "the container $lone cannot be removed: ctr -n k8s.io containers rm $lone"
    if ! words=$(ctr -n k8s.io run --detach --net-host --snapshotter "$snapshotter" \
        --mount "type=bind,src=$R/etc/imgbuild/balancer,dst=/usr/local/etc/haproxy,options=rbind:ro" \
        "$balancer_image" "$lone" 2>&1); then
        later "this node's balancer, $balancer_image, cannot be started: ${words##*$'\n'}"
    fi
    for ((try = 0; try < 30; try++)); do
        if balancer_listens; then
            echo "this node's balancer serves $balancer"
            return 0
        fi
        pause 1
    done
    later "this node's balancer does not serve $balancer after 30 seconds: ctr -n k8s.io tasks ls"
}

# place_balancer: the node is complete, and the kubelet takes over.
place_balancer() {
    local try
    if [ -z "$balancer" ]; then
        return 0
    fi
    if ! cmp -s "$R/etc/imgbuild/balancer.yaml" "$manifests/balancer.yaml"; then
        # The kubelet may be reading it; it ignores names that begin with a dot.
        install -D -m 0600 "$R/etc/imgbuild/balancer.yaml" "$manifests/.balancer.new"
        mv -f "$manifests/.balancer.new" "$manifests/balancer.yaml"
    fi
    for ((try = 0; try < 36; try++)); do
        if [ -n "$(crictl --runtime-endpoint "$cri_socket" ps --name '^balancer$' --state Running --quiet 2> /dev/null)" ]; then
            end_lone_balancer || later "the container $lone cannot be removed: ctr -n k8s.io containers rm $lone"
            return 0
        fi
        pause 5
    done
    later "the static pod of this node's balancer does not run after 3 minutes: crictl ps --all --name balancer;" \
        "journalctl -u kubelet"
}

end_lone_balancer() {
    local there
    there=$(ctr -n k8s.io containers ls --quiet) || return 1
    if [[ $'\n'$there$'\n' != *$'\n'"$lone"$'\n'* ]]; then
        return 0
    fi
    # A machine that lost power has the container without its process.
    ctr -n k8s.io tasks rm --force "$lone" > /dev/null 2>&1 || true
    ctr -n k8s.io containers rm "$lone"
}
