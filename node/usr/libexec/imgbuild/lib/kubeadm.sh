# What 50-kubeadm does: attempt, check whether an attempt is complete, undo one. Sourced after cluster.sh.
# shellcheck shell=bash disable=SC2154 # cluster.sh sets them

manifests=$kubernetes/manifests
said=$run/kubeadm.said
admin=$run/admin # has keys for a moment; in memory, like all of /run

# Sets endpoint: where a joiner finds the API server.
find_endpoint() {
    local found
    found=$(sed -n 's/^ *apiServerEndpoint: *//p' "$R/etc/imgbuild/kubeadm-join.yaml" 2> /dev/null || true)
    found=${found//[\'\"]/}
    if [ -n "$found" ]; then
        endpoint=$found
    fi
    if [ -z "$endpoint" ]; then
        die "no address of the cluster is known (/etc/imgbuild/kubeadm-join.yaml): render this node's seed with secrets"
    fi
}

# Modes matter: keys are for root only. A worker gets none; its ca.crt comes from the cluster, and kubeadm refuses an
# existing one.
copy_keys() {
    local file mode
    if [ "$node_role" = worker ] || [ ! -d "$pki" ]; then
        return 0
    fi
    while IFS= read -r file; do
        mode=0600
        case $file in *.crt | *.pub) mode=0644 ;; esac
        install -D -m "$mode" "$pki/$file" "$kubernetes/pki/$file" || die "$kubernetes/pki/$file cannot be written (free: $(free_space))"
    done < <(cd "$pki" && find . -type f)
}

# place_vip CONFIG: installs kube-vip as a static pod, with the kubeconfig super-admin.conf while an init creates the
# cluster (from 1.29 on only that one has rights then, and only an init makes it), with admin.conf from then on. kubeadm
# checks only its own four manifests (InitNodeChecks: FileAvailable).
place_vip() {
    if [ "$node_role" = worker ] || [ -z "$vip" ]; then
        return 0
    fi
    lay kube-vip.yaml
    if [ "$1" = admin.conf ]; then
        sed -i 's|/super-admin\.conf|/admin.conf|' "$run/kube-vip.yaml"
    fi
    local before=''
    if cmp -s "$run/kube-vip.yaml" "$manifests/kube-vip.yaml"; then
        return 0
    fi
    if [ -e "$manifests/kube-vip.yaml" ]; then
        before=$(kube_vip_container)
    fi
    # The kubelet may be reading it; it ignores names that begin with a dot.
    install -D -m 0600 "$run/kube-vip.yaml" "$manifests/.kube-vip.new"
    mv -f "$manifests/.kube-vip.new" "$manifests/kube-vip.yaml"
    if [ -n "$before" ]; then
        other kube-vip await_new_vip "$before" || echo "imgbuild: notice: kube-vip was not restarted within 2 minutes"
    fi
}

kube_vip_container() { crictl ps --name '^kube-vip$' --state Running --quiet 2> /dev/null || true; }

# await_new_vip CONTAINER: waits for the kubelet to recreate the pod: the address is gone for some seconds, and the next
# step reaches the API server by that address.
await_new_vip() {
    local try now
    for ((try = 0; try < 24; try++)); do
        now=$(kube_vip_container)
        if [ -n "$now" ] && [ "$now" != "$1" ]; then
            return 0
        fi
        pause 5
    done
    return 1
}

# run_kubeadm WORDS...: its output goes to the log; sets error to the errors in it.
run_kubeadm() {
    local code=0
    (umask 077 && : >> "$said")
    other kubeadm timeout --kill-after=30 1800 kubeadm "$@" 2>&1 | tee "$said" || code=${PIPESTATUS[0]}
    error=$(grep -E '^error|\[ERROR ' "$said" | tr '\n\t' '  ' || true)
    error=${error%"${error##*[! ]}"}
    error=${error:-$(grep -v '^To see the stack trace of this error' "$said" | tail -n 1 || true)}
    if [ "$code" = 124 ] || [ "$code" = 137 ]; then
        error="error execution phase unknown: it was stopped after 30 minutes: $error"
    fi
    return "$code"
}

