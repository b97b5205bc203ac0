# Which disk is installed on, and whether it may be. Sourced by install-disk.
# shellcheck shell=bash
# shellcheck disable=SC2154 # install-disk sets the rest
name='' device='' state='' bytes=0

# choose: sets name, device, bytes and state: blank, interrupted, finished, or what is on a disk that may be erased.
choose() {
    udevadm settle --timeout=30 || true
    case $want in
        auto) choose_blank ;;
        serial:*) choose_serial "${want#serial:}" ;;
        /dev/*) choose_path "$want" ;;
        *) stop "imgbuild.install=$want is not a disk: write auto, /dev/sda, /dev/disk/by-id/NAME or serial:NUMBER" ;;
    esac
    device=$R/dev/$name bytes=$(bytes_of "$name")
    if [ "$want" != auto ]; then
        check_named
    fi
    say "the disk is /dev/$name ($(gib "$bytes")): $state"
}

choose_path() {
    if [ ! -e "$R$1" ]; then
        stop "there is no $1: these disks are here: $(shown)"
    fi
    name=$(name_of "$R$1")
    if [ ! -d "$(block "$name")" ] || [ -e "$(block "$name")/partition" ]; then
        stop "$1 is not a whole disk: name the disk, without the number of a partition"
    fi
}

choose_serial() {
    local candidate found=''
    while IFS= read -r candidate; do
        if [ -n "$candidate" ] && serials "$candidate" | grep -Fx -e "$1" > /dev/null; then
            found+=${found:+ }$candidate
        fi
    done <<< "$(candidates)"
    case $found in
        '') stop "no disk has the serial number $1: these disks are here: $(shown)" ;;
        *' '*) stop "several disks have the serial number $1 ($found): name one by /dev/disk/by-id" ;;
    esac
    name=$found
}
# serials NAME: prints a disk's serial numbers, as the kernel and udev have them.
serials() {
    {
        printf '%s\n' "$(attribute "$1" serial)" "$(attribute "$1" device/serial)" # virtio's does not end its line
        udevadm info --query=property --name="/dev/$1" 2> /dev/null |
            awk -F = '$1 == "ID_SERIAL" || $1 == "ID_SERIAL_SHORT" || $1 == "ID_SCSI_SERIAL" { print $2 }' || true
    } | awk '{ gsub(/^[ \t]+|[ \t]+$/, "") } length'
}

# choose_blank: the smallest blank disk that holds the image, of equal ones the first by name. One that an earlier attempt
# has begun or finished goes first.
choose_blank() {
    local candidate found best='' least=0 first='' kind why list=''
    while IFS= read -r candidate; do
        if [ -z "$candidate" ]; then
            continue
        fi
        found=$(bytes_of "$candidate")
        why=$(unusable "$candidate")
        if [ -z "$why" ]; then
            kind=$(state_of "$candidate")
            case $kind in
                finished | interrupted)
                    if [ -z "$first" ]; then
                        first=$candidate state=$kind
                    fi
                    ;;
                blank)
                    if [ -z "$best" ] || [ "$found" -lt "$least" ]; then
                        best=$candidate least=$found
                    fi
                    ;;
                *) why="it has data ($kind)" ;;
            esac
        fi
        if [ -n "$why" ]; then
            list+="${list:+; }/dev/$candidate ($(gib "$found")): $why"
        fi
    done <<< "$(candidates)"
    name=${first:-$best}
    if [ -z "$name" ]; then
        stop "no blank disk holds the image ($(gib "$size")): ${list:-there is no disk}. Attach one, or name the disk with" \
            "imgbuild.install=/dev/… and add imgbuild.wipe if its data may be lost"
    fi
    if [ -z "$first" ]; then
        state=blank
    fi
}

# unusable NAME: prints why a disk is not chosen by itself; nothing if it may be.
unusable() {
    local user number kept
    user=$(user_of "$1")
    if [ -n "$user" ]; then
        echo "$user"
    elif [[ $(readlink -f "$(block "$1")") == */usb[0-9]* ]]; then
        echo "it is connected by USB"
    elif [ "$(attribute "$1" queue/logical_block_size)" -gt 512 ] 2> /dev/null; then
        echo "it has sectors of $(attribute "$1" queue/logical_block_size) bytes"
    elif [ "$(bytes_of "$1")" -lt "$size" ]; then
        echo "it is too small"
    else
        number=$(attribute "$1" dev)
        for kept in ${keep[@]+"${keep[@]}"}; do
            if [ -e "$R$kept" ] && [ "$(attribute "$(name_of "$R$kept")" dev)" = "$number" ]; then
                echo "it is a further disk of this node ($kept)"
                return
            fi
        done
    fi
}

