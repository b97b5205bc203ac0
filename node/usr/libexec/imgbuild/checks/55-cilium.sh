# shellcheck shell=bash disable=SC2154 # set by verify.conf and cluster.conf
# Cilium on this node: what its agent reports and what is visible on the node. The agent reports Ok as soon as it runs,
# whether or not its data path came up.

# shellcheck source=../lib/json.sh
source "$here/lib/json.sh"
# shellcheck source=../lib/agent.sh
source "$here/lib/agent.sh"
# shellcheck source=../lib/xdp.sh
source "$here/lib/xdp.sh"

check_cilium() {
    local state='no answer from cilium-agent'
    in_cluster "Ok" || return 0
    if read_status; then
        state=${agent_status[cilium.state]:-no state in its status}
    fi
    expect "Ok" "$state" "crictl ps --name cilium-agent; kubectl --namespace kube-system logs ds/cilium"
}

# Prints NAMESPACE/NAME of each service in the agent's list, one per line. A service has one entry per port, and each
# entry has it twice: as requested (spec) and as it is (status.realized).
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
        fail "default/kubernetes in the list" "it is not in the list" "cilium-dbg service list, in the agent"
    fi
}

# few LIST: prints its first five lines as one, and how many more there are.
few() {
    local lines text
    mapfile -t lines <<<"$1"
    printf -v text '%s; ' "${lines[@]:0:5}"
    text=${text%; }
    ((${#lines[@]} <= 5)) || text+="; and $((${#lines[@]} - 5)) more"
    printf '%s' "$text"
}

# Prints "ready" or "STATE NAME" of each endpoint, one per line. Endpoints that are being removed are left out.
cilium_endpoints() {
    ask_agent endpoint list | awk '
        {
            at = index($0, "=")
            value = substr($0, at + 1)
            number = $0 + 0
            path = substr($0, 1, at - 1)
            sub(/^[0-9]+\./, "", path)
        }
        path == "id" { id[number] = value }
        path == "status.state" { state[number] = value }
        path == "status.external-identifiers.k8s-namespace" { space[number] = value "/" }
        path == "status.external-identifiers.k8s-pod-name" { pod[number] = value }
        path ~ /^status\.identity\.labels\.[0-9]+$/ && value ~ /^reserved:/ { label[number] = value }
        END {
            for (number in state) {
                if (state[number] == "ready")
                    print "ready"
                else if (state[number] !~ /^disconnect/) {
                    name = "endpoint " id[number]
                    if (number in pod)
                        name = space[number] pod[number]
                    else if (number in label)
                        name = label[number]
                    print state[number] " " name
                }
            }
        }' | sort
}

# Endpoints are regenerated now and then: only one that is not ready in several successive looks counts. First boot
# repeats the check itself.
check_cilium_endpoints() {
    local list bad='' name one try tries=6 before=''
    in_cluster "all ready" || return 0
    [[ ${IMGBUILD_FIRSTBOOT:-} != verify ]] || tries=1
    for ((try = 1; try <= tries; try++)); do
        ((try == 1)) || sleep 5
        if ! list=$(cilium_endpoints); then
            fail "all ready" "no answer from cilium-agent" "crictl ps --name cilium-agent"
            return
        elif [[ -z $list ]]; then
            bad='there is none'
            continue
        fi
        bad=''
        while read -r one name; do
            if [[ $one != ready && ($try == 1 || $before == *"|$name|"*) ]]; then
                bad+="${bad:+$'\n'}$name is $one"
            fi
        done <<<"$list"
        if [[ -z $bad ]]; then
            pass "all ready" "$(grep -c '^ready' <<<"$list" || true) ready"
            return
        fi
        before='|'
        while read -r one; do
            before+="${one% is *}|"
        done <<<"$bad"
    done
    fail "all ready" "$(few "$bad")" "kubectl --namespace kube-system logs ds/cilium | grep -i -e endpoint -e regenerat"
}

# Prints "VERDICT NAME: WHY" of each node that the agent probes, one per line: good; bad, where the node answers and its
# pods do not; down, where the node does not answer either; unknown, where nothing has been probed. Only HTTP counts:
# many networks drop ICMP. The endpoint of cilium-health represents the pods of its node; a node may have none.
cilium_paths() {
    in_agent cilium-health status -o json | json_lines | awk -v own="$node_name" '
        {
            at = index($0, "=")
            value = substr($0, at + 1)
            path = substr($0, 1, at - 1)
        }
        path == "local.name" && value != "" { self = value }
        path !~ /^nodes\.[0-9]+\./ { next }
        {
            split(path, part, ".")
            number = part[2]
            path = substr(path, length("nodes." number ".") + 1)
            if (path == "name")
                name[number] = value
        }
        path ~ /^host\.primary-address\.(http|icmp)\./ {
            kind = path ~ /\.http\./ ? "http" : "icmp"
            host[number, kind] = host[number, kind] == "" ? "yes" : host[number, kind]
            if (path ~ /\.status$/ && value != "") {
                host[number, kind] = "no"
                why[number] = value
            }
        }
        path ~ /^(health-)?endpoint\./ { has[number] = 1 }
        path ~ /^(health-)?endpoint\.(.*\.)?http\./ {
            probed[number] = 1
            if (path ~ /\.status$/ && value != "")
                error[number] = value
        }
        END {
            for (number in name) {
                up = host[number, "http"] == "yes" || host[number, "icmp"] == "yes"
                known = host[number, "http"] != "" || host[number, "icmp"] != ""
                if (number in error)
                    verdict = known && !up ? "down" : "bad"
                else if (number in has)
                    verdict = (number in probed) ? "good" : "unknown"
                else
                    verdict = up ? "good" : known ? "down" : "unknown"
                text = verdict == "bad" ? error[number] : verdict == "down" ? why[number] : ""
                mine = name[number] == self || name[number] == own || name[number] ~ ("/" own "$")
                print (mine && verdict == "good" ? "self" : verdict) " " name[number] (text == "" ? "" : ": " text)
            }
        }' | sort
}

# Whether the pods of this node and those of every other node reach each other. First boot of a node must not wait for
# another node that is switched off.
check_cilium_health() {
    local list kind rest good=0 bad='' down='' unknown='' wanted='every node reached' told look way
    in_cluster "$wanted" || return 0
    if ! list=$(cilium_paths); then
        fail "$wanted" "no answer from cilium-health" "crictl ps --name cilium-agent; cilium-health status, in the agent"
        return
    fi
    while read -r kind rest; do
        case $kind in
            self | good) good=$((good + 1)) ;;
            bad) bad+="${bad:+$'\n'}$rest" ;;
            down) down+="${down:+$'\n'}$rest" ;;
            unknown) unknown+="${unknown:+$'\n'}$rest" ;;
        esac
    done <<<"$list"
    look="cilium-health status, in the agent; ip route. Does something drop TCP port 4240 between the nodes? Are nodes in \
different subnets, which autoDirectNodeRoutes cannot join?"
    if [[ -n $bad ]]; then
        fail "$wanted" "pods cannot be reached on $(few "$bad")" "$look"
        return
    fi
    told="$good reached${unknown:+; not probed yet: $(few "$unknown")}${down:+; without any answer: $(few "$down")}"
    if [[ ${IMGBUILD_FIRSTBOOT:-} == verify ]]; then
        way=$(slurp /var/lib/imgbuild/kubeadm.way)
        if [[ $way == join && $'\n'$list != *$'\n'good\ * ]]; then
            fail "$wanted" "no other node has been probed yet" "cilium-health status, in the agent"
        elif ((good == 0)); then
            skip "$wanted" "no node has been probed yet"
        else
            pass "$wanted" "$told"
        fi
    elif [[ -n $down ]]; then
        fail "$wanted" "$told" "are these nodes switched on? kubectl get nodes"
    elif ((good == 0)); then
        skip "$wanted" "no node has been probed yet: the agent's first report takes some minutes"
    else
        pass "$wanted" "$told"
    fi
}