# for_good: true if a retry of kubeadm would give the same error: for a configuration that it refuses, a machine that
# fails its preflight checks (an image that cannot be pulled may come back), another CA, and keys that do not match. All
# other errors are missing answers: the kubelet's, the API server's, etcd's (cmd/kubeadm/app/cmd/phases/workflow,
# Runner.Run: "error execution phase").
for_good() {
    local text=${error//'[ERROR ImagePull]'/}
    if [[ $text == *'[ERROR '* || $text == *'none of the public keys'* ]]; then
        return 0
    elif [[ $text == *expired* || $text == *'not yet valid'* ]]; then
        return 1
    elif [[ $text =~ 'error execution phase '(control-plane-prepare/)?(certs|kubeconfig|etcd/local|control-plane)[:/\ ] ]]; then
        return 0
    fi
    [[ -n $text && $text != *'error execution phase '* ]]
}

undo() {
    echo "undoing an attempt of kubeadm"
    if [ -e "$manifests/etcd.yaml" ]; then
        case $way:$ca_hash in join:* | reset:?*) leave_etcd ;; esac
    fi
    # It calls the kubelet, containerd and, for a node that the cluster knows, the API server.
    run_kubeadm reset --force --cri-socket "$cri_socket" || later "kubeadm reset failed: $error"
    # Even an interrupted reset removes etcd's manifest, by which older kubeadm finds the data.
    if [ "$etcd" = local ] && [ -d "$R$etcd_data" ]; then
        find "$R$etcd_data" -mindepth 1 -delete
    fi
    drop_vip || die "the virtual address $vip cannot be removed from this node"
}

# This node's etcd member may vote by now, and the others need its vote to remove it: it stays up until they have.
# Without limit, like joining; for an interrupted imgbuild-reset two minutes, because that one does not insist either.
leave_etcd() {
    local try=0
    find_endpoint
    while true; do
        ask_endpoint
        if [ "$answer:$way" = foreign:join ]; then
            die "the server at $endpoint is not of this cluster's CA ($words): an interrupted join of this node must" \
                "leave etcd before the next one, and the server there does not know it"
        elif [ "$answer" != ours ]; then
            waiting "to leave etcd: the cluster does not answer at $endpoint: $words"
        else
            make_admin
            if find_member "$admin/admin.conf" "$admin/etcd" "$address" && remove_member "$admin/etcd"; then
                rm -rf "$admin"
                return 0
            fi
            waiting "to leave etcd, which an interrupted join has entered: $words"
        fi
        rm -rf "$admin"
        if [ "$way" = reset ] && [ $((++try)) -ge 12 ]; then
            return 0
        fi
        other waiting pause 10
    done
}

# The API answers, and kubeadm has created what it creates last: CoreDNS's Service, kube-proxy's rights
# (cmd/kubeadm/app/phases/addons).
init_is_whole() {
    local config=$kubernetes/admin.conf
    if [ ! -s "$config" ] || [ ! -e "$manifests/kube-apiserver.yaml" ] || [ ! -e "$kubernetes/kubelet.conf" ]; then
        return 1
    fi
    api_answers "$config" || return 1
    kube "$config" get service kube-dns --namespace kube-system --output name > /dev/null || return 1
    [ "$kube_proxy" != yes ] ||
        kube "$config" get daemonset/kube-proxy rolebinding/kube-proxy --namespace kube-system --output name > /dev/null
}

# The kubelet's own certificate is valid and the cluster knows the node; a control plane's label comes last.
join_is_whole() {
    local config=$kubernetes/kubelet.conf labels
    if [ ! -s "$config" ]; then
        return 1
    fi
    find_endpoint
    take_detour
    # Without an answer the state is unknown, and nothing may be undone.
    while ! labels=$(kube "$config" --server "https://$endpoint" get node "$node_name" \
        --output 'jsonpath={.metadata.labels}' 2>&1); do
        case $labels in
            *NotFound* | *Unauthorized* | *Forbidden* | *'must be logged in'* | *'unknown authority'*) return 1 ;;
            # A kubelet writes its kubeconfig before it has a certificate, and gets none if the API server is this
            # node's own and etcd here is incomplete (from 1.33 on).
            *'unable to read client-'*) return 1 ;;
        esac
        waiting "whether this node has joined: ${labels##*$'\n'}"
        other waiting pause 10
        take_detour
    done
    [ "$node_role" = worker ] || [[ $labels == *'"node-role.kubernetes.io/control-plane"'* ]]
}

