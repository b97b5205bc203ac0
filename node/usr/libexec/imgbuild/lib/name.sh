# The name of one of several machines with the same seed (count: in the cluster file). Sourced by firstboot.
# shellcheck shell=bash disable=SC2154 # stage.sh sets them

# Is it a name that other machines have, too? cloud-init makes the group's own name the host name where meta-data has no
# other, and the images of distributions come with theirs.
common_name() {
    local theirs='^(localhost|debian|centos|linux)([.].*)?$' valid='^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'
    [[ ${1%%.*} == "$group" || $1 =~ $theirs || $1 =~ ^[0-9.]+$ || ! $1 =~ $valid || ${#1} -gt 63 ]]
}

# settle_name: once. The name that the cloud gave, else the group's with eight digits of what this machine alone has. It
# stays, whatever DHCP reports later: the kubelet takes the host name each time it starts.
settle_name() {
    local group name own
    # shellcheck source=/dev/null
    group=$(group='' && . "$R/etc/imgbuild/cluster.conf" && printf '%s' "$group")
    if [ -z "$group" ] || [ -e "$state/node-name" ]; then
        return 0
    fi
    name=$(uname -n)
    name=${name,,}
    if common_name "$name"; then
        # Not every machine has all of them.
        own=$(cat "$R/etc/machine-id" "$R/sys/class/dmi/id/product_uuid" "$R"/sys/class/net/*/address 2> /dev/null || true)
        own=$(sha256sum <<< "$own")
        name=$group-${own:0:8}
    fi
    # hostnamectl needs its daemon.
    hostnamectl set-hostname "$name" > /dev/null 2>&1 ||
        { printf '%s\n' "$name" > "$R/etc/hostname" && printf '%s' "$name" > "$R/proc/sys/kernel/hostname"; } || return 1
    # cloud-init wrote the name that the machine had before.
    if ! getent hosts "$name" > /dev/null; then
        printf '127.0.1.1 %s\n' "$name" >> "$R/etc/hosts" || return 1
    fi
    set_mark "$state/node-name" "$name" || return 1
    say "this machine is $name, of the group $group"
}
