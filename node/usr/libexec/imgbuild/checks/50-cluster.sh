# shellcheck shell=bash disable=SC2154 # set by verify.conf and cluster.conf
# The node in its cluster, checked from the node itself. Before first boot is done these checks are skipped; from then
# on they can fail.

# shellcheck source=../lib/certificates.sh
source "$here/lib/certificates.sh"

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

# kube WORDS...: kubectl with this node's best credentials: a worker's kubelet may read little.
kube() {
    local config=$R/etc/kubernetes/admin.conf
    if [[ ! -e $config ]]; then
        config=$R/etc/kubernetes/kubelet.conf
    fi
    KUBECONFIG=$config ask kubectl --request-timeout=10s "$@"
}

# The container images of the disk image: without a registry, one that was removed stops its pods.
check_images() {
    local list=$R/usr/share/imgbuild/preload/images.list have name digest missing='' count=0
    if [[ ! -e $list ]]; then
        skip "loaded" "this image has none"
        return
    fi
    in_cluster "loaded" || return 0
    have=$(ask ctr -n k8s.io images list | awk '{ print $1, $3 }') || have=''
    while read -r name digest; do
        count=$((count + 1))
        if [[ $'\n'$have$'\n' != *$'\n'"$name $digest"$'\n'* ]]; then
            missing+="${missing:+, }$name"
        fi
    done < "$list"
    if [[ -z $missing ]]; then
        pass "loaded" "$count names"
    else
        fail "loaded" "missing: $missing" "ctr -n k8s.io images import ${list%.list}.tar"
    fi
}