# Before an init: does this cluster exist already? A re-imaged node must not create a second one. The endpoint is asked,
# and each of the other control planes: the endpoint may be this node's own address, or a load balancer that no longer
# knows the others.
cluster_is_there() {
    local try at open mute='' unheard='' asked=()
    if [ -z "$ca_hash" ] || [ -z "$endpoint" ]; then
        return 1
    fi
    if ! is_own_endpoint; then
        asked=("$endpoint")
    elif [ -n "$others$others_unknown" ] && [ "$single_endpoint" != yes ] && is_bound_endpoint; then
        # imgbuild refuses this if it knows the node's address.
        die "the cluster's endpoint $endpoint is this node's own address, and there are other control planes: set vip:," \
            "or endpoint: to a load balancer, in the cluster file (single_endpoint: true accepts it)"
    fi
    # shellcheck disable=SC2206 # words
    asked+=($others)
    for ((try = 0; try < 12 && ${#asked[@]} > 0; try++)); do
        open='' mute='' unheard=''
        for at in "${asked[@]}"; do
            ask_cluster "$at"
            case $answer in
                ours | misnamed)
                    join_instead "$at"
                    return 0
                    ;;
                foreign)
                    die "the certificate of the server at $at is not of this cluster's CA ($words): another" \
                        "cluster has this address, or this seed was rendered with other secrets"
                    ;;
                untimely) later "$at cannot be asked whether the cluster exists already: $words" ;;
                # Three times: a load balancer may only be starting.
                nobody) [ "$try" -ge 2 ] || open=yes ;;
                silent) open=yes mute+=${mute:+, }$at ;;
                unknown) open=yes unheard+=${unheard:+; }$words ;;
            esac
        done
        if [ -z "$open" ]; then
            return 1
        fi
        pause 5
    done
    if [ -n "$unheard" ]; then
        later "no server can be asked whether the cluster exists already: $unheard"
    fi
    # Two minutes outlast a load balancer that restarts. One without a backend may drop packets indefinitely, as it does
    # before the first start of every cluster behind it; and the other control planes may not be switched on yet.
    if [ -n "$mute" ]; then
        echo "imgbuild: notice: no answer from $mute in two minutes: no cluster exists there"
    fi
    return 1
}

# Is the endpoint this node's permanent address? One that moves between the nodes is an additional address.
is_bound_endpoint() {
    local host=${endpoint%:*}
    host=${host#[}
    find_address
    [ "$address" = "${host%]}" ]
}

# The virtual address belongs to no single node: another may have it by now.
is_own_endpoint() { [ "${endpoint%:*}" != "$vip" ] && own_address "${endpoint%:*}"; }

# join_instead HOST:PORT: the cluster answers there.
join_instead() {
    if [ ! -e "$R/etc/imgbuild/kubeadm-join.yaml" ]; then
        die "the cluster answers at $1 already, and this node has no kubeadm-join.yaml to join it; first boot" \
            "never creates a second one"
    fi
    echo "the cluster answers at $1 already: this node joins it"
}

# ask_endpoint: as ask_cluster, of the endpoint.
ask_endpoint() {
    take_detour
    ask_cluster "$endpoint"
}

# If the endpoint is this node's own address and the cluster exists, everything in it looks for the API server here,
# including kubeadm join and the kubelet, which get that address from the cluster. Until this node has an API server
# again, its packets to the endpoint go to that of another control plane, whose certificate is for the endpoint as well
# (kubeadm, GetAPIServerAltNames). Sets through to the other one's host:port, or to nothing.
through=''
take_detour() {
    local at host=${endpoint%:*} tables=iptables rule
    if [ -n "$balancer" ]; then
        start_balancer # it finds the others itself
        return 0
    fi
    if [ -z "$others" ]; then
        return 0
    fi
    # An address that moves between the nodes may have moved on.
    if ! is_own_endpoint || own_api_answers; then
        through=''
        end_detour || later "the detour to another API server cannot be removed from this node"
        return 0
    fi
    for at in $others; do
        ask_cluster "$at"
        case $answer in ours | misnamed) ;; *) continue ;; esac
        if [ "$at" = "$through" ]; then
            return 0
        fi
        if [[ $endpoint == "["* ]]; then
            tables=ip6tables
        fi
        host=${host#[}
        rule=(OUTPUT -d "${host%]}" -p tcp --dport "${endpoint##*:}" -m comment --comment "$detour" -j DNAT --to-destination "$at")
        if ! end_detour || ! "$tables" -w -t nat -A "${rule[@]}"; then
            later "packets of this node to its endpoint $endpoint cannot go to $at instead, where the cluster answers"
        fi
        through=$at
        echo "nothing answers at the cluster's endpoint $endpoint, which is this node's own address: it joins through $at"
        return 0
    done
}

# This node's API server, past the detour.
own_api_answers() {
    local at=127.0.0.1
    if [ "$node_family" = 6 ]; then
        at=::1
    fi
    api_version "https://kubernetes:$api_port" --resolve "kubernetes:$api_port:$at" > /dev/null
}

# The node is complete: from now on its own API server is at the endpoint.
leave_detour() {
    local try
    for ((try = 0; try < 36; try++)); do
        take_detour
        if [ -z "$through" ]; then
            return 0
        fi
        pause 5
    done
    later "this node's API server does not answer after 3 minutes: crictl ps -a; journalctl -u kubelet"
}

init() {
    lay kubeadm-init.yaml
    set_mark "$way_file" init || die "$way_file cannot be written (free: $(free_space))"
    copy_keys
    place_vip super-admin.conf
    # Otherwise kubeadm prints the token at its end.
    run_kubeadm init --config "$run/kubeadm-init.yaml" --skip-token-print && return
    if for_good; then
        die "kubeadm init failed: $error"
    fi
    later "kubeadm init failed: $error"
}

