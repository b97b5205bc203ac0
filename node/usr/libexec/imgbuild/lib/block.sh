# Disks of this machine, as the kernel and the disks themselves tell: which there are, what uses them, what is on them.
# Sourced by disks and install-disk, which set R: tests only, a fake root.
# shellcheck shell=bash
mib=1048576

name_of() {
    local real
    real=$(readlink -f "$1") && printf '%s' "${real##*/}"
}
block() { printf '%s' "$R/sys/class/block/$1"; }
attribute() { cat "$(block "$1")/$2" 2> /dev/null || true; }
bytes_of() { printf '%d' "$(($(attribute "$1" size) * 512))"; }
# gib BYTES
gib() { awk -v bytes="$1" 'BEGIN { printf "%.1f GiB", bytes / 1073741824 }'; }
# probe TAG DEVICE: from the disk itself, not from blkid's cache.
probe() { blkid -p -s "$1" -o value "$2" 2> /dev/null || true; }

# parts_of NAME: prints a disk's own name and those of its partitions.
parts_of() {
    local part
    printf '%s\n' "$1"
    for part in "$(block "$1")/$1"*; do
        if [ -e "$part/partition" ]; then
            printf '%s\n' "${part##*/}"
        fi
    done
}

# user_of NAME: prints what uses a disk or one of its partitions; nothing if it is free.
user_of() {
    local part number holder mounted
    while IFS= read -r part; do
        number=$(attribute "$part" dev)
        mounted=$(awk -v number="$number" '$3 == number && !n++ { print $5 }' "$R/proc/self/mountinfo")
        if [ -n "$mounted" ]; then
            echo "/dev/$part is mounted at $mounted"
            return
        fi
        if awk -v device="/dev/$part" '$1 == device { found = 1 } END { exit !found }' "$R/proc/swaps"; then
            echo "/dev/$part is swap"
            return
        fi
        for holder in "$(block "$part")"/holders/*; do
            if [ -e "$holder" ]; then
                echo "/dev/$part belongs to /dev/${holder##*/} (LVM, RAID, multipath or encryption)"
                return
            fi
        done
    done <<< "$(parts_of "$1")"
}

# content_of NAME: prints what is on a disk that is not blank; nothing if it is blank. Fails if it cannot be read.
content_of() {
    local device=$R/dev/$1 bytes found kind label
    bytes=$(bytes_of "$1")
    found=$(wipefs -n "$device") || return 1
    if [ -n "$found" ]; then
        kind=$(probe TYPE "$device") label=$(probe LABEL "$device")
        echo "${kind:-$(probe PTTYPE "$device")}${label:+ labelled $label}"
        return
    fi
    if [ "$bytes" -lt $((2 * mib)) ]; then
        echo "less than 2 MiB"
        return
    fi
    found=$(zero_at "$device" 0)$(zero_at "$device" $((bytes - mib)))
    case $found in
        yesyes) ;;
        *no*) echo "data that no tool knows" ;;
        *) return 1 ;;
    esac
}
# zero_at DEVICE OFFSET: prints whether the MiB there is zero; nothing if it cannot be read.
zero_at() {
    local end=0
    cmp -s -n "$mib" -i "$2:0" "$1" /dev/zero || end=$?
    case $end in
        0) echo yes ;;
        1) echo no ;;
    esac
}

# candidates: prints the whole disks that have a device behind them, by name. No loop, RAM, RAID or mapper device, no
# removable medium, no hidden path of a multipath NVMe.
candidates() {
    local folder name
    for folder in "$R"/sys/class/block/*; do
        name=${folder##*/}
        if [ -e "$folder/device" ] && [ ! -e "$folder/partition" ] && [ "$(attribute "$name" ro)" = 0 ] &&
            [ "$(attribute "$name" removable)" != 1 ] && [ "$(attribute "$name" hidden)" != 1 ] &&
            [ "$(bytes_of "$name")" -gt 0 ]; then
            echo "$name"
        fi
    done
}
