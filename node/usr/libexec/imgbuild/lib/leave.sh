# What `kubeadm reset` may leave of a control plane: its etcd member, the virtual address, the detour to another API
# server. Sourced by first boot, which undoes an attempt, and by imgbuild-reset.
# shellcheck shell=bash disable=SC2154 # cluster.conf sets them

# kube KUBECONFIG WORDS...
kube() {
    local config=$1
    shift
    kubectl --kubeconfig "$config" --request-timeout 10s "$@"
}

# etcd URL CERTIFICATES CALL JSON: sets answer; fails without one, and words has the reason. Uses etcd's JSON gateway
# (etcd.io/docs, dev-guide/api_grpc_gateway): a node has curl, and etcdctl is in etcd's image only.
etcd() {
    answer=$(curl --silent --show-error --noproxy '*' --max-time 10 --cacert "$2/ca.crt" \
        --cert "$2/healthcheck-client.crt" --key "$2/healthcheck-client.key" --data "$4" "$1/v3/cluster/member/$3" 2>&1) ||
        { words=${answer//$'\n'/ } && return 1; }
    if [[ $answer != *'"members":'* ]]; then
        words="etcd at $1: ${answer//$'\n'/ }"
        return 1
    fi
}

# find_member KUBECONFIG CERTIFICATES ADDRESS: sets member to the ID of etcd's member at ADDRESS, or to nothing, and other
# to the URL of another member that was asked (nothing: there is none). Fails if no member can be asked; words has the
# reason. kubeadm identifies its members by the peer URL, too.
find_member() {
    local host=$3 urls url path='{range .items[*]}{.metadata.annotations.kubeadm\.kubernetes\.io/etcd\.advertise-client-urls}{" "}{end}'
    member='' other='' words=''
    if [[ $host == *:* ]]; then
        host="[$host]"
    fi
    if ! urls=$(kube "$1" get pods --namespace kube-system --selector component=etcd,tier=control-plane \
        --output "jsonpath=$path" 2>&1); then
        words=${urls##*$'\n'}
        return 1
    fi
    for url in $urls; do
        if [ "$url" = "https://$host:2379" ]; then
            continue
        fi
        if etcd "$url" "$2" list '{}'; then
            other=$url
            # No brace is inside of a member.
            if [[ $answer =~ \"ID\":\"([0-9]+)\"[^{}]*\"peerURLs\":\[\"https://"$host":2380\" ]]; then
                member=${BASH_REMATCH[1]}
            fi
            words=''
            return 0
        fi
    done
    [ -z "$words" ]
}

# remove_member CERTIFICATES: removes the member that find_member found, if any. Fails if etcd refuses; words has the
# reason.
#
# kubeadm reset does so only if the API server knows the Node and its static pods, which it does not before a join is
# nearly done; otherwise reset still succeeds. A voting member without its data never comes back: of two members, the
# other loses the quorum, and the cluster is dead.
remove_member() {
    if [ -n "$member" ]; then
        etcd "$other" "$1" remove "{\"ID\": \"$member\"}"
    fi
}

# A kube-vip that was killed leaves the virtual address on the card.
drop_vip() {
    local link address
    if [ -z "$vip" ]; then
        return 0
    fi
    while read -r _ link _ address _; do
        if [ "${address%/*}" = "$vip" ]; then
            ip address delete "$address" dev "$link" || return 1
        fi
    done <<< "$(ip -o address show)"
}

# The detour of first boot (kubeadm.sh): a rule for this node's own packets, identified by its comment.
detour=imgbuild_endpoint
end_detour() {
    local tables rule
    for tables in iptables ip6tables; do
        while read -r rule; do
            if [[ $rule == "-A OUTPUT "*"$detour"* ]]; then
                rule=${rule//\"/}
                # shellcheck disable=SC2086 # words
                "$tables" -w -t nat -D ${rule#-A } || return 1
            fi
        done <<< "$("$tables" -w -t nat -S OUTPUT 2> /dev/null || true)"
    done
}
