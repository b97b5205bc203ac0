# Which devices Cilium takes on this node, and whether they can do native XDP (loadBalancer.acceleration). Sourced by
# first boot and by verify, after cluster.conf. ethtool may be missing: sysfs knows the driver.
# shellcheck shell=bash disable=SC2154 # R, cilium_devices, node_ip

# Prints the kernel from which on DRIVER has native XDP; nothing: no kernel is known to. The names are sysfs's, of what
# there is on x86-64 (docs.cilium.io, "Drivers supporting native XDP").
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

# xdp_driver DEVICE: bonding, vlan, bridge, what sysfs calls the card's driver, or nothing.
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
    # Enterprise Linux carries the drivers of later kernels back to its own 4.18.
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

# Prints the devices that Cilium takes, one a line: those that cilium_devices names (eth+ is a pattern), or else those
# with the default route and with the node's address (docs.cilium.io, "NodePort Devices").
xdp_devices() {
    local pattern patterns path name found=''
    read -ra patterns <<< "$cilium_devices"
    for pattern in ${patterns[@]+"${patterns[@]}"}; do
        for path in "$R"/sys/class/net/*; do
            name=${path##*/}
            if [[ $name == "$pattern" || ($pattern == *+ && $name == "${pattern%+}"*) ]]; then
                found+="$name"$'\n'
            fi
        done
    done
    if [[ -z $found ]]; then
        found=$(
            { ip -o route show default && ip -o -6 route show default; } 2> /dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p'
            if [[ -n $node_ip ]]; then
                ip -o address show 2> /dev/null | awk -v address="$node_ip/" 'index($4, address) == 1 { print $2 }'
            fi
        )
    fi
    sort -u <<< "$found" | sed '/^$/d'
}

# Prints why native XDP would not come up on this node, or nothing.
xdp_problems() {
    local name list problem
    list=$(xdp_devices)
    if [[ -z $list ]]; then
        echo "no device was found for it"
    fi
    for name in $list; do
        problem=$(xdp_problem "$name")
        if [[ -n $problem ]]; then
            printf '%s\n' "$problem"
        fi
    done
}
