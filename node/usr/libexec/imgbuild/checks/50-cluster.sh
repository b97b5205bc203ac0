# shellcheck shell=bash disable=SC2154 # set by verify.conf and cluster.conf
# The node in its cluster, asked on the node itself. Before first boot is done nothing of this can be said, and is no
# failure; from then on it is.

# shellcheck source=../lib/json.sh
source "$here/lib/json.sh"
# shellcheck source=../lib/agent.sh
source "$here/lib/agent.sh"
# shellcheck source=../lib/xdp.sh
source "$here/lib/xdp.sh"

# Sets where to first boot's stage and state, if it is not done.
first_boot_stands() {
    local line
    where='not begun'
    line=$(slurp /run/imgbuild/status.json)
    if [[ $line =~ \"stage\":\ \"([a-z]+)\",\ \"state\":\ \"([a-z]+)\" ]]; then
        where="${BASH_REMATCH[1]}: ${BASH_REMATCH[2]}"
    fi
}

check_first_boot() {
    local where error=''
    if [[ -z $node_role && ! -e $R/etc/imgbuild/cluster.conf ]]; then
        skip "done" "no seed of a cluster"
    elif [[ -e $R/var/lib/imgbuild/firstboot.done ]]; then
        pass "done" "done"
    else
        first_boot_stands
        if [[ $where == *': failed' || $where == *': retrying' ]]; then
            error=$(slurp /run/imgbuild/status.json)
            error=${error##*\"error\": \"}
            fail "done" "$where: ${error%\"\}}" "imgbuild-status; /var/log/imgbuild/firstboot.log"
        else
            skip "done" "$where"
        fi
    fi
}

# in_cluster WANTED: true once first boot is done, or in its own last stage; else the check is skipped.
in_cluster() {
    local where
    if [[ -e $R/var/lib/imgbuild/firstboot.done || ${IMGBUILD_FIRSTBOOT:-} == verify ]]; then
        return 0
    fi
    first_boot_stands
    skip "$1" "no cluster yet: first boot is $where"
    return 1
}

# kube WORDS...: kubectl with this node's best credentials: a worker's kubelet may look at little.
kube() {
    local config=$R/etc/kubernetes/admin.conf
    if [[ ! -e $config ]]; then
        config=$R/etc/kubernetes/kubelet.conf
    fi
    KUBECONFIG=$config ask kubectl --request-timeout=10s "$@"
}

check_node_ready() {
    local ready
    in_cluster "Ready" || return 0
    if ! active kubelet.service; then
        fail "Ready" "kubelet.service is not active" "journalctl -u kubelet"
        return
    fi
    ready=$(kube get node "$node_name" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') ||
        ready='no answer from the API server'
    if [[ $cilium == no && $ready == False ]]; then
        skip "Ready" "not Ready: the network is not imgbuild's (cilium.enabled is false)"
    else
        expect "True" "${ready:-no such condition}" "kubectl describe node $node_name; journalctl -u kubelet"
    fi
}

# kube-proxy's chains in both worlds of netfilter; the kubelet's own (KUBE-FIREWALL, KUBE-KUBELET-CANARY) are fine.
check_no_kube_proxy() {
    local rules='' more command looked=''
    in_cluster "no chains of kube-proxy" || return 0
    for command in 'nft list ruleset' iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
        # shellcheck disable=SC2086 # words
        if has ${command%% *} && more=$(ask $command); then
            rules+=$more$'\n'
            looked=yes
        fi
    done
    if [[ -z $looked ]]; then
        fail "no chains of kube-proxy" "neither nft nor iptables-save answers" "are nftables or iptables installed?"
        return
    fi
    rules=$(grep -oE 'KUBE-(SVC|SEP)-[A-Z0-9]+|KUBE-(SERVICES|NODEPORTS|PROXY-CANARY)' <<<"$rules" | sort -u |
        awk 'NR <= 5') || rules=''
    expect "no chains of kube-proxy" "${rules:-no chains of kube-proxy}" \
        "kube-proxy ran here: delete its DaemonSet and reboot"
}

check_cilium() {
    local state='no answer from cilium-agent'
    in_cluster "Ok" || return 0
    if read_status; then
        state=${agent_status[cilium.state]:-no state in its status}
    fi
    expect "Ok" "$state" "crictl ps --name cilium-agent; kubectl --namespace kube-system logs ds/cilium"
}

# Prints NAMESPACE/NAME of each service in the agent's list, one a line. Each has an entry a port, and in an entry it is
# there twice: as it was asked for (spec) and as it is (status.realized).
cilium_services() {
    ask_agent service list | awk -F '[.=]' '
        $2 == "spec" && $3 == "flags" && $4 == "name" { name[$1] = $5 }
        $2 == "spec" && $3 == "flags" && $4 == "namespace" { space[$1] = $5 }
        END {
            for (number in name)
                print space[number] "/" name[number]
        }' | sort -u
}

check_cilium_services() {
    local list count
    in_cluster "default/kubernetes in the list" || return 0
    if ! list=$(cilium_services); then
        fail "default/kubernetes in the list" "no answer from cilium-agent" "crictl ps --name cilium-agent"
    elif [[ $'\n'$list$'\n' == *$'\n'default/kubernetes$'\n'* ]]; then
        count=$(wc -l <<<"$list")
        pass "default/kubernetes in the list" "default/kubernetes and $((count - 1)) more"
    else
        fail "default/kubernetes in the list" "it is not there" "cilium-dbg service list, in the agent"
    fi
}

# row WHAT WANTED FOUND: one line of the data path; adds to wanted, there and, where they differ, to bad.
row() {
    wanted+="${wanted:+, }$1 $2" there+="${there:+, }$1 $3"
    if [[ $2 != "$3" && $3 != "$2 ("* ]]; then
        bad=yes
    fi
}

# XDP: the status repeats the setting only, and what is attached shows on the links.
xdp_row() {
    local setting=${agent_status[kube-proxy-replacement.features.nodePort.acceleration]:-unknown} list='' number name mode all=yes
    for ((number = 0; ; number++)); do
        name=${agent_status[kube-proxy-replacement.devices.$number]:-}
        [[ -n $name ]] || break
        mode=$(xdp_mode "$name")
        list+="${list:+, }$name $mode"
        [[ $mode == native ]] || all=''
    done
    setting=${setting,,}
    if [[ $cilium_acceleration == native && $setting == native && (-z $all || -z $list) ]]; then
        setting='not attached'
    fi
    row XDP "$cilium_acceleration" "$setting (${list:-no device})"
}

# The data path in force, not the one in the values: Cilium falls back to another with one line in a log.
check_cilium_datapath() {
    local routing host kpr=no wanted='' there='' bad='' look problems
    in_cluster "what was asked for" || return 0
    if ! read_status; then
        fail "what was asked for" "no answer from cilium-agent" "crictl ps --name cilium-agent"
        return
    fi
    routing=${agent_status[routing.inter-host-routing-mode]:-unknown}
    host=${agent_status[routing.intra-host-routing-mode]:-${agent_status[host-routing.mode]:-unknown}}
    if [[ ${agent_status[kube-proxy-replacement.mode]:-} == True || ${agent_status[kube-proxy-replacement.mode]:-} == Strict ]]; then
        kpr=yes
    fi
    if [[ -n $cilium_routing ]]; then
        row routing "$cilium_routing" "${routing,,}"
    fi
    if [[ -n $cilium_host_routing ]]; then
        row "host routing" "$cilium_host_routing" "${host,,}"
    fi
    look="kubectl --namespace kube-system logs ds/cilium | grep -i -e fall -e routing -e xdp"
    if [[ $cilium_acceleration == native || $cilium_acceleration == best-effort ]]; then
        xdp_row
        if [[ -n $bad ]]; then
            problems=$(xdp_problems)
            look="${problems:+${problems//$'\n'/; }; }$look"
        fi
    fi
    row "kube-proxy replacement" "$cilium_kpr" "$kpr"
    if [[ -n $bad ]]; then
        fail "$wanted" "$there" "$look"
    else
        pass "$wanted" "$there"
    fi
}

# Prints what is missing where pods, too, have no DNS server to ask: CoreDNS ends at once then (its plugins forward and
# loop), and the reason is in its log only.
without_dns() {
    local file=$R/run/systemd/resolve/resolv.conf servers
    if [[ ! -r $file ]]; then
        file=$R/etc/resolv.conf
    fi
    servers=$(sed -n 's/^nameserver[[:space:]]*//p' "$file" 2>/dev/null | grep -vE '^(127\.|::1([[:space:]]|$))') || servers=''
    if [[ -z $servers ]]; then
        echo "; this node has no DNS server"
    fi
}

check_coredns() {
    local count none
    in_cluster "available" || return 0
    if [[ ! -e $R/etc/kubernetes/admin.conf ]]; then
        skip "available" "a worker may not ask; a control plane tells"
        return
    fi
    count=$(kube get deployment coredns --namespace kube-system --output 'jsonpath={.status.availableReplicas}') ||
        count='no answer from the API server'
    if [[ $count =~ ^[1-9][0-9]*$ ]]; then
        pass "available" "$count available"
    elif [[ $cilium == no ]]; then
        skip "available" "${count:-none available}: the network is not imgbuild's (cilium.enabled is false)"
    else
        none=$(without_dns)
        fail "available" "${count:-none available}$none" \
            "${none:+CoreDNS does not start without one: give the network a dns: of any address; }kubectl --namespace \
kube-system describe pods -l k8s-app=kube-dns"
    fi
}
