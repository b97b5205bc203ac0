# shellcheck shell=bash disable=SC2154 # set by verify.conf and cluster.conf
# imgbuild-verify --deep: a temporary Service, reached the way pods and clients reach one. Its backend is CoreDNS, which
# runs anyway and has an HTTP port (9153, metrics), so no image is pulled for it. On a control plane only.

# shellcheck disable=SC2034 # verify adds them
deep_checks=(deep-cluster-ip deep-node-port deep-service-list deep-dns)
deep_service=imgbuild-verify

deep_remove() {
    trap - EXIT
    kube delete service "$deep_service" --namespace kube-system --ignore-not-found >/dev/null || true
}

# Creates the Service, and sets cluster_ip and node_port; both stay empty if that fails.
deep_begin() {
    local answer=''
    cluster_ip='' node_port=''
    if [[ ! -e $R/etc/kubernetes/admin.conf ]]; then
        return
    fi
    trap deep_remove EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    kube apply -f - >/dev/null <<END || return 0
apiVersion: v1
kind: Service
metadata: {name: $deep_service, namespace: kube-system}
spec:
  type: NodePort
  selector: {k8s-app: kube-dns}
  ports: [{port: 80, targetPort: 9153, protocol: TCP}]
END
    answer=$(kube get service "$deep_service" --namespace kube-system \
        --output 'jsonpath={.spec.clusterIP} {.spec.ports[0].nodePort}') || answer=''
    if [[ $answer =~ ^([0-9a-f.:]+)\ ([0-9]+)$ ]]; then
        cluster_ip=${BASH_REMATCH[1]} node_port=${BASH_REMATCH[2]}
    fi
}

# deep_ready WANTED: true if there is a Service to try
deep_ready() {
    in_cluster "$1" || return 1
    if [[ ! -e $R/etc/kubernetes/admin.conf ]]; then
        skip "$1" "a worker may not create a Service: run it on a control plane"
        return 1
    fi
    if [[ -z $cluster_ip ]]; then
        fail "$1" "the Service could not be created" "kubectl --namespace kube-system get service $deep_service"
        return 1
    fi
}

# reaches ADDRESS PORT: CoreDNS answers there, within a minute (a new Service takes a while to reach the data path)
reaches() {
    local address=$1 try
    [[ $address == *:* ]] && address="[$address]"
    for ((try = 0; try < 12; try++)); do
        if [[ "$(ask curl --silent --noproxy '*' --max-time 5 "http://$address:$2/metrics")" == *coredns_build_info* ]]; then
            pass "an answer at $address:$2" "CoreDNS at $address:$2"
            return
        fi
        sleep 5
    done
    fail "an answer at $address:$2" "none" "kubectl --namespace kube-system get endpointslices; imgbuild-verify"
}

check_deep_cluster_ip() {
    deep_ready "an answer at the ClusterIP" || return 0
    reaches "$cluster_ip" 80
}

check_deep_node_port() {
    local address
    deep_ready "an answer at the NodePort" || return 0
    address=$(kube get node "$node_name" --output 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}') || address=''
    address=${address%% *}
    if [[ -z $address ]]; then
        fail "an answer at the NodePort" "the node has no InternalIP" "kubectl get node $node_name --output wide"
    else
        reaches "$address" "$node_port"
        # The socket translates the address, on every node of the cluster: nothing went over the network.
        if [[ $verdict == true && $cilium_balancer == @(dsr|hybrid) ]]; then
            found+=", tried on this node; only a client outside the cluster shows whether DSR's answers arrive"
        fi
    fi
}

check_deep_service_list() {
    local list
    deep_ready "the Service in Cilium's list" || return 0
    if [[ $cilium == no ]]; then
        skip "the Service in Cilium's list" "imgbuild does not install Cilium"
    elif list=$(cilium_services) && [[ $'\n'$list$'\n' == *$'\n'"kube-system/$deep_service"$'\n'* ]]; then
        pass "the Service in Cilium's list" "it is in the list"
    else
        fail "the Service in Cilium's list" "it is not in the list, or cilium-agent does not answer" \
            "cilium-dbg service list, in the agent"
    fi
}

# dns_query SERVER NAME: prints the answer to a question for an A record, byte by byte in hex. Over TCP with bash alone:
# a node may lack dig.
dns_query() {
    local label part query='' size=17
    for label in ${2//./ }; do
        printf -v part '\\x%02x%s' "${#label}" "$label"
        query+=$part
        size=$((size + ${#label} + 1))
    done
    printf -v part '\\x00\\x%02x\\x00\\x2a\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00' "$size"
    # shellcheck disable=SC2016 # the inner bash expands it
    ask bash -c 'exec 3<>"/dev/tcp/$1/53" && printf "$2" >&3 &&
        size=$(dd bs=1 count=2 status=none <&3 | od -An -tu1) && set -- $size &&
        dd bs=1 count=$(($1 * 256 + $2)) status=none <&3 | od -An -v -tx1' dns "$1" "$part$query\\x00\\x00\\x01\\x00\\x01"
}

check_deep_dns() {
    local config server domain wanted bytes answer='no answer'
    deep_ready "kubernetes.default resolved" || return 0
    config=$(slurp /var/lib/kubelet/config.yaml)
    [[ $config =~ clusterDNS:[[:space:]]*-[[:space:]]*\"?([0-9a-f.:]+) ]] && server=${BASH_REMATCH[1]} || server=''
    [[ $config =~ clusterDomain:[[:space:]]*\"?([a-z0-9.-]+) ]] && domain=${BASH_REMATCH[1]} || domain=''
    wanted=$(kube get service kubernetes --namespace default --output 'jsonpath={.spec.clusterIP}') || wanted=''
    if [[ -z $server || -z $domain || -z $wanted ]]; then
        fail "kubernetes.default resolved" "no clusterDNS or clusterDomain, or no Service default/kubernetes" \
            "see /var/lib/kubelet/config.yaml"
        return
    fi
    if [[ $wanted == *:* ]]; then
        skip "kubernetes.default resolved" "this check supports IPv4 only"
        return
    fi
    read -r -d '' -a bytes < <(dns_query "$server" "kubernetes.default.svc.$domain") || true
    if ((${#bytes[@]} >= 16)); then
        answer="an error (code $((16#${bytes[3]} & 15)))"
        if ((16#${bytes[3]} % 16 == 0 && 16#${bytes[7]} > 0)); then
            printf -v answer '%d.%d.%d.%d' $((16#${bytes[${#bytes[@]} - 4]})) $((16#${bytes[${#bytes[@]} - 3]})) \
                $((16#${bytes[${#bytes[@]} - 2]})) $((16#${bytes[${#bytes[@]} - 1]}))
        fi
    fi
    expect "$wanted" "$answer" "CoreDNS at $server: kubectl --namespace kube-system logs -l k8s-app=kube-dns"
}
