# The seed of this machine: fetched, compared with the machine, laid into its root file system. Sourced by install-disk.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # install-disk sets the rest; mac goes into the reports
keep=() macs=()
mark=/var/lib/imgbuild/installed

# read_seed: into memory. It stays for the next attempt: the server gives it for ten minutes only.
read_seed() {
    local file code key value
    if [ "$seed" = none ]; then
        node='a node without a seed'
        return
    fi
    if [ ! -e "$work/seed/complete" ]; then
        rm -rf "$work/seed"
        mkdir "$work/seed"
        for file in user-data meta-data vendor-data network-config install; do
            code=0
            fetch "$seed$file" > "$work/seed/$file" 2> "$work/said" || code=$?
            if [ "$code" = 0 ]; then
                continue
            fi
            rm -f "$work/seed/$file"
            if grep -q 'error: 403' "$work/said"; then
                say "the server gives no seed any more ($seed$file): the machine starts again, to ask anew"
                sleep "${IMGBUILD_PAUSE:-60}"
                systemctl reboot
                stop "the server gives no seed any more: it is given for ten minutes after the network boot"
            fi
            case $file in
                vendor-data | network-config)
                    # 404, or no such file on the medium (curl: 37)
                    if [ "$code" = 37 ] || grep -q 'error: 404' "$work/said"; then
                        continue
                    fi
                    ;;
            esac
            stop "$seed$file cannot be fetched ($(tr '\n' ' ' < "$work/said")): check that the server has this node's" \
                "folder, and may read it"
        done
        : > "$work/seed/complete"
    fi
    while IFS='=' read -r key value; do
        case $key in
            node) node=$value ;;
            boot)
                if [ "$value" = diskless ]; then
                    stop "the seed of $node is for a diskless node: set pxe.boot: install for it, and build again"
                fi
                ;;
            mac) macs+=("$value") ;;
            keep) keep+=("$value") ;;
            *) stop "$seed""install has a line '$key' that this installer does not know: serve the files of one build" ;;
        esac
    done < "$work/seed/install"
    mac=${macs[0]:-}
}

# check_macs: with another machine's seed the node would have no network, at any later boot.
check_macs() {
    local own missing='' one
    own=" $(cat "$R"/sys/class/net/*/address 2> /dev/null | tr 'A-F\n' 'a-f ' || true) "
    for one in ${macs[@]+"${macs[@]}"}; do
        if [[ $own != *" $one "* ]]; then
            missing+=" $one"
        fi
    done
    if [ -n "$missing" ]; then
        rm -rf "$work/seed"
        own=$(awk '{ gsub("00:00:00:00:00:00", ""); $1 = $1; print }' <<< "$own") # without the loopback
        stop "the seed is of $node, whose card$missing this machine does not have (it has: $own): correct the MAC" \
            "in the cluster file, or give this machine the seed of its own"
    fi
}

# mark_text: what tells a finished installation of this image and this seed from others.
mark_text() {
    local sum
    sum=none
    if [ "$seed" != none ]; then
        sum=$(cd "$work/seed" && sha256sum -- user-data meta-data | sha256sum) # meta-data has a digest of the others
    fi
    printf 'node %s\nimage %s\nseed %s' "$node" "$data_sum" "${sum%% *}"
}

# lay_seed: where cloud-init looks before it asks any network. The labels are those of the image's own policy.
lay_seed() {
    local file place=$work/root/var/lib/cloud/seed/nocloud
    if [ "$seed" != none ]; then
        say "lay the seed of $node"
    fi
    report install stage=seed
    if ! mount_root "$device" rw; then
        stop "the root file system on /dev/$name cannot be mounted: see journalctl -k"
    fi
    if [ "$seed" != none ]; then
        mkdir -p "$place"
        chmod 0700 "$place"
    fi
    for file in user-data meta-data vendor-data network-config; do
        if [ -e "$work/seed/$file" ]; then
            cp "$work/seed/$file" "$place/$file"
            chmod 0600 "$place/$file"
        fi
    done
    (umask 022 && mkdir -p "$work/root${mark%/*}")
    mark_text > "$work/root$mark"
    if [ "$selinux" = yes ]; then
        label_seed
    fi
    unmount_root
    flush
}
label_seed() {
    local policy=$work/root/etc/selinux/targeted/contexts/files/file_contexts
    local folders=("$work/root${mark%/*}")
    if [ "$seed" != none ]; then
        folders+=("$work/root/var/lib/cloud/seed")
    fi
    if ! setfiles -q -F -r "$work/root" "$policy" "${folders[@]}"; then
        stop "the seed gets no SELinux label: build the image with policycoreutils, or set selinux.mode"
    fi
}
