# shellcheck shell=bash
# Further disks of this node, by its seed.

check_disks() {
    local i mount how what type uuid source kind link wanted='' got='' folder place
    local disks=() folders=() sizes=()
    if [[ ! -e $R/etc/imgbuild/disks.conf ]]; then
        pass "none" "none"
        return
    fi
    if ! bash -n "$R/etc/imgbuild/disks.conf" 2>/dev/null; then
        fail "the disks of the seed" "/etc/imgbuild/disks.conf is truncated" "provide the seed again"
        return
    fi
    # shellcheck source=/dev/null
    source "$R/etc/imgbuild/disks.conf"
    : "${sizes[*]-}"
    for ((i = 0; i < ${#disks[@]}; i += 10)); do
        mount=${disks[i]} how=${disks[i + 1]} what=${disks[i + 2]} type=${disks[i + 3]} uuid=${disks[i + 4]}
        case $how in
            id) link=/dev/disk/by-id/$what ;;
            path) link=$what ;;
            size) link=/dev/disk/by-uuid/$uuid ;;
        esac
        source='' kind=''
        # The last one covers the others.
        read -r source kind <<<"$(awk -v mount="$mount" '$2 == mount { found = $1 " " $3 } END { print found }' \
            "$R/proc/mounts")" || true
        wanted+="${wanted:+, }$mount: $type on $link"
        if [[ -z $source ]]; then
            got+="${got:+, }$mount: not mounted"
        elif [[ $kind != "$type" || $(readlink -f "$R$link") != "$(readlink -f "$R$source")" ]]; then
            got+="${got:+, }$mount: $kind on $source"
        else
            got+="${got:+, }$mount: $type on $link"
        fi
    done
    for ((i = 0; i < ${#folders[@]}; i += 2)); do
        place=${folders[i]} folder=${folders[i + 1]}
        wanted+=", $folder: on $place"
        source=$(awk -v mount="$folder" '$2 == mount { found = $1 } END { print found }' "$R/proc/mounts") || source=''
        if [[ -n $source && $source == "$(awk -v mount="$place" '$2 == mount { found = $1 } END { print found }' \
            "$R/proc/mounts")" ]]; then
            got+=", $folder: on $place"
        else
            got+=", $folder: ${source:+on }${source:-not mounted}"
        fi
    done
    expect "$wanted" "$got" "systemctl status imgbuild-disks"
}
