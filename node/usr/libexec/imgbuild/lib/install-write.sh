# The image is written: holes, data, what is read back, and the partition table as the last. Sourced by install-disk.
# shellcheck shell=bash
# shellcheck disable=SC2154 # install-disk sets the rest

# erase NAME: nothing is left that a firmware or a tool would know. An interrupted attempt is told by its GPT header alone
# (state_of), so wipefs does not run on it, which would take that first, and the header is zeroed when all else is: after
# a power cut, the disk is still the installer's own.
erase() {
    local part
    say "/dev/$1 is erased ($state)"
    if [ "$state" != interrupted ]; then
        while IFS= read -r part; do
            wipefs -a -q "$R/dev/$part" || true
        done <<< "$(parts_of "$1")"
    fi
    zero_range $((bytes - mib)) "$mib"
    zero_range 1024 $((mib - 1024))
    flush
    zero_range 0 1024
    blockdev --rereadpt "$device" 2> /dev/null || true
    udevadm settle --timeout=30 || true
}

# sha256: of standard input. OpenSSL uses the processor's own instructions, Debian's sha256sum does not: four times as fast.
sha256() {
    if command -v openssl > /dev/null; then
        openssl dgst -sha256 -r
    else
        sha256sum
    fi
}

# zero_range OFFSET LENGTH: by the disk itself where it can. util-linux before 2.28 (EL7) has no blkdiscard -z.
zero_range() {
    if ! blkdiscard -z -o "$1" -l "$2" "$device" 2> /dev/null; then
        dd if=/dev/zero of="$device" bs=1M seek="$1" count="$2" iflag=count_bytes oflag=direct,seek_bytes conv=notrunc \
            status=none
    fi
}

