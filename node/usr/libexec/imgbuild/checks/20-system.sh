# shellcheck shell=bash disable=SC2154 # set by verify.conf
# Time, modules, sysctls, network, SELinux, firewall, swap.

check_time_zone() {
    local link
    link=$(readlink "$R/etc/localtime") || link=''
    if [[ ! -e $R/usr/share/zoneinfo/$zone ]]; then
        fail "$zone" "there is no such zone in /usr/share/zoneinfo" "is tzdata installed?"
    else
        expect "$zone" "${link##*/zoneinfo/}" "timedatectl set-timezone $zone"
    fi
}

# The name servers of the seed are asked, and no default route is where the seed has none: on Enterprise Linux the seed's
# bootcmd sees to that, and NetworkManager may not have taken it.
check_network() {
    local name server wrong='' wanted="${seed_dns[*]-}"
    if [[ -z $seed ]]; then
        skip "the seed's" "no seed"
        return
    elif [[ -z $wanted${seed_no_default[*]-} ]]; then
        pass "the seed's" "the seed sets no name servers"
        return
    fi
    wanted="${wanted:+name servers $wanted}${seed_no_default[*]:+${wanted:+, }no default route on ${seed_no_default[*]-}}"
    for name in ${seed_no_default[@]+"${seed_no_default[@]}"}; do
        if [[ -n "$(ip -4 route show default dev "$name" 2>/dev/null)" ]]; then
            wrong+="${wrong:+, }a default route on $name"
        fi
    done
    for server in ${seed_dns[@]+"${seed_dns[@]}"}; do
        if ! own /etc/resolv.conf &&
            ! grep -qsxF "nameserver $server" "$R/etc/resolv.conf" "$R/run/systemd/resolve/resolv.conf"; then
            wrong+="${wrong:+, }$server is not in resolv.conf"
        fi
    done
    expect "$wanted" "${wrong:-$wanted}" "see /var/log/cloud-init.log and nmcli device show or networkctl status"
}

check_chrony() {
    local servers rival
    servers=$(awk '$1 == "server" || $1 == "pool" { printf "%s%s", (n++ ? " " : ""), $2 }' "$R$chrony_conf") || servers=''
    if ! active "$chrony_unit"; then
        fail "active" "$chrony_unit is not" "systemctl status $chrony_unit"
        return
    fi
    for rival in ${ntp_rivals[@]+"${ntp_rivals[@]}"}; do
        if active "$rival"; then
            fail "chrony alone" "$rival runs too" "systemctl mask --now $rival"
            return
        fi
    done
    if own "$chrony_conf"; then
        pass "chrony alone" "chrony alone; $chrony_conf is a file of your own"
        return
    fi
    expect "${ntp_servers[*]-}" "$servers" "see $chrony_conf"
}

# Never required: a machine without a network has no time source.
check_clock() {
    local status
    status=$(chronyc -n tracking 2>/dev/null | awk -F ' *: ' '$1 == "Leap status" { print $2 }') || status=''
    if [[ $status == Normal ]]; then
        pass "synchronised" "synchronised"
    else
        skip "synchronised" "${status:-chronyc does not answer} (no time source is reachable)"
    fi
}