# check_named: a disk that was named is used if nothing prevents it, and erased only with imgbuild.wipe.
check_named() {
    local user=''
    user=$(user_of "$name")
    if [ -n "$user" ]; then
        stop "/dev/$name is in use: $user: name another disk"
    elif [ "$(attribute "$name" removable)" = 1 ]; then
        stop "/dev/$name is a removable medium: name another disk"
    elif [ "$(attribute "$name" ro)" = 1 ]; then
        stop "/dev/$name is read-only: name another disk"
    elif [ "$(probe TYPE "$device")" = iso9660 ]; then
        stop "/dev/$name is a live medium: name another disk"
    elif [ "$(attribute "$name" queue/logical_block_size)" -gt 512 ] 2> /dev/null; then
        stop "/dev/$name has sectors of $(attribute "$name" queue/logical_block_size) bytes, and the image's partition" \
            "table is for 512: switch the disk to 512 bytes (nvme format, sg_format), or name another one"
    elif [ "$bytes" -lt "$size" ]; then
        stop "/dev/$name ($(gib "$bytes")) is smaller than the image ($(gib "$size")): name a larger disk, or build with" \
            "a smaller image.size_mib"
    fi
    state=$(state_of "$name")
    case $state in
        blank | interrupted | finished) ;;
        unreadable) stop "/dev/$name cannot be read: see journalctl -k, or name another disk" ;;
        *)
            if [ "$wipe" != yes ]; then
                stop "/dev/$name is not blank ($state): add imgbuild.wipe to the kernel arguments if its data may be lost," \
                    "or name another disk"
            fi
            ;;
    esac
}

# state_of NAME
state_of() {
    local content
    if [ "$(disk_id "$1")" = "$disk_uuid" ]; then
        # The partition table of this very image.
        if [ "$(first_sector "$1")" = zero ]; then
            echo interrupted
            return
        elif is_finished "$1"; then
            echo finished
            return
        fi
    fi
    if ! content=$(content_of "$1"); then
        echo unreadable
    else
        echo "${content:-blank}"
    fi
}

# disk_id NAME: prints the GPT's identifier, whether or not a boot sector makes it valid (UEFI 2.10, table 5.5).
disk_id() {
    dd if="$R/dev/$1" bs=512 skip=1 count=1 2> /dev/null | od -An -v -tx1 | tr -d ' \n' | awk '
        substr($0, 1, 16) == "4546492050415254" {
            id = substr($0, 113, 32)
            print swapped(id, 1, 4) "-" swapped(id, 9, 2) "-" swapped(id, 13, 2) "-" substr(id, 17, 4) "-" substr(id, 21)
        }
        function swapped(text, at, count, out, i) {
            for (i = count - 1; i >= 0; i--) out = out substr(text, at + 2 * i, 2)
            return out
        }'
}
first_sector() {
    if cmp -s -n 512 "$R/dev/$1" /dev/zero; then
        echo zero
    fi
}

# is_finished NAME: whether an earlier attempt of this node has written this image, and it was never started.
is_finished() {
    local found=1
    if mount_root "$R/dev/$1" ro,noload; then
        if [ "$(cat "$work/root$mark" 2> /dev/null)" = "$(mark_text)" ] &&
            [ ! -L "$work/root/var/lib/cloud/instance" ]; then
            found=0
        fi
        unmount_root
    fi
    return "$found"
}

# shown: prints the disks of the machine.
shown() {
    local candidate list=''
    while IFS= read -r candidate; do
        if [ -n "$candidate" ]; then
            list+="${list:+, }/dev/$candidate ($(gib "$(bytes_of "$candidate")"))"
        fi
    done <<< "$(candidates)"
    printf '%s' "${list:-none}"
}
