# dnf and boot loader entries (BLS): what differs on CentOS 8. Sourced by lib/packages.sh.
# shellcheck shell=bash

manager() { dnf -y --setopt=strict=1 --setopt=best=1 --setopt=install_weak_deps=0 ${ONLY[@]+"${ONLY[@]}"} "$@"; }

# By default dnf silently goes from a dead address to the next; with -v it reports that, once for each file.
manager_refresh() {
    manager -v "$@" makecache 2>&1 | awk '
        /^error: .*\/repodata\/repomd\.xml/ {
            sub(/^error: /, "")
            sub(/ \([a-z]*:[^ ]*\)\.$/, "")
            if (!said[$0]++) print "imgbuild: notice: skipping an address: " $0
            next
        }
        /^(error: |DNF version|cachedir:|User-Agent:|Loaded plugins:|repo: )/ { next }
        { print }'
}

# kernel_complete NAME RELEASE: what the package's scripts do last: copy to /boot, boot entry, modules.dep, initramfs.
kernel_complete() { kernel-install add "$2" "/lib/modules/$2/vmlinuz"; }

# kernel_default RELEASE: there is an entry for this kernel, and the boot loader starts it. kernel-install writes none
# if /etc/machine-id is empty, and exits with 0.
kernel_default() {
    local release=$1 entry environment=/boot/grub2/grubenv
    entry=$(find /boot/loader/entries -name "*-$release.conf" 2> /dev/null || true)
    [ -n "$entry" ] || die "installing $release created no entry in /boot/loader/entries"
    [ "$(wc -l <<< "$entry")" -eq 1 ] || die "there are several entries for $release: ${entry//$'\n'/, }"
    entry=${entry##*/}
    entry=${entry%.conf}
    if ! grep -qx "saved_entry=$entry" "$environment" 2> /dev/null; then
        log "making $release the boot loader's default"
        grub2-editenv "$environment" set "saved_entry=$entry"
    fi
    grep -qx "saved_entry=$entry" "$environment" || die "$environment does not name $entry as its default"
}