# zero_holes: a disk that was used may have anything where the image has nothing.
zero_holes() {
    local i at=0
    say "zero what the image leaves empty"
    report install stage=zero progress=0
    for ((i = 0; i < ${#rows[@]}; i += 4)); do
        if [ "${rows[i]}" = extent ]; then
            if [ "${rows[i + 1]}" -gt "$at" ]; then
                zero_range "$at" $((rows[i + 1] - at))
            fi
            at=$((rows[i + 1] + rows[i + 2]))
        fi
    done
    zero_range "$at" $((size - at))
    zero_range $((bytes - mib)) "$mib"
}

# write_data: fetched, checked, unpacked and written at the same time; nothing is kept but two extents.
write_data() {
    local found summer code
    case $compression in
        zstd | gzip) ;;
        *) stop "${base}disk.extents has the compression '$compression', which is not known: serve pxe/ of one build" ;;
    esac
    if ! command -v "$compression" > /dev/null; then
        stop "the live system has no $compression: build the image again with pxe.live: true"
    fi
    say "write $((total / mib)) MiB from $base$data ($((data_bytes / mib)) MiB)"
    rm -f "$work/tap" "$work/sum"
    mkfifo "$work/tap"
    sha256 < "$work/tap" > "$work/sum" &
    summer=$!
    set +e # not a condition: inside one bash would ignore errors
    fetch "$base$data" | tee "$work/tap" | unpack | (
        set -e
        write_extents
    )
    code=$?
    set -e
    if [ "$code" != 0 ]; then
        kill "$summer" 2> /dev/null || true
        if [ -s "$work/why" ]; then
            exit 1
        fi
        stop "$base$data was not written whole: see the messages above; check the server, the network and" \
            "the kernel's messages about /dev/$name"
    fi
    wait "$summer"
    read -r found _ < "$work/sum"
    if [ "$found" != "$data_sum" ]; then
        stop "$base$data has the sha256 $found, disk.extents says $data_sum: copy pxe/ to the server again"
    fi
}

unpack() {
    if [ "$compression" = zstd ]; then
        zstd -d -q -c
    else
        gzip -d -c
    fi
}

# write_extents: from standard input. One extent is written while the next one is unpacked.
write_extents() {
    local i length offset kind buffer done_=0 writer='' percent shown_=-1
    for ((i = 0; i < ${#rows[@]}; i += 4)); do
        kind=${rows[i]} offset=${rows[i + 1]} length=${rows[i + 2]}
        buffer=$work/buffer.$((i / 4 % 2))
        if [ "$kind" = held ]; then
            buffer=$work/held.$offset
        fi
        dd of="$buffer" bs=1M iflag=fullblock,count_bytes count="$length" status=none
        if [ -n "$writer" ]; then
            wait "$writer"
            writer=''
        fi
        if [ "$kind" = extent ]; then
            dd if="$buffer" of="$device" bs=1M seek="$offset" oflag=direct,seek_bytes conv=notrunc status=none &
            writer=$!
        fi
        done_=$((done_ + length)) percent=$((done_ * 100 / total))
        if [ $((percent / 5)) -gt "$shown_" ]; then
            shown_=$((percent / 5))
            say "$percent %"
            report install stage=write "progress=$percent"
        fi
    done
    if [ -n "$writer" ]; then
        wait "$writer"
    fi
    rm -f "$work"/buffer.?
    wc -c > "$work/more"
    if [ "$(< "$work/more")" != 0 ]; then
        stop "$base$data has more than disk.extents lists: copy pxe/ to the server again"
    fi
}

# read_back: the disk has what was sent, by each extent's own checksum. Its cache is emptied first.
read_back() {
    local second
    say "read it back"
    report install stage=verify progress=0
    flush
    compare 0 &
    second=$!
    compare 4
    wait "$second"
}
# compare START: every second row from there; two at a time, because hashing takes longer than reading.
compare() {
    local i found
    for ((i = $1; i < ${#rows[@]}; i += 8)); do
        if [ "${rows[i]}" = held ]; then
            found=$(sha256 < "$work/held.${rows[i + 1]}")
        else
            found=$(dd if="$device" bs=1M skip="${rows[i + 1]}" count="${rows[i + 2]}" iflag=direct,skip_bytes,count_bytes \
                status=none | sha256)
        fi
        if [ "${found%% *}" != "${rows[i + 3]}" ]; then
            stop "/dev/$name does not return what was written at byte ${rows[i + 1]}: replace the disk, or see journalctl" \
                "-k for its errors"
        fi
    done
}

# make_table: the image's own partition table, for the size of this disk: the second GPT at its end, and the last partition
# up to there. In files: sgdisk waits a second after each change, and the disk is read back at the same time.
make_table() {
    local table=$work/table first=$work/first
    rm -f "$table"
    truncate -s "$bytes" "$table"
    dd if="$work/held.0" of="$table" bs=1M conv=notrunc status=none
    dd if="$work/held.$((size - mib))" of="$table" bs=1M oflag=seek_bytes seek=$((size - mib)) conv=notrunc status=none
    grow_table "$table"
    # The boot code and the active flag are the image's; what the size of the disk changes is sgdisk's.
    dd if="$work/held.0" of="$first" bs=512 count=1 status=none
    dd if="$table" of="$first" bs=1 skip=$((0x1ca)) seek=$((0x1ca)) count=4 conv=notrunc status=none
}

# write_table: its first sector is the last that is written: without it, no firmware reads the rest as a table (UEFI 2.10,
# 5.2.3: a GPT needs the protective MBR), and a sector is written whole or not at all.
write_table() {
    local table=$work/table first=$work/first
    say "write the partition table"
    report install stage=table
    put "$table" 512 512
    put "$table" 1024 $((mib - 1024))
    put "$table" $((bytes - mib)) "$mib"
    put "$first" 0 512
    rm -f "$table" "$first"
    blockdev --rereadpt "$device" 2> /dev/null || true
}
# flush: what was written is on the disk and not in its cache.
flush() { dd if=/dev/null of="$device" conv=notrunc,fsync status=none; }
# put FILE OFFSET LENGTH: written through to the disk.
put() {
    dd if="$1" of="$device" bs=512 skip=$(($2 / 512)) seek=$(($2 / 512)) count=$(($3 / 512)) conv=notrunc,fsync status=none
}

# grow_table FILE: the last partition is the root file system; the file system grows at first boot.
grow_table() {
    local number=2 shown guid type
    shown=$(sgdisk -i "$number" "$1")
    guid=$(awk '/^Partition unique GUID:/ { print $4 }' <<< "$shown")
    type=$(awk '/^Partition GUID code:/ { print $4 }' <<< "$shown")
    # One call: each one that writes syncs all file systems.
    sgdisk -e -d "$number" -n "$number:$((root_at / 512)):0" -t "$number:$type" -u "$number:$guid" \
        -c "$number:root" "$1" > /dev/null
}

# mount_root DEVICE OPTIONS: the root file system, without a partition table. The loop device goes with the mount (the kernel
# detaches it when it is no longer used).
mount_root() {
    local loop code=0
    mkdir -p "$work/root"
    loop=$(losetup --find --show --offset "$root_at" --sizelimit "$root_bytes" "$1") || return 1
    mount -o "$2" "$loop" "$work/root" 2> /dev/null || code=1
    losetup -d "$loop"
    return "$code"
}
unmount_root() { umount "$work/root"; }
clean_up() {
    if mountpoint -q "$work/root"; then
        umount "$work/root" || true
    fi
    rm -f "$work"/buffer.? "$work"/held.* "$work/tap" "$work/table" "$work/first"
}