check_node_ready() {
    local ready addresses
    in_cluster "Ready" || return 0
    if ! active kubelet.service; then
        fail "Ready" "kubelet.service is not active" "journalctl -u kubelet"
        return
    fi
    ready=$(kube get node "$node_name" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') ||
        ready='no answer from the API server'
    # With dual stack the kubelet reports an address of each family, the main one first.
    if [[ $ready == True && -n $second_family ]]; then
        addresses=$(kube get node "$node_name" --output \
            'jsonpath={range .status.addresses[?(@.type=="InternalIP")]}{.address}{" "}{end}') || addresses=''
        if [[ $addresses != *.* || $addresses != *:* ]]; then
            fail "Ready, with an address of each family" "Ready, with ${addresses:-no address}" \
                "does the node have an address for IPv$second_family (ip address)? /var/lib/kubelet/kubeadm-flags.env has --node-ip"
            return
        fi
    fi
    if [[ $cilium == no && $ready == False ]]; then
        skip "Ready" "not Ready: imgbuild does not manage the network (cilium.enabled is false)"
    else
        expect "True" "${ready:-no such condition}" "kubectl describe node $node_name; journalctl -u kubelet"
    fi
}

# A node holds the virtual address, and an API server of this cluster answers there.
check_vip() {
    local where=$vip words holder=''
    in_cluster "an answer at the virtual address" || return 0
    if [[ -z $vip ]]; then
        skip "an answer at the virtual address" "the cluster has none"
        return
    fi
    [[ $vip == *:* ]] && where="[$vip]"
    if ! words=$(timeout 30 curl --silent --show-error --noproxy '*' --max-time 10 --output /dev/null \
        --cacert "$R/etc/kubernetes/pki/ca.crt" "https://$where:$api_port/livez" 2>&1); then
        fail "an answer at $where:$api_port" "${words//$'\n'/ }" \
            "kubectl --namespace kube-system get lease plndr-cp-lock; on each control plane: crictl ps --all --name kube-vip"
        return
    fi
    if [[ "$(ip -o address show 2>/dev/null)" == *" $vip/"* ]]; then
        holder=', held by this node'
    elif [[ -e $R/etc/kubernetes/admin.conf ]]; then
        holder=$(kube get lease plndr-cp-lock --namespace kube-system --output 'jsonpath={.spec.holderIdentity}') || holder=''
        holder=${holder:+, held by $holder}
    fi
    pass "an answer at $where:$api_port" "$where:$api_port answers$holder"
}

# An API server of this cluster answers behind this node's balancer. Names the control planes that do not answer.
check_balancer() {
    local words at mute=''
    in_cluster "an answer at this node's balancer" || return 0
    if [[ -z $balancer ]]; then
        skip "an answer at this node's balancer" "the cluster has none"
        return
    fi
    if ! words=$(timeout 30 curl --silent --show-error --noproxy '*' --max-time 10 --output /dev/null \
        --cacert "$R/etc/kubernetes/pki/ca.crt" "https://$balancer/livez" 2>&1); then
        fail "an answer at $balancer" "${words//$'\n'/ }" \
            "crictl ps --all --name balancer; do the control planes run ($balancer_members)?"
        return
    fi
    for at in $balancer_members; do
        if ! timeout 30 curl --silent --noproxy '*' --max-time 5 --output /dev/null \
            --cacert "$R/etc/kubernetes/pki/ca.crt" "https://$at/livez" 2>/dev/null; then
            mute+=${mute:+, }$at
        fi
    done
    pass "an answer at $balancer" "$balancer answers${mute:+; no answer from $mute}"
}

# On a control plane: kubeadm's certificates, which imgbuild-upkeep.timer renews long before they expire, and the CAs'
# certificates, which nothing renews. The check fails from 60 days before the end; for a life of less than 360 days,
# from the last sixth of it.
check_certificates() {
    local file dates name left limit first='' first_left='' late='' wanted="more than 60 days left"
    in_cluster "$wanted" || return 0
    if [[ ! -s $R/etc/kubernetes/pki/apiserver.crt ]]; then
        skip "$wanted" "a worker has only the kubelet's certificate, which the kubelet renews"
        return
    fi
    note_ca_begins "$R/etc/kubernetes"
    for file in "${leaf_certificates[@]}" "${ca_certificates[@]}"; do
        name=$file
        [[ -s $R/etc/kubernetes/$file ]] || continue
        if ! dates=$(dates_of "$R/etc/kubernetes/$file"); then
            late+="$name contains no certificate; "
            continue
        fi
        left=$((${dates#* } - $(date +%s)))
        limit=$(((${dates#* } - ${dates% *}) / 6))
        if ((limit > 60 * 86400)); then
            limit=$((60 * 86400))
        fi
        if ((left < limit)); then
            late+="$name expires on $(date -u -d "@${dates#* }" +%Y-%m-%d); "
        fi
        if [[ -z $first || $left -lt $first_left ]]; then
            first="$name expires on $(date -u -d "@${dates#* }" +%Y-%m-%d)" first_left=$left
        fi
    done
    if [[ -n $late ]]; then
        fail "$wanted" "$late" "journalctl -u imgbuild-upkeep; docs/how-to/certificates.md"
    else
        pass "$wanted" "the first, $first"
    fi
}

# kube-proxy's chains, in nftables and in legacy iptables; the kubelet's (KUBE-FIREWALL, KUBE-KUBELET-CANARY) are fine.
check_no_kube_proxy() {
    local rules='' more command looked=''
    in_cluster "no kube-proxy chains" || return 0
    for command in 'nft list ruleset' iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
        # shellcheck disable=SC2086 # words
        if has ${command%% *} && more=$(ask $command); then
            rules+=$more$'\n'
            looked=yes
        fi
    done
    if [[ -z $looked ]]; then
        fail "no kube-proxy chains" "neither nft nor iptables-save answers" "are nftables or iptables installed?"
        return
    fi
    rules=$(grep -oE 'KUBE-(SVC|SEP)-[A-Z0-9]+|KUBE-(SERVICES|NODEPORTS|PROXY-CANARY)' <<<"$rules" | sort -u |
        awk 'NR <= 5') || rules=''
    expect "no kube-proxy chains" "${rules:-no kube-proxy chains}" \
        "kube-proxy ran here: delete its DaemonSet and reboot"
}

# Prints what is missing if pods have no DNS server to ask either: CoreDNS then exits at once (its plugins forward and
# loop), and only its log has the reason.
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
        skip "available" "a worker may not read it; run the check on a control plane"
        return
    fi
    count=$(kube get deployment coredns --namespace kube-system --output 'jsonpath={.status.availableReplicas}') ||
        count='no answer from the API server'
    if [[ $count =~ ^[1-9][0-9]*$ ]]; then
        pass "available" "$count available"
    elif [[ $cilium == no ]]; then
        skip "available" "${count:-none available}: imgbuild does not manage the network (cilium.enabled is false)"
    else
        none=$(without_dns)
        fail "available" "${count:-none available}$none" \
            "${none:+CoreDNS does not start without one: set dns: of the network to any address; }kubectl --namespace \
kube-system describe pods -l k8s-app=kube-dns"
    fi
}

# An addon is marked when it was ready; the mark goes when a new seed changes it (firstboot.d/75-addons).
check_addons() {
    local conf=$R/etc/imgbuild/addons.conf names name left=''
    if [[ ! -e $conf ]]; then
        skip "applied" "the seed has no addons"
        return
    fi
    in_cluster "applied" || return 0
    if [[ "$(cat "$R/var/lib/imgbuild/kubeadm.way" 2>/dev/null)" != init ]]; then
        skip "applied" "the node that created the cluster applies them"
        return
    fi
    names=$(sed -n 's/^addon name=\([a-z0-9-]*\) .*/\1/p' "$conf" 2>/dev/null) || names=''
    for name in $names; do
        if [[ ! -e $R/var/lib/imgbuild/addons/$name ]]; then
            left+="${left:+, }$name"
        fi
    done
    if [[ -z $left ]]; then
        pass "applied" "${names//$'\n'/, }"
    else
        fail "applied" "not ready: $left" "journalctl -u imgbuild-upkeep; cat /var/log/imgbuild/firstboot.log"
    fi
}