# Without limit: another node must come up first, at an unknown time.
join() {
    find_endpoint
    while true; do
        ask_endpoint
        case $answer in
            ours)
                if ! clock_agrees "$endpoint"; then
                    waiting "$words"
                elif name_is_free && try_to_join; then
                    return 0
                fi
                ;;
            untimely)
                if ! clock_agrees "$endpoint"; then
                    waiting "$words"
                else
                    waiting "the cluster does not answer at $endpoint: $words"
                fi
                ;;
            foreign)
                die "the server at $endpoint is not of this cluster's CA ($words): another cluster has this address, or" \
                    "this seed was rendered with other secrets"
                ;;
            misnamed)
                die "$words: give the API servers a certificate for it (kubeadm init phase certs apiserver, see" \
                    "docs/how-to/first-boot.md), or this node a seed with the cluster's first endpoint"
                ;;
            *) waiting "the cluster does not answer at $endpoint: $words" ;;
        esac
        other waiting pause 10
    done
}

try_to_join() {
    local late=''
    lay kubeadm-join.yaml
    way="join"
    set_mark "$way_file" "$way" || die "$way_file cannot be written (free: $(free_space))"
    copy_keys
    status "$stage_name" running
    if run_kubeadm join --config "$run/kubeadm-join.yaml"; then
        return 0
    fi
    if [ -n "$token_expires" ] && [ "$(date +%s)" -ge "$token_expires" ]; then
        late=". The token of this seed expired on $(date -u -d "@$token_expires" +%Y-%m-%dT%H:%M:%SZ): put a new one"
        late+=" (kubeadm token create, on a control plane) into /etc/imgbuild/kubeadm-join.yaml"
    fi
    if [ -z "$late" ] && for_good; then
        die "kubeadm join failed: $error"
    fi
    waiting "kubeadm join failed: $error$late"
    ours=yes
    undo
    return 1
}

# An administrator's kubeconfig and a client certificate for etcd, made with the cluster's keys.
make_admin() {
    find_address
    rm -rf "$admin"
    (umask 077 && mkdir -p "$admin/etcd" && cp "$pki"/etcd/ca.* "$admin/etcd/") || die "$admin cannot be written"
    run_kubeadm init phase kubeconfig admin --cert-dir "$pki" --kubeconfig-dir "$admin" \
        --control-plane-endpoint "$endpoint" --apiserver-advertise-address "$address" \
        --kubernetes-version "v$kubernetes_version" || die "kubeadm cannot create a kubeconfig: $error"
    run_kubeadm init phase certs etcd-healthcheck-client --cert-dir "$admin" \
        --kubernetes-version "v$kubernetes_version" || die "kubeadm cannot create a certificate for etcd: $error"
}

# If the cluster knows a control plane of this name or address, that one was re-imaged: its etcd member is dead, and as
# long as it is a member no other can join. What this machine itself left behind is removed; all else is the user's
# decision.
name_is_free() {
    local code=0
    if [ "$node_role" = worker ]; then
        return 0
    fi
    make_admin
    let_go "$admin/admin.conf" "$admin/etcd" || code=1
    rm -rf "$admin"
    return "$code"
}

let_go() {
    local found
    if ! find_member "$1" "$2" "$address"; then
        waiting "etcd does not report whether it knows this node: $words"
        return 1
    fi
    if ! found=$(kube "$1" get node "$node_name" --ignore-not-found --output name 2>&1); then
        waiting "the cluster does not report whether it knows $node_name: ${found##*$'\n'}"
        return 1
    fi
    if [ -z "$found$member" ]; then
        return 0
    fi
    if [ "$ours" != yes ]; then
        waiting "$(re_imaged)"
        return 1
    fi
    if ! remove_member "$2"; then
        waiting "etcd does not remove a member that an earlier attempt left there: $words"
        return 1
    fi
    if ! kube "$1" delete node "$node_name" --ignore-not-found; then
        waiting "the cluster does not remove $node_name, which an earlier attempt left there"
        return 1
    fi
}

re_imaged() {
    local server=${through:+ --server https://$through} etcdctl='etcdctl --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt'
    etcdctl+=' --key /etc/kubernetes/pki/etcd/server.key'
    printf '%s' "the cluster at $endpoint knows $node_name or $address already, and it is not this machine: was it " \
        "re-imaged? On another control plane run: kubectl$server --namespace kube-system exec etcd-\$(hostname) -- $etcdctl member list; " \
        "the same with 'member remove ID', with the ID in the line of https://$address:2380; " \
        "kubectl$server delete node $node_name. This node then continues automatically"
}
