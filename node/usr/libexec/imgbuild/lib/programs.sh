# Checks of programs that were just installed: each starts here and has the requested version. Sourced after install.sh.
# shellcheck shell=bash

# A program that is linked against a newer glibc than this system's has the right checksum, installs from its package
# without an error, and cannot start. So each is started once, during the installation.

# starts VERSION PROGRAM ARGUMENT...: it starts, and the first version that it prints is VERSION (empty: any).
starts() {
    local wanted=$1 program=$2 said errors status=0 needs have
    shift 2
    [ -x "$program" ] || die "$program is missing or not executable: nothing has installed it"
    errors=$(mktemp)
    said=$(timeout 60 "$program" "$@" 2> "$errors") || status=$?
    if [ "$status" -ne 0 ]; then
        # The loader names each version that it misses: the newest of them is what this program needs.
        needs=$(sed -n "s/.*version \`GLIBC_\([0-9.]*\)' not found.*/\1/p" "$errors" | sort -V | tail -n 1)
        if [ -n "$needs" ]; then
            have=$(getconf GNU_LIBC_VERSION 2> /dev/null) || have='glibc of an unknown version'
            die "$program${wanted:+ $wanted} needs glibc $needs, and this system has ${have#glibc }: it cannot start here." \
                "Use a version of it that was built on an older system, or a target with a newer glibc"
        fi
        case $status in
            124) die "$program did not exit within a minute: $program $*" ;;
            126 | 127) die "$program exists but cannot start: it was built for another system:" "$(cat "$errors")" ;;
        esac
        die "$program does not run here (exit status $status):" "$(tail -n 3 "$errors")"
    fi
    rm -f "$errors"
    if [ -n "$wanted" ]; then
        [[ $said =~ ([0-9]+\.[0-9]+\.[0-9]+([-+~][0-9A-Za-z.~+-]+)?) ]] || die "$program prints no version: $program $*"
        [ "${BASH_REMATCH[1]}" = "$wanted" ] || die "$program has version ${BASH_REMATCH[1]}, not $wanted"
    fi
    log "$program starts${wanted:+ and has version $wanted}"
}

# kubernetes_starts FOLDER: the three programs that first boot relies on.
kubernetes_starts() {
    starts "$KUBERNETES_VERSION" "$1/kubelet" --version
    starts "$KUBERNETES_VERSION" "$1/kubeadm" version -o short
    starts "$KUBERNETES_VERSION" "$1/kubectl" version --client
}
