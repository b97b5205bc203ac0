# shellcheck shell=bash disable=SC2154 # set by verify.conf
# containerd and its companions: their running state, not only their files.

check_containerd() {
    local version
    if ! active containerd.service; then
        fail "active" "$(systemctl is-active containerd.service || true)" "systemctl status containerd"
        return
    fi
    # Read to the end, here as everywhere: gawk exits at once when told to, and SIGPIPE then kills the writer.
    version=$(ask ctr version | awk '/^Server:/ { server = 1 } server && $1 == "Version:" && !n++ { print $2 }') ||
        version=''
    version=${version#v}
    # Distributions append their own: 1.6.20~ds1
    if [[ $version == "$containerd_version" || $version == "$containerd_version"[~+-]* ]]; then
        pass "$containerd_version" "$version"
    else
        fail "$containerd_version" "${version:-ctr gets no answer}" "which containerd runs? systemctl cat containerd"
    fi
}

check_containerd_plugins() {
    local bad good
    bad=$(ask ctr plugins ls | awk -v wanted="${containerd_plugins[*]}" '
        { status[$2] = $NF }
        END {
            n = split(wanted, names, " ")
            for (i = 1; i <= n; i++)
                if (status[names[i]] != "ok")
                    printf "%s %s; ", names[i], (names[i] in status ? status[names[i]] : "absent")
        }') || bad='ctr gets no answer'
    good=${containerd_plugins[*]}
    expect "$good" "${bad:-$good}" "journalctl -u containerd | grep -i 'failed to load plugin'"
}

# Prints section, key and value of each line of `containerd config dump` (its standard input), without quotes and with the
# byte 31 between them: a tab would not keep an empty section apart.
toml_values() {
    awk '
        { gsub(/["\047]/, "") }
        /^[ \t]*\[/ {
            section = $0
            gsub(/^[ \t]*\[+|\]+[ \t]*$/, "", section)
            next
        }
        /=/ {
            key = value = $0
            sub(/[ \t]*=.*/, "", key)
            gsub(/^[ \t]+/, "", key)
            sub(/[^=]*=[ \t]*/, "", value)
            print section "\037" key "\037" value
        }'
}

# Every key that imgbuild wrote, as containerd understood it: unknown keys are silently dropped.
check_containerd_config() {
    local dump section key value i wrong='' count=0
    local -A values=()
    dump=$(containerd --config "$R/etc/containerd/config.toml" config dump 2>/dev/null) || dump=''
    if [[ -z $dump ]]; then
        fail "a valid file" "containerd config dump fails" "containerd config dump"
        return
    fi
    if own /etc/containerd/config.toml; then
        pass "a valid file" "a valid file of your own; its keys are not compared with the profile"
        return
    fi
    while IFS=$'\x1f' read -r section key value; do
        values["$section $key"]=$value
    done < <(toml_values <<<"$dump")
    # section, key and value in turn
    for ((i = 0; i < ${#containerd_config[@]}; i += 3)); do
        key="${containerd_config[i]} ${containerd_config[i + 1]}"
        value=${values[$key]:-nothing}
        count=$((count + 1))
        if [[ $value != "${containerd_config[i + 2]}" ]]; then
            wrong+="${containerd_config[i]}.${containerd_config[i + 1]}=$value instead of ${containerd_config[i + 2]}; "
        fi
    done
    expect "$count keys" "${wrong:-$count keys}" "see /etc/containerd/config.toml"
}

check_cni() {
    local plugin missing=''
    for plugin in bridge host-local loopback portmap; do
        [[ -x $R/opt/cni/bin/$plugin ]] || missing+=" $plugin"
    done
    expect "plugins in /opt/cni/bin" "${missing:+missing:}${missing:-plugins in /opt/cni/bin}" \
        "who owns /opt/cni/bin? kubernetes-cni, or a link to the archive's or distribution's plugins"
}

check_registries() {
    local host missing=''
    for host in "${registries[@]}"; do
        [[ -r $R/etc/containerd/certs.d/$host/hosts.toml ]] || missing+=" $host"
    done
    expect "${registries[*]}" "${missing:+missing:}${missing:-${registries[*]}}" "see /etc/containerd/certs.d"
}

# unit_runs_with UNIT WORDS...: the unit is active, and its command holds each of the words
unit_runs_with() {
    local unit=$1 command word missing=''
    shift
    if ! active "$unit"; then
        fail "active" "$(systemctl is-active "$unit" || true)" "systemctl status $unit"
        return
    fi
    command=$(systemctl show --property=ExecStart "$unit") || command=''
    for word in "$@"; do
        [[ " $command " == *" $word "* ]] || missing+=" $word"
    done
    expect "$*" "${missing:+missing:}${missing:-$*}" "systemctl cat $unit"
}

check_stargz() { unit_runs_with stargz-snapshotter.service --root "$stargz_root"; }

check_buildkit() {
    unit_runs_with buildkit.service --root "$buildkit_root" "--containerd-worker-snapshotter=$buildkit_snapshotter"
}

check_crictl() {
    local endpoint
    endpoint=$(awk '$1 == "runtime-endpoint:" { print $2 }' "$R/etc/crictl.yaml" 2>/dev/null) || endpoint=''
    expect "$crictl_endpoint" "${endpoint:-nothing}" "see /etc/crictl.yaml"
}
