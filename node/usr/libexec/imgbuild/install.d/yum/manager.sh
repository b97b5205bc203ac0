# yum 3.4.3 and GRUB 2.02 with grubby: what differs on CentOS 7. Sourced by lib/packages.sh.
# shellcheck shell=bash

# By default yum skips names that it does not know and exits with 0, and tries mirrors in an order of its own.
manager() {
    yum -y --disableplugin=fastestmirror --setopt=skip_missing_names_on_install=0 --setopt=skip_missing_names_on_update=0 \
        ${ONLY[@]+"${ONLY[@]}"} "$@"
}

manager_refresh() { manager "$@" makecache fast; }

menu_of() {
    local menu
    for menu in /boot/efi/EFI/centos/grub.cfg /boot/grub2/grub.cfg; do
        if [ -s "$menu" ] && grep -q '^[[:space:]]*linux' "$menu"; then
            printf '%s\n' "$menu"
            return 0
        fi
    done
}

# kernel_complete NAME RELEASE: what the package's scripts do last: modules.dep, initramfs, and its line in the boot menu.
kernel_complete() {
    new-kernel-pkg --package "$1" --mkinitrd --dracut --depmod --update "$2"
    new-kernel-pkg --package "$1" --rpmposttrans "$2"
}

# kernel_default RELEASE: the boot menu has this kernel, and starts it. new-kernel-pkg exits with 0 without an entry.
kernel_default() {
    local release=$1 menu
    menu=$(menu_of)
    if [ -z "$menu" ]; then
        in_image || die "there is no boot menu: neither /boot/grub2/grub.cfg nor one on the ESP"
        log "the base has no boot menu: it is written when the disk is assembled"
        return 0
    fi
    if ! grep -q "vmlinuz-$release " "$menu"; then
        notice "installing $release added no entry to $menu: adding it"
        grubby --bad-image-okay --add-kernel="/boot/vmlinuz-$release" --initrd="/boot/initramfs-$release.img" \
            --title="CentOS Linux ($release)" --copy-default --make-default || true
    fi
    grep -q "vmlinuz-$release " "$menu" || die "the boot menu $menu has no entry for $release"
    if [ "$(grubby --bad-image-okay --default-kernel)" != "/boot/vmlinuz-$release" ]; then
        grubby --bad-image-okay --set-default="/boot/vmlinuz-$release" || true
    fi
    [ "$(grubby --bad-image-okay --default-kernel)" = "/boot/vmlinuz-$release" ] ||
        die "the boot menu $menu does not start $release by default"
}
