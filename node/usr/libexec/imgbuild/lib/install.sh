# Shared by install, its steps and setup. Bash 4.2, no Python, no jq. Sourced, never run.
# shellcheck shell=bash disable=SC2034

export LC_ALL=C
# Not the caller's: in a build that is diskimage-builder's.
PATH=''
# shellcheck source=lib/path.sh
. /usr/libexec/imgbuild/lib/path.sh

# imgbuild's state on the node: which archives are unpacked, how far setup is.
STATE=/var/lib/imgbuild
# What others may read: the kernel that was installed.
SHARE=/usr/share/imgbuild
RETRIES=${IMGBUILD_RETRIES:-3}
RETRY_SECONDS=${IMGBUILD_RETRY_SECONDS:-10}

log() { printf 'imgbuild: %s\n' "$*"; }
notice() { printf 'imgbuild: notice: %s\n' "$*" >&2; }
# die TEXT...: a permanent failure. later TEXT...: a temporary one (a mirror, the network): setup retries (75:
# EX_TEMPFAIL).
die() {
    printf 'imgbuild: error: %s\n' "$*" >&2
    exit 1
}
later() {
    printf 'imgbuild: error: %s\n' "$*" >&2
    exit 75
}

# True in the chroot of an image build, where services must not start and traces of the build are removed.
in_image() { [ "${IMGBUILD_IN_IMAGE:-0}" = 1 ]; }

# True where `imgbuild lock` looks for what would be installed: nothing but the package manager's database changes.
solving() { [ "${IMGBUILD_SOLVE:-0}" = 1 ]; }

# Name a command that fails silently, with its line.
set -E
trap 'printf "imgbuild: error: %s, line %s: %s\n" "$0" "$LINENO" "$BASH_COMMAND" >&2' ERR

# retry WHAT COMMAND...: for what needs the network. Bounded; reports each failure.
retry() {
    local what=$1 try
    shift
    for ((try = 1; try <= RETRIES; try++)); do
        if "$@"; then
            return 0
        fi
        if [ "$try" -lt "$RETRIES" ]; then
            notice "$what failed (attempt $try of $RETRIES), retrying in $RETRY_SECONDS s"
            sleep "$RETRY_SECONDS"
        fi
    done
    notice "$what failed $RETRIES times"
    return 1
}

# write FILE: standard input becomes FILE, whole or not at all, also if power fails.
write() {
    mkdir -p "${1%/*}"
    dd of="$1.imgbuild-new" conv=fsync status=none
    chmod 0644 "$1.imgbuild-new"
    mv -f "$1.imgbuild-new" "$1"
}

# outdated FILE: whether an initramfs is older than what decides about its content.
outdated() {
    local newer
    newer=$(find /etc/dracut.conf /etc/dracut.conf.d /etc/initramfs-tools /etc/modprobe.d /etc/crypttab /etc/lvm \
        /etc/mdadm.conf /etc/mdadm /etc/multipath.conf /etc/multipath /etc/iscsi /etc/nvme /etc/depmod.d \
        /etc/cmdline.d -newer "$1" 2> /dev/null || true)
    [ -n "$newer" ]
}

# has_modules RELEASE LIST: each driver of the settings is in LIST (the initramfs's files) or built into the kernel; of
# INITRAMFS_DRIVERS_WHERE_BUILT only those that the kernel has at all are required.
has_modules() {
    local release=$1 list=$2 driver name missing=() unknown=() wanted=("${INITRAMFS_DRIVERS[@]}")
    for driver in "${INITRAMFS_DRIVERS_WHERE_BUILT[@]}"; do
        name=${driver//_/[-_]}
        if grep -Eq "/$name\.ko(\.(gz|xz|zst))?:" "/lib/modules/$release/modules.dep"; then
            wanted+=("$driver")
        fi
    done
    for driver in "${wanted[@]}"; do
        name=${driver//_/[-_]}
        if ! grep -Eq "/$name\.ko(\.(gz|xz|zst))?$" "$list" "/lib/modules/$release/modules.builtin"; then
            missing+=("$driver")
            if ! grep -Eq "/$name\.ko(\.(gz|xz|zst))?:" "/lib/modules/$release/modules.dep"; then
                unknown+=("$driver")
            fi
        fi
    done
    if [ "${#unknown[@]}" -gt 0 ]; then
        die "the kernel $release has no module ${unknown[*]}: correct kernel.initramfs_drivers, or use a kernel that" \
            "has it"
    fi
    if [ "${#missing[@]}" -gt 0 ]; then
        die "the initramfs of $release lacks ${missing[*]}: it was made for the machine that built it and" \
            "would not boot elsewhere"
    fi
}

# shellcheck source=/dev/null
. /etc/imgbuild/install.conf
# shellcheck source=lib/packages.sh
. /usr/libexec/imgbuild/lib/packages.sh