# row WHAT WANTED FOUND: one property of the data path; adds to wanted and there, and sets bad if they differ. What
# FOUND has in brackets after the word is only shown.
row() {
    wanted+="${wanted:+, }$1 $2" there+="${there:+, }$1 $3"
    if [[ $2 != "$3" && $3 != "$2 ("* ]]; then
        bad=yes
    fi
}

# XDP: the status only repeats the setting; the links show what is attached.
xdp_row() {
    local setting=${agent_status[kube-proxy-replacement.features.nodePort.acceleration]:-unknown}
    local list='' number name mode all=yes
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

# Sets big_tcp to the families that have BIG TCP: IPv4, IPv6, both or off. If a device refuses the size, the agent falls
# back to 64 KiB on all of them and still reports it as enabled (pkg/datapath/linux/bigtcp, startBIGTCP).
read_big_tcp() {
    local family size
    big_tcp=''
    for family in 4 6; do
        size=${agent_status[ipv$family-big-tcp.maxGSO]:-0}
        if [[ ${agent_status[ipv$family-big-tcp.enabled]:-} == true && $size =~ ^[0-9]+$ && $size -gt 65536 ]]; then
            big_tcp+="${big_tcp:+ }IPv$family"
        fi
    done
    big_tcp=${big_tcp:-off}
}

# Sets masquerading to bpf, iptables or off.
read_masquerading() {
    masquerading=off
    if [[ ${agent_status[masquerading.enabled]:-} == true ]]; then
        masquerading=${agent_status[masquerading.mode]:-unknown}
        masquerading=${masquerading,,}
    fi
}

# The data path in effect, not the one in the values: when Cilium falls back to another one, it only logs a line.
check_cilium_datapath() {
    local routing host kpr=no balancer big_tcp masquerading wanted='' there='' bad='' look problems
    in_cluster "what was asked for" || return 0
    if ! read_status; then
        fail "what was asked for" "no answer from cilium-agent" "crictl ps --name cilium-agent"
        return
    fi
    routing=${agent_status[routing.inter-host-routing-mode]:-unknown}
    host=${agent_status[routing.intra-host-routing-mode]:-${agent_status[host-routing.mode]:-unknown}}
    balancer=${agent_status[kube-proxy-replacement.features.nodePort.mode]:-off}
    # Strict up to 1.15
    if [[ ${agent_status[kube-proxy-replacement.mode]:-} == @(True|Strict) ]]; then
        kpr=yes
    fi
    if [[ -n $cilium_routing ]]; then
        row routing "$cilium_routing" "${routing,,}"
    fi
    if [[ -n $cilium_host_routing ]]; then
        row "host routing" "$cilium_host_routing" "${host,,}"
    fi
    if [[ -n $cilium_masquerading ]]; then
        read_masquerading
        row masquerading "$cilium_masquerading" "$masquerading"
    fi
    if [[ -n $cilium_balancer ]]; then
        row "load balancing" "$cilium_balancer" "${balancer,,}"
    fi
    if [[ -n $cilium_big_tcp ]]; then
        read_big_tcp
        row "BIG TCP" "$cilium_big_tcp" "$big_tcp"
    fi
    look="kubectl --namespace kube-system logs ds/cilium | grep -i -e fall -e disabl -e routing -e xdp"
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

# An agent that cannot use the bandwidth manager (no sch_fq, no net.core.default_qdisc) runs without it.
check_cilium_bandwidth() {
    local there=off
    in_cluster "$cilium_bandwidth" || return 0
    if ! read_status; then
        fail "$cilium_bandwidth" "no answer from cilium-agent" "crictl ps --name cilium-agent"
        return
    fi
    if [[ ${agent_status[bandwidth-manager.enabled]:-} == true ]]; then
        # cubic is the kernel's default
        there=on
        [[ ${agent_status[bandwidth-manager.congestionControl]:-} != bbr ]] || there='on, with BBR'
    fi
    expect "$cilium_bandwidth" "$there" "kubectl --namespace kube-system logs ds/cilium | grep -i bandwidth; modprobe sch_fq"
}
