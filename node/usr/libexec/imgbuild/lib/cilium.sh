# What Cilium's agent leaves on a node when its pod is gone: links, programs, rules. Sourced by imgbuild-reset, which
# defines say and wrong. What is not recognised as the agent's own stays.
# shellcheck shell=bash disable=SC2154 # R and cluster.conf

# Each iptables that this node has, of both families. If iptables is one of the two others, its work is done twice.
cilium_iptables() {
    local name
    for name in iptables iptables-nft iptables-legacy ip6tables ip6tables-nft ip6tables-legacy; do
        if [[ $(type -t "$name") == file && $(type -t "$name-save") == file ]]; then
            printf '%s\n' "$name"
        fi
    done
}

# jumps CHAIN: prints the numbers of the rules on stdin (iptables --list-rules CHAIN) that jump to one of Cilium's
# chains, the last first. The text of comments does not count.
jumps() {
    awk -v chain="$1" '
        { gsub(/"([^"\\]|\\.)*"/, "") }
        $1 == "-A" && $2 == chain {
            number++
            for (at = 3; at < NF; at++) {
                if (($at == "-j" || $at == "-g") && $(at + 1) ~ /^(OLD_)?CILIUM_/)
                    print number
            }
        }' | sort -rn
}

# Removes the chains CILIUM_* and OLD_CILIUM_* of all tables, and the rules that jump to them: by number, because the
# text of a rule (its comment has quotes) cannot be passed back without parsing it as a shell does.
drop_iptables() {
    local tables table chain chains number rules way
    tables=$("$1-save" 2>/dev/null | awk '
        /^\*/ { table = substr($1, 2) }
        /^:/ && substr($1, 2) ~ /^(OLD_)?CILIUM_/ { print table }' | sort -u) || return 0
    for table in $tables; do
        rules=$("$1" --wait 10 --table "$table" --list-rules) || return 1
        chains=$(awk '$1 == "-P" || ($1 == "-N" && $2 !~ /^(OLD_)?CILIUM_/) { print $2 }' <<<"$rules")
        for chain in $chains; do
            for number in $(jumps "$chain" <<<"$rules"); do
                "$1" --wait 10 --table "$table" --delete "$chain" "$number" || return 1
            done
        done
        # All of them are emptied first: one may jump to another.
        chains=$(awk '$1 == "-N" && $2 ~ /^(OLD_)?CILIUM_/ { print $2 }' <<<"$rules")
        for way in --flush --delete-chain; do
            for chain in $chains; do
                "$1" --wait 10 --table "$table" "$way" "$chain" || return 1
            done
        done
    done
}

# Rules and routes (pkg/datapath/linux/linux_defaults): the agent's tables and marks, and the rule of the table "local",
# which it moves behind its own. Its routes to other nodes have a gateway and the protocol "kernel", which the kernel's own
# never have together.
drop_routes() {
    local family rules routes preference rest destination words tables
    for family in -4 -6; do
        rules=$(ip "$family" rule show 2>/dev/null) || continue
        if [[ $'\n'$rules == *$'\n100:'*'from all lookup local'* ]]; then
            if [[ $'\n'$rules != *$'\n0:'*'from all lookup local'* ]]; then
                ip "$family" rule add pref 0 from all lookup local proto kernel 2>/dev/null ||
                    ip "$family" rule add pref 0 from all lookup local || return 1 # before iproute2 4.17
            fi
            ip "$family" rule delete pref 100 from all lookup local || return 1
        fi
        tables='2004 2005'
        while IFS=$': \t' read -r preference rest; do
            if [[ $rest =~ fwmark\ (0x[0-9a-f]+/0xf00)\ .*lookup\ (200|201|202|2004|2005)( |$) ]]; then
                ip "$family" rule delete pref "$preference" fwmark "${BASH_REMATCH[1]}" lookup "${BASH_REMATCH[2]}" || return 1
                tables+=" ${BASH_REMATCH[2]}"
            fi
        done <<<"$rules"
        for rest in $tables; do
            if [[ -n "$(ip "$family" route show table "$rest" 2>/dev/null)" ]]; then
                ip "$family" route flush table "$rest" || return 1
            fi
        done
        routes=$(ip "$family" route show 2>/dev/null) || return 1
        while read -r destination words; do
            if [[ " $words " == *' proto kernel '* && $words =~ (via\ [^ ]+\ dev\ [^ ]+) ]]; then
                # shellcheck disable=SC2086 # words
                ip "$family" route delete "$destination" ${BASH_REMATCH[1]} proto kernel || return 1
            fi
        done <<<"$routes"
    done
}

# drop_filters LINK WAY: the agent's own programs on a link's clsact, each by its place, and the clsact when nothing else is
# left on it.
drop_filters() {
    local line protocol preference handle kind filters found=''
    filters=$(tc filter show dev "$1" "$2" 2>/dev/null) || return 0
    while IFS= read -r line; do
        if [[ $line =~ ^filter\ (parent\ [^ ]+\ )?protocol\ ([^ ]+)\ pref\ ([0-9]+)\ ([a-z]+)\ .*handle\ (0x[0-9a-f]+)\ .*cil_ ]]; then
            protocol=${BASH_REMATCH[2]} preference=${BASH_REMATCH[3]} kind=${BASH_REMATCH[4]} handle=${BASH_REMATCH[5]}
            tc filter delete dev "$1" "$2" protocol "$protocol" pref "$preference" handle "$handle" "$kind" || return 1
            found=yes
        fi
    done <<<"$filters"
    [[ -n $found ]] || return 0
    if [[ -z "$(tc filter show dev "$1" ingress 2>/dev/null)$(tc filter show dev "$1" egress 2>/dev/null)" ]]; then
        tc qdisc delete dev "$1" clsact 2>/dev/null || true # another program has an ingress qdisc
    fi
}

# drop_xdp LINK: removes a program that the agent attached without a pin, as before kernel 5.7. Old iproute versions do
# not print its name: then it counts as the agent's if XDP was requested. A program may remain for a moment after its
# pin.
drop_xdp() {
    local shown try
    for ((try = 0; try < 5; try++)); do
        shown=$(ip -details link show dev "$1" 2>/dev/null) || return 0
        if ! [[ $shown =~ \ xdp([a-z]*)(/id:[0-9]+)?\  ]] || [[ $shown == *prog/xdp*' name '* && $shown != *' name cil_'* ]] ||
            [[ $shown != *' name '* && $cilium_acceleration != @(native|best-effort) ]]; then
            return 0
        fi
        ((try == 0)) || sleep 1
        ip link set dev "$1" "xdp${BASH_REMATCH[1]}" off 2>/dev/null || true
    done
    return 1
}

forget_cilium() {
    local path link name
    if [[ -d $R/run/cilium/cgroupv2 ]]; then
        umount "$R/run/cilium/cgroupv2" 2>/dev/null || true # not mounted, or gone with the next boot
    fi
    # Pinned maps and links first: without its pin the kernel releases a program, and as long as a link is pinned
    # nothing else can detach its program.
    for path in "$R"/sys/fs/bpf/tc/globals/cilium_* "$R"/sys/fs/bpf/cilium; do
        if [[ -e $path ]]; then
            rm -rf "$path" || wrong "$path remains"
        fi
    done
    rmdir "$R/sys/fs/bpf/tc/globals" "$R/sys/fs/bpf/tc" 2>/dev/null || true # not there, or others' are in it
    for path in "$R"/sys/class/net/*; do
        link=${path##*/}
        case $link in
            # cilium_net is deleted together with cilium_host: they are a pair.
            cilium_* | lxc*)
                ip link delete dev "$link" 2>/dev/null || [[ ! -e $path ]] || wrong "the interface $link remains"
                continue
                ;;
        esac
        if [[ $(type -t tc) == file ]]; then
            { drop_filters "$link" ingress && drop_filters "$link" egress; } || wrong "tc keeps Cilium's program on $link"
        fi
        drop_xdp "$link" || wrong "$link keeps Cilium's XDP program"
    done
    drop_routes || wrong "Cilium's routing rules or routes remain: ip rule; ip route show table all"
    for name in $(cilium_iptables); do
        drop_iptables "$name" || wrong "$name keeps Cilium's chains"
    done
    if [[ $(type -t ipset) == file ]]; then
        for name in cilium_node_set_v4 cilium_node_set_v6; do
            if ipset list -name "$name" >/dev/null 2>&1; then
                ipset destroy "$name" || wrong "the ipset $name remains"
            fi
        done
    fi
    rm -rf --one-file-system "$R/run/cilium" "$R/tmp/cilium-bootstrap.d"
    rm -f "$R/opt/cni/bin/cilium-cni" "$R/etc/sysctl.d/99-zzz-override_cilium.conf"
}
