# shellcheck shell=bash disable=SC2154 # kernel_*, grub_*, bls: set by verify.conf
# Kernel, boot loader, cloud-init, root file system, systemd.

# A live root has no /boot: the server has its kernel, which is the one that the image was built with.
live_root() { [[ -e $R/usr/share/imgbuild/live ]]; }

check_kernel() {
    local running wanted newest='' owner='' file fix
    running=$(uname -r)
    if live_root; then
        expect "$(slurp /usr/share/imgbuild/kernel)" "$running" "vmlinuz, initrd.img and root.squashfs are of one build"
        return
    fi
    wanted="the newest installed kernel of $kernel_owner${kernel_version:+, version $kernel_version}"
    fix="a new kernel requires a reboot; then see the check boot-default"
    while IFS= read -r file; do
        owner=$(owner_of "${file#"$R"}") || owner=''
        # shellcheck disable=SC2053 # the owner's name is a pattern
        if [[ $owner == $kernel_owner ]]; then
            newest=${file##*/vmlinuz-}
            break
        fi
    done <<<"$(printf '%s\n' "$R"/boot/vmlinuz-[0-9]* | sort -rV)"
    if [[ -z $newest ]]; then
        fail "$wanted" "$running, and no such kernel is installed" "was the kernel package installed?"
    elif [[ $running != "$newest" ]]; then
        fail "$wanted: $newest" "$running" "$fix"
    elif [[ -n $kernel_version && $running != "$kernel_version"[!0-9]* && $running != "$kernel_version" ]]; then
        fail "$wanted" "$running" "$fix"
    else
        pass "$wanted" "$running"
    fi
}

# Prints the kernel release that a GRUB menu starts by default: $1 grub.cfg, $2 the saved entry.
grub_cfg_default() {
    awk -v saved="$2" '
        BEGIN { depth = 0; brace = 0 }
        function word(line, quote, from, rest) {
            quote = substr(line, from, 1)
            if (quote == "\"" || quote == "\047") {
                rest = substr(line, from + 1)
                return substr(rest, 1, index(rest, quote) - 1)
            }
            rest = substr(line, from)
            sub(/[ \t;].*/, "", rest)
            return rest
        }
        /^[ \t]*set default=/ {
            value = word($0, "", index($0, "=") + 1)
            if (value !~ /next_entry/) { wanted = value }
        }
        /^[ \t]*(menuentry|submenu)[ \t]/ {
            menu = $1 == "submenu"
            path = (depth ? place[depth] ">" : "") count[depth]++
            title = $0
            sub(/^[ \t]*(menuentry|submenu)[ \t]+/, "", title)
            title = word(title, "", 1)
            id = ""
            if (match($0, /(menuentry_id_option|--id)[ \t=]+/)) { id = word($0, "", RSTART + RLENGTH) }
            if (menu) { depth++; count[depth] = 0; place[depth] = path; top[depth] = brace }
            else { n++; paths[n] = path; titles[n] = title; ids[n] = id; entry = n; entry_brace = brace }
        }
        /^[ \t]*(linux|linux16|linuxefi)[ \t]/ && entry {
            kernel[entry] = $2
            sub(/.*vmlinuz-/, "", kernel[entry])
        }
        /\{[ \t]*$/ { brace++ }
        /^[ \t]*\}[ \t]*$/ {
            brace--
            if (entry && brace == entry_brace) { entry = 0 }
            else if (depth && brace == top[depth]) { depth-- }
        }
        END {
            if (wanted ~ /saved_entry/) { wanted = saved }
            if (wanted == "") { wanted = "0" }
            last = wanted
            if (last !~ /^[0-9>]+$/) { sub(/.*>/, "", last) }
            for (i = 1; i <= n; i++) {
                if (paths[i] == wanted || titles[i] == last || (ids[i] != "" && ids[i] == last)) {
                    print kernel[i]
                    exit
                }
            }
        }' "$1"
}

check_boot_default() {
    local running dir=$R$grub_dir config saved='' next='' default='' entry environment
    running=$(uname -r)
    if live_root; then
        skip "$running" "the network boot decides"
        return
    fi
    config=$dir/grub.cfg
    environment=$dir/grubenv
    # A grub.cfg on the ESP counts if it has its own menu: Debian's only loads the one in /boot.
    if [[ -d $R/sys/firmware/efi && -r $R$grub_efi_dir/grub.cfg ]] &&
        grep -qE '^[[:space:]]*(menuentry|blscfg)' "$R$grub_efi_dir/grub.cfg"; then
        config=$R$grub_efi_dir/grub.cfg
        if [[ -r $R$grub_efi_dir/grubenv ]]; then
            environment=$R$grub_efi_dir/grubenv
        fi
    fi
    if [[ -r $environment ]]; then
        saved=$(awk -F = '$1 == "saved_entry" { print substr($0, index($0, "=") + 1) }' "$environment")
        next=$(awk -F = '$1 == "next_entry" { print substr($0, index($0, "=") + 1) }' "$environment")
    fi
    if [[ $bls == yes ]]; then
        entry=$R/boot/loader/entries/$saved.conf
        if [[ -z $saved || ! -r $entry ]]; then
            entry=$(printf '%s\n' "$R"/boot/loader/entries/*.conf | sort -V | tail -n 1)
        fi
        if [[ -r $entry ]]; then
            default=$(awk '$1 == "linux" { sub(/.*vmlinuz-/, "", $2); print $2; exit }' "$entry")
        fi
    elif [[ -r $config ]]; then
        default=$(grub_cfg_default "$config" "$saved")
    fi
    expect "$running" "${default:-no entry found}${next:+ (once: $next)}" \
        "set the default: grub2-set-default or grubby --set-default on CentOS, update-grub on Debian"
}

check_cloud_init() {
    local result source
    result=$(slurp /run/cloud-init/result.json | tr -d '\n')
    if [[ -z $result ]]; then
        fail "finished without errors" "not finished" "see cloud-init status --long and /var/log/cloud-init.log"
        return
    fi
    source=''
    if [[ $result =~ \"datasource\":\ *\"([^\"]*)\" ]]; then
        source=${BASH_REMATCH[1]}
    fi
    if [[ ! $result =~ \"errors\":\ *\[\ *\] ]]; then
        fail "no errors" "$source: ${result#*\"errors\":}" "see /var/log/cloud-init.log"
    elif [[ -z $source || $source == DataSourceNone* ]]; then
        fail "a seed" "${source:-nothing}" "is the seed attached, with the label cidata?"
    else
        pass "a seed, no errors" "$source"
    fi
}

check_hostname() {
    local name
    name=$(slurp /proc/sys/kernel/hostname)
    if [[ -z $seed ]]; then
        skip "the seed's" "$name (no seed)"
    elif [[ -z $seed_hostname ]]; then
        # One of several machines with the same seed.
        if [[ -e $R/var/lib/imgbuild/node-name ]]; then
            expect "$(slurp /var/lib/imgbuild/node-name)" "$name" "hostnamectl set-hostname, with the expected name"
        else
            skip "a name of its own" "$name: first boot gives it one"
        fi
    else
        expect "$seed_hostname" "$name" "hostnamectl set-hostname $seed_hostname"
    fi
}

check_users() {
    local user missing=''
    if [[ -z $seed ]]; then
        skip "the seed's" "no seed"
        return
    fi
    for user in ${seed_users[@]+"${seed_users[@]}"}; do
        getent passwd "$user" >/dev/null || missing+=" $user"
    done
    if [[ -z $missing ]]; then
        pass "${seed_users[*]-none}" "${seed_users[*]-none}"
    else
        fail "${seed_users[*]-}" "missing:$missing" "see /var/log/cloud-init.log"
    fi
}

check_ssh_keys() {
    local i user key home missing='' count=0
    if [[ -z $seed ]]; then
        skip "the seed's" "no seed"
        return
    fi
    # user and key in turn
    for ((i = 0; i < ${#seed_keys[@]}; i += 2)); do
        user=${seed_keys[i]} key=${seed_keys[i + 1]}
        count=$((count + 1))
        home=$(getent passwd "$user" | cut -d : -f 6)
        if [[ -z $home ]] || ! grep -qsF -- "$key" "$R$home/.ssh/authorized_keys"; then
            missing+=" $user"
        fi
    done
    if [[ -z $missing ]]; then
        pass "$count keys" "$count keys"
    else
        fail "$count keys" "missing a key:$missing" "see ~/.ssh/authorized_keys and /var/log/cloud-init.log"
    fi
}

check_root_grown() {
    local device part disk total=0 size used=0 partition file
    device=$(findmnt -nro SOURCE /) || device=''
    part=${device##*/}
    if [[ ! -r $R/sys/class/block/$part/partition ]]; then
        skip "the whole disk" "${device:-nothing} is not a partition"
        return
    fi
    disk=$(readlink -f "$R/sys/class/block/$part")
    disk=${disk%/*}
    total=$(<"$disk/size")
    for file in "$disk"/*/partition; do
        partition=$(<"${file%/*}/size")
        used=$((used + partition))
    done
    partition=$(($(<"$disk/$part/size") * 512))
    size=$(df -B1 --output=size / | tail -n 1)
    # In sectors and bytes. ext4 reserves a few percent.
    if ((used * 100 < total * 95)); then
        fail "partitions on the whole disk" "$((used / 2048)) of $((total / 2048)) MiB" \
            "growpart failed: on GPT and CentOS 7 it needs gdisk"
    elif ((size * 100 < partition * 88)); then
        fail "a file system on its whole partition" "$((size >> 20)) of $((partition >> 20)) MiB" "resize2fs $device"
    else
        pass "the whole disk" "$((size >> 20)) MiB on a disk of $((total / 2048)) MiB"
    fi
}

check_failed_units() {
    local list failed
    if ! list=$(systemctl list-units --state=failed --no-legend --no-pager --all) || [[ ! -d $R/run/systemd/system ]]; then
        fail "none" "systemd does not answer" "systemctl"
        return
    fi
    # systemd 252 puts a dot in front of each line
    failed=$(awk '{ for (i = 1; i <= 2; i++) if ($i ~ /\./) { printf "%s ", $i; break } }' <<<"$list")
    expect "none" "${failed:-none}" "systemctl status ${failed}"
}

check_ordering_cycles() {
    local lines
    # By identifier: what PID 1 logged before journald ran came through the kernel's log, without its PID.
    if ! lines=$(journalctl -b -q --no-pager -o cat SYSLOG_IDENTIFIER=systemd); then
        fail "none" "journalctl fails" "journalctl -b"
        return
    fi
    # journalctl 219 also exits with 0 if there is no journal at all; during a boot systemd always logs something.
    if [[ -z $lines ]]; then
        fail "none" "the journal has no entries of this boot" "systemctl status systemd-journald"
        return
    fi
    lines=$(grep -i 'ordering cycle' <<<"$lines") || lines=''
    expect "none" "${lines:-none}" "a unit was dropped to break the cycle: journalctl -b | grep -i cycle"
}
