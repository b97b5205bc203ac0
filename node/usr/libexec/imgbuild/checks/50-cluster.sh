# shellcheck shell=bash disable=SC2154 # set by verify.conf and cluster.conf
# The node in its cluster, asked on the node itself. Before first boot is done nothing of this can be said, and is no
# failure; from then on it is.

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
    if [[ -z $node_role ]]; then
        skip "done" "no seed of a cluster"
    elif [[ -e $R/var/lib/imgbuild/firstboot.done ]]; then
        pass "done" "done"
    else
        first_boot_stands
        if [[ $where == *': failed' ]]; then
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
    rules=$(grep -oE 'KUBE-(SVC|SEP)-[A-Z0-9]+|KUBE-(SERVICES|NODEPORTS|PROXY-CANARY)' <<<"$rules" | sort -u | head -n 5) ||
        rules=''
    expect "no chains of kube-proxy" "${rules:-no chains of kube-proxy}" \
        "kube-proxy ran here: delete its DaemonSet and reboot"
}

# Sets answer to what the agent on this node says to WORDS, as JSON without blanks. Its status is asked for once.
cilium_agent='' cilium_status=''
ask_cilium() {
    local program
    answer=''
    if [[ $* == status && -n $cilium_status ]]; then
        answer=$cilium_status
        return 0
    fi
    if [[ -z $cilium_agent ]]; then
        cilium_agent=$(ask crictl ps --name '^cilium-agent$' --state Running --quiet) || cilium_agent=''
        cilium_agent=${cilium_agent%%$'\n'*}
    fi
    if [[ -z $cilium_agent ]]; then
        return 1
    fi
    # cilium-dbg since 1.15
    for program in cilium-dbg cilium; do
        answer=$(ask crictl exec "$cilium_agent" "$program" "$@" -o json | tr -d ' \t\n') || answer=''
        if [[ $answer == [\{[]*[]\}] ]]; then
            if [[ $* == status ]]; then
                cilium_status=$answer
            fi
            return 0
        fi
    done
    answer=''
    return 1
}

check_cilium() {
    local answer state='no answer from cilium-agent'
    in_cluster "Ok" || return 0
    if ask_cilium status; then
        state='no state in its status'
        if [[ $answer =~ \"cilium\":\{[^}]*\"state\":\"([A-Za-z]+)\" ]]; then
            state=${BASH_REMATCH[1]}
        fi
    fi
    expect "Ok" "$state" "crictl ps --name cilium-agent; kubectl --namespace kube-system logs ds/cilium"
}

check_cilium_services() {
    local answer count rest
    in_cluster "default/kubernetes in the list" || return 0
    if ! ask_cilium service list; then
        fail "default/kubernetes in the list" "no answer from cilium-agent" "crictl ps --name cilium-agent"
    elif [[ $answer =~ \"name\":\"kubernetes\",\"namespace\":\"default\" ]]; then
        rest=${answer//\"frontend-address\":/}
        count=$(((${#answer} - ${#rest}) / 19))
        pass "default/kubernetes in the list" "default/kubernetes and $((count - 1)) more"
    else
        fail "default/kubernetes in the list" "it is not there" "cilium-dbg service list, in the agent"
    fi
}

# The data path in force, not the one in the values: Cilium falls back to another with one line in a log.
check_cilium_datapath() {
    local answer routing='' host='' kpr=no xdp='' wanted='' there='' look problems
    in_cluster "what was asked for" || return 0
    if ! ask_cilium status; then
        fail "what was asked for" "no answer from cilium-agent" "crictl ps --name cilium-agent"
        return
    fi
    if [[ $answer =~ \"inter-host-routing-mode\":\"([A-Za-z]+)\" ]]; then
        routing=${BASH_REMATCH[1],,}
    fi
    if [[ $answer =~ \"intra-host-routing-mode\":\"([A-Za-z]+)\" || $answer =~ \"host-routing\":\{\"mode\":\"([A-Za-z]+)\" ]]; then
        host=${BASH_REMATCH[1],,}
    fi
    # Encryption has a mode, too: these two words are only this one's.
    if [[ $answer =~ \"mode\":\"(True|Strict)\" ]]; then
        kpr=yes
    fi
    if [[ -n $cilium_routing ]]; then
        wanted+="routing $cilium_routing, " there+="routing ${routing:-not said}, "
    fi
    if [[ -n $cilium_host_routing ]]; then
        wanted+="host routing $cilium_host_routing, " there+="host routing ${host:-not said}, "
    fi
    look="kubectl --namespace kube-system logs ds/cilium | grep -i -e fall -e routing -e xdp"
    if [[ $cilium_acceleration == native || $cilium_acceleration == best-effort ]]; then
        [[ $answer =~ \"acceleration\":\{\"mode\":\"([A-Za-z-]+)\" ]] && xdp=${BASH_REMATCH[1],,} || xdp='not said'
        wanted+="XDP $cilium_acceleration, " there+="XDP $xdp, "
        if [[ $xdp != "$cilium_acceleration" ]]; then
            problems=$(xdp_problems)
            look="${problems:+${problems//$'\n'/; }; }$look"
        fi
    fi
    wanted+="kube-proxy replacement $cilium_kpr" there+="kube-proxy replacement $kpr"
    expect "$wanted" "$there" "$look"
}

# Prints what is missing where pods, too, have no DNS server to ask: CoreDNS ends at once then (its plugins forward and
# loop), and the reason is in its log only.
without_dns() {
    local file=$R/run/systemd/resolve/resolv.conf
    if [[ ! -r $file ]]; then
        file=$R/etc/resolv.conf
    fi
    if ! sed -n 's/^nameserver[[:space:]]*//p' "$file" 2>/dev/null | grep -qvE '^(127\.|::1([[:space:]]|$))'; then
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
