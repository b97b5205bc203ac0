# Which devices Cilium uses on this node, and whether they support native XDP (loadBalancer.acceleration). Sourced by
# first boot and by verify, after cluster.conf. ethtool may be missing: sysfs knows the driver.
# shellcheck shell=bash disable=SC2154 # R, cilium_devices

# Prints the first kernel in which DRIVER has native XDP; nothing: no such kernel is known. The names are sysfs's, of
# the drivers on x86-64 (docs.cilium.io, "Drivers supporting native XDP").
xdp_since() {
    case $1 in
        mlx4_core) echo 4.8 ;;
        mlx5_core) echo 4.9 ;;
        nfp | qede | virtio_net) echo 4.10 ;;
        bnxt_en) echo 4.11 ;;
        ixgbe) echo 4.12 ;;
        i40e) echo 4.13 ;;
        ixgbevf) echo 4.17 ;;
        ice | sfc) echo 5.5 ;;
        ena | hv_netvsc) echo 5.6 ;;
        vif) echo 5.9 ;; # xen-netfront
        igb) echo 5.10 ;;
        igc) echo 5.13 ;;
        bonding) echo 5.15 ;;
        mana) echo 5.17 ;;
        funeth) echo 5.18 ;;
        atlantic) echo 5.19 ;;
        tsnep) echo 6.3 ;;
        gve) echo 6.4 ;;
        vmxnet3) echo 6.6 ;;
    esac
}

# xdp_driver DEVICE: prints bonding, vlan, bridge, the driver's name in sysfs, or nothing.
xdp_driver() {
    local class=$R/sys/class/net/$1 driver=''
    if [[ -d $class/bonding ]]; then
        driver=bonding
    elif [[ -L $class/device/driver ]]; then
        driver=$(readlink "$class/device/driver")
    elif [[ -r $class/uevent ]]; then
        driver=$(sed -n 's/^DEVTYPE=//p' "$class/uevent")
    fi
    printf '%s' "${driver##*/}"
}

# xdp_problem DEVICE: prints why it has no native XDP, or nothing.
xdp_problem() {
    local driver since release mode port problem
    driver=$(xdp_driver "$1")
    since=$(xdp_since "$driver")
    release=$(uname -r)
    if [[ -z $since ]]; then
        printf '%s (%s) has no native XDP' "$1" "${driver:-no driver}"
        return
    fi
    # Enterprise Linux backports the drivers of later kernels to its own 4.18.
    if [[ $release != *.el[0-9]* || $release == *.elrepo.* ]] &&
        [[ $(printf '%s\n' "$since" "$release" | sort -V | tail -n 1) != "$release" ]]; then
        printf '%s (%s) has native XDP from kernel %s on, this is %s' "$1" "$driver" "$since" "$release"
        return
    fi
    if [[ $driver == bonding ]]; then
        # drivers/net/bonding/bond_main.c, bond_xdp_check
        read -r mode _ < "$R/sys/class/net/$1/bonding/mode" || mode=''
        case $mode in
            balance-rr | active-backup | balance-xor | 802.3ad) ;;
            *) printf '%s is a bond with mode %s, which has no native XDP' "$1" "${mode:-unknown}" && return ;;
        esac
        for port in $(< "$R/sys/class/net/$1/bonding/slaves"); do
            problem=$(xdp_problem "$port")
            if [[ -n $problem ]]; then
                printf '%s: its port %s' "$1" "$problem"
                return
            fi
        done
    fi
}

# Prints the interfaces that Cilium selects by itself, one per line: those that are up and have an address and a route
# to a global unicast address, in any table; each address has one in the table "local". Not the ports of a bond or
# bridge, not bridges, and a veth only with the default route (pkg/datapath/linux/devices_controller.go,
# isSelectedDevice, the same from 1.14 to 1.20).
xdp_detected() {
    {
        ip -o link show | sed 's/^/link /'
        ip -o link show type veth | sed 's/^/veth /'
        ip -o link show type bridge | sed 's/^/bridge /'
        ip -o link show type openvswitch | sed 's/^/bridge /'
        ip -o address show | sed 's/^/address /'
        ip -o route show table all | sed 's/^/route /'
        ip -o -6 route show table all | sed 's/^/route /'
    } 2> /dev/null | awk -v release="$(uname -r)" '
        function name(text) {
            sub(/:$/, "", text)
            sub(/@.*/, "", text)
            return text
        }
        function unicast(to) {
            return to ~ /^[0-9a-f]*[.:]/ && to !~ /^(0\.0\.0\.0|127|169\.254|22[4-9]|23[0-9]|255\.255\.255\.255)(\.|\/|$)/ &&
                to !~ /^(::(1?(\/|$))|fe[89ab]|ff)/
        }
        BEGIN {
            split(release, part, /[.-]/)
            layer3 = part[1] * 1000 + part[2] >= 5008 # bpf_skb_change_head
        }
        $1 == "link" {
            link = name($3)
            flags = "," substr($4, 2, length($4) - 2) ","
            good = flags ~ /,UP,/ && flags !~ /,(SLAVE|LOOPBACK),/ && link !~ /^(cilium_|lo|lxc|cni|docker)/
            for (at = 5; at < NF; at++) {
                if ($at == "master" || ($at == "link/none" && !layer3))
                    good = 0
            }
            if ($NF == "link/none" && !layer3)
                good = 0
            if (good)
                links[link] = 1
        }
        $1 == "veth" { veth[name($3)] = 1 }
        $1 == "bridge" { bridge[name($3)] = 1 }
        $1 == "address" { has[$3] = 1 }
        $1 == "route" {
            to = $2 ~ /^(unicast|local|broadcast|anycast|multicast)$/ ? $3 : $2
            for (at = 3; at < NF; at++) {
                if ($at != "dev")
                    continue
                if (to == "default")
                    first[$(at + 1)] = 1
                else if (unicast(to))
                    global[$(at + 1)] = 1
            }
        }
        END {
            for (link in links) {
                if (has[link] && global[link] && !bridge[link] && (!veth[link] || first[link]))
                    print link
            }
        }' | sort
}

# Prints the devices that Cilium uses, one per line: those that cilium_devices names (eth+ is a pattern), which must be
# up and have an address; or else those that it selects. If it is given names it looks for no others.
xdp_devices() {
    local pattern patterns link
    read -ra patterns <<< "$cilium_devices"
    if ((${#patterns[@]} == 0)); then
        xdp_detected
        return
    fi
    { ip -o address show 2> /dev/null | awk '{ print $2 }' | sort -u; } | while read -r link; do
        if [[ "$(ip -o link show dev "$link" 2> /dev/null)" != *[\<,]UP[,\>]* ]]; then
            continue
        fi
        for pattern in "${patterns[@]}"; do
            if [[ $link == "$pattern" || ($pattern == *+ && $link == "${pattern%+}"*) ]]; then
                printf '%s\n' "$link"
                break
            fi
        done
    done
}

# Prints why native XDP would not come up on this node, or nothing.
xdp_problems() {
    local name list problem
    list=$(xdp_devices)
    if [[ -z $list && -n $cilium_devices ]]; then
        echo "cilium.values.devices is ${cilium_devices// /, }, and no interface of this node that is up and has an address" \
            "has such a name"
    elif [[ -z $list ]]; then
        echo "no interface of this node is up and has an address"
    fi
    for name in $list; do
        problem=$(xdp_problem "$name")
        if [[ -n $problem ]]; then
            printf '%s\n' "$problem"
        fi
    done
}