check_modules() {
    local module missing=''
    for module in "${modules[@]}"; do
        [[ -d $R/sys/module/${module//-/_} ]] && continue
        grep -qsE "/${module//[-_]/[-_]}\.ko" "$R/lib/modules/$(uname -r)/modules.builtin" && continue
        missing+=" $module"
    done
    expect "${modules[*]}" "${missing:+missing:}${missing:-${modules[*]}}" "modprobe$missing; see systemd-modules-load"
}

check_sysctl() {
    local i value
    for ((i = 0; i < ${#sysctls[@]}; i += 3)); do
        [[ ${sysctls[i]} == "$1" ]] || continue
        # the numbers of a key are separated by tabs or blanks
        read -r -a value <<<"$(slurp "/proc/sys/${sysctls[i + 1]}")" || value=()
        expect "${sysctls[i + 2]}" "${value[*]-no such key}" "see systemd-sysctl and /etc/sysctl.d"
        return
    done
}

check_rp_filter() {
    local file name all value wrong='' count=0
    all=$(slurp /proc/sys/net/ipv4/conf/all/rp_filter)
    for file in "$R"/proc/sys/net/ipv4/conf/*/rp_filter; do
        name=${file%/rp_filter}
        name=${name##*/}
        value=$(cat "$file" 2>/dev/null) || continue
        count=$((count + 1))
        # The larger of the two is effective.
        if ((all > value)); then
            value=$all
        fi
        [[ $value == "$rp_filter" ]] || wrong+="$name=$value "
    done
    if ((count == 0)); then
        fail "$rp_filter" "no interface has a value"
    elif [[ -n $wrong ]]; then
        fail "$rp_filter on each interface" "${wrong% }" "/usr/libexec/imgbuild/rp-filter"
    else
        pass "$rp_filter on each interface" "$rp_filter on $count"
    fi
}

check_bpffs() {
    local type
    type=$(awk '$2 == "/sys/fs/bpf" { print $3 }' "$R/proc/mounts" | tail -n 1)
    expect "bpf" "${type:-not mounted}" "systemctl status sys-fs-bpf.mount"
}

check_cgroup() {
    local type
    type=$(stat -fc %T "$R/sys/fs/cgroup")
    case $type in
        cgroup2fs) type=v2 ;;
        tmpfs) type=v1 ;;
    esac
    expect "$cgroup" "$type" "set by systemd.unified_cgroup_hierarchy on the kernel's command line"
}

check_no_swap() {
    local swaps
    swaps=$(awk 'NR > 1 { printf "%s%s", (n++ ? " " : ""), $1 }' "$R/proc/swaps")
    expect "none" "${swaps:-none}" "swapoff -a, and its lines in /etc/fstab"
}

check_selinux() {
    local running='' file
    file=$(awk -F = '$1 == "SELINUX" { print $2 }' "$R/etc/selinux/config" 2>/dev/null) || file=''
    if has getenforce; then
        running=$(getenforce)
        running=${running,,}
    fi
    if [[ $file != "$selinux" ]]; then
        fail "$selinux" "/etc/selinux/config sets ${file:-nothing}" "set SELINUX=$selinux"
    else
        expect "$selinux" "${running:-getenforce is missing}" "run setenforce or reboot"
    fi
}

check_firewall() {
    local unit running=''
    for unit in "${firewall[@]}"; do
        if active "$unit"; then
            running+=" $unit"
        fi
    done
    expect "off" "${running:-off}" "systemctl mask --now$running"
}

check_network_manager() {
    local config name missing=''
    if ! active NetworkManager.service; then
        skip "leaves Cilium's interfaces alone" "NetworkManager does not run"
        return
    fi
    config=$(NetworkManager --print-config 2>/dev/null | grep '^unmanaged-devices') || config=''
    for name in "${unmanaged[@]}"; do
        [[ $config == *"interface-name:$name"* ]] || missing+=" $name"
    done
    expect "unmanaged: ${unmanaged[*]}" "${missing:+managed:}${missing:-unmanaged: ${unmanaged[*]}}" \
        "see /etc/NetworkManager/conf.d"
}

check_networkd() {
    local value
    value=$(systemd-analyze cat-config systemd/networkd.conf 2>/dev/null |
        awk -F = '$1 == "ManageForeignRoutes" || $1 == "ManageForeignRoutingPolicyRules" { last[$1] = $2 }
            END { print last["ManageForeignRoutes"] " " last["ManageForeignRoutingPolicyRules"] }') || value=''
    expect "no no" "$value" "see /etc/systemd/networkd.conf.d (foreign routes, foreign rules)"
}

# An agent has nothing to do on another hypervisor; qemu's also needs the port that the host gives it.
check_guest_agents() {
    local i agent unit here='' wanted='' got='' virtualization
    virtualization=$(systemd-detect-virt --vm 2>/dev/null) || true
    for ((i = 0; i < ${#guest_agents[@]}; i += 2)); do
        agent=${guest_agents[i]} unit=${guest_agents[i + 1]} here=''
        case $agent in
            vmware) if [[ $virtualization == vmware ]]; then here='yes'; fi ;;
            qemu) if [[ -e $R/dev/virtio-ports/org.qemu.guest_agent.0 ]]; then here='yes'; fi ;;
            hyperv) if [[ $virtualization == microsoft && -e $R/dev/vmbus/hv_kvp ]]; then here='yes'; fi ;;
        esac
        if [[ -z $here ]]; then
            wanted+="${wanted:+, }$agent: not here" got+="${got:+, }$agent: not here"
        else
            wanted+="${wanted:+, }$agent: $unit runs"
            if active "$unit"; then
                got+="${got:+, }$agent: $unit runs"
            else
                got+="${got:+, }$agent: $unit does not run"
            fi
        fi
    done
    expect "$wanted" "$got" "systemctl status"
}
