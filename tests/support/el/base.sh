#!/bin/bash
# Makes of an unpacked Debian root file system a base that goes for CentOS: $1 the root, $2 the release (7 or 8), $3 the
# folder with the stand-ins. Runs in a mount namespace of its own. Real: rpm, dnf, dracut, systemd, GRUB, cloud-init,
# NetworkManager, chrony. Stand-ins, which name themselves: kernel-install, new-kernel-pkg, grubby, GRUB's 10_linux, yum
# 3.4.3, shim, blscfg.
set -euo pipefail
root=$1 release=$2 standins=$3

mkdir -p "$root"/{proc,sys,dev,run,tmp}
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
rm -f "$root/etc/resolv.conf"
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }

inside apt-get -q update
inside apt-get -q -y --no-install-recommends install dnf rpm dracut network-manager gpg policycoreutils fuse3 file gawk sudo \
    dracut-network dracut-live isc-dhcp-client dmsetup curl
inside apt-get clean

# Debian's own kernels and what it made of them: this base has none.
inside sh -c 'dpkg-query -W -f "\${Package}\n" "linux-image-*" | xargs dpkg --purge --force-all' > /dev/null 2>&1 || true
rm -rf "$root"/boot/* "$root"/lib/modules/* "$root"/usr/share/imgbuild "$root"/usr/libexec/imgbuild "$root"/etc/imgbuild
rm -rf "$root"/var/lib/imgbuild "$root"/etc/default/grub.d
rm -f "$root"/etc/kernel/postinst.d/* "$root"/etc/kernel/postrm.d/*

# EL's names and paths.
cat > "$root/usr/lib/os-release" <<END
NAME="CentOS Linux"
VERSION="$release"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="$release"
PLATFORM_ID="platform:el$release"
PRETTY_NAME="CentOS Linux $release (a stand-in of imgbuild's tests)"
END
ln -sfn ../usr/lib/os-release "$root/etc/os-release"
echo "CentOS Linux release $release (a stand-in)" | tee "$root/etc/centos-release" > "$root/etc/redhat-release"
mkdir -p "$root"/etc/{sysconfig,yum.repos.d,pki/rpm-gpg,rpm} "$root"/boot/{grub2,loader/entries} "$root/boot/efi/EFI/centos"
# The stock files, whose mirrors are gone.
cat > "$root/etc/yum.repos.d/CentOS-Base.repo" <<'END'
[base]
name=CentOS - Base
mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os
gpgcheck=1
END
echo '%_dbpath /var/lib/rpm' > "$root/etc/rpm/macros"
inside rpm --initdb
for name in mkimage editenv mkconfig probe set-default reboot mkrelpath script-check file; do
    for folder in /usr/bin /usr/sbin; do
        [ ! -x "$root$folder/grub-$name" ] || ln -sf "grub-$name" "$root$folder/grub2-$name"
    done
done
if [ "$release" = 8 ]; then
    # Stand-in: Debian has no module blscfg to link.
    rm -f "$root/usr/bin/grub2-mkimage"
    cat > "$root/usr/bin/grub2-mkimage" <<'END'
#!/bin/bash
# Stand-in for EL 8's grub2-mkimage, for imgbuild's tests: Debian's, without the module that Debian does not have.
words=()
for word in "$@"; do
    [ "$word" = blscfg ] || words+=("$word")
done
exec grub-mkimage "${words[@]}"
END
    chmod 0755 "$root/usr/bin/grub2-mkimage"
fi
mkdir -p "$root/etc/selinux/targeted/contexts/files"
# As long as EL's own policy, which has more than 400 KB.
seq 8000 | awk '{ printf "/srv/rule-%d(/.*)?\tsystem_u:object_r:srv_t:s0\n", $1 }' | cat "$standins/file_contexts" - \
    > "$root/etc/selinux/targeted/contexts/files/file_contexts"
printf 'SELINUX=enforcing\nSELINUXTYPE=targeted\n' > "$root/etc/selinux/config"
mv "$root/etc/chrony/chrony.conf" "$root/etc/chrony.conf"
rm -f "$root/etc/systemd/system/chronyd.service" "$root/etc/systemd/system/sshd.service"
sed -e 's|^ExecStart=.*|ExecStart=!/usr/sbin/chronyd -F 1 -f /etc/chrony.conf|' -e '/^Alias=/d' -e '/^EnvironmentFile=/d' \
    "$root/lib/systemd/system/chrony.service" > "$root/usr/lib/systemd/system/chronyd.service"
sed -e '/^Alias=/d' "$root/lib/systemd/system/ssh.service" > "$root/usr/lib/systemd/system/sshd.service"
inside systemctl --quiet disable chrony.service ssh.service
inside systemctl --quiet enable chronyd.service sshd.service
: > "$root/etc/machine-id"

for name in kernel-install new-kernel-pkg; do
    rm -f "$root/usr/bin/$name"
done
install -m 0755 "$standins/10_linux" "$root/etc/grub.d/10_linux"
rm -f "$root/etc/grub.d/05_debian_theme" "$root"/etc/default/grub
if [ "$release" = 7 ]; then
    install -m 0755 "$standins/new-kernel-pkg" "$root/usr/sbin/new-kernel-pkg"
    install -m 0755 "$standins/grubby" "$root/usr/sbin/grubby"
    install -m 0755 "$standins/yum" "$root/usr/bin/yum"
else
    install -m 0755 "$standins/kernel-install" "$root/usr/bin/kernel-install"
    install -m 0755 "$standins/grubby-bls" "$root/usr/sbin/grubby"
fi

# The signed boot loader's places. Debian's GRUB has no blscfg: a function of that name reads the menu entries that the
# stand-in kernel-install keeps beside the real BLS entries. Their names get a prefix: a name that begins with a digit, as a
# machine id may, is a number for Debian's GRUB (EL's has a patch: "Fix menu entry selection based on ID and title").
modules="part_gpt fat ext2 normal configfile search search_fs_uuid linux echo test loadenv serial terminal all_video gzio
    chain memdisk tar regexp boot ls cat sleep minicmd"
work=$root/tmp
cat > "$work/pre.cfg" <<'END'
function blscfg {
  source ($root)/boot/loader/standin-blscfg.cfg
  set default="id-${default}"
}
regexp --set=1:root '^\(([^)]*)\)' $cmdpath
set prefix=$cmdpath
configfile $cmdpath/grub.cfg
END
tar -C "$work" -cf "$work/memdisk.tar" pre.cfg
echo 'normal (memdisk)/pre.cfg' > "$work/early.cfg"
# shellcheck disable=SC2086 # words are meant
inside grub-mkimage -O x86_64-efi -d /usr/lib/grub/x86_64-efi -p /EFI/centos -m /tmp/memdisk.tar -c /tmp/early.cfg \
    -o /boot/efi/EFI/centos/grubx64.efi $modules
echo 'chainloader $cmdpath/grubx64.efi
boot' > "$work/shim.cfg"
inside grub-mkimage -O x86_64-efi -d /usr/lib/grub/x86_64-efi -p /EFI/centos -c /tmp/shim.cfg \
    -o /boot/efi/EFI/centos/shimx64.efi part_gpt fat chain boot echo

# As EL has them: gawk is awk, sudo looks in no folder of /usr/local, and on EL 8 a timer reads the package lists by preset
# (dnf's own unit files; systemd-presets of EL's release package).
ln -sfn gawk "$root/usr/bin/awk"
cat > "$root/etc/sudoers" <<'END'
Defaults   !visiblepw
Defaults    always_set_home
Defaults    match_group_by_gid
Defaults    env_reset
Defaults    secure_path = /sbin:/bin:/usr/sbin:/usr/bin
root	ALL=(ALL) 	ALL
%wheel	ALL=(ALL)	ALL
#includedir /etc/sudoers.d
END
chmod 0440 "$root/etc/sudoers"
inside visudo -c
if [ "$release" = 8 ]; then
    cat > "$root/usr/lib/systemd/system/dnf-makecache.timer" <<'END'
[Unit]
Description=dnf makecache --timer
Wants=network-online.target
[Timer]
OnBootSec=10min
OnUnitInactiveSec=1h
Unit=dnf-makecache.service
[Install]
WantedBy=timers.target
END
    cat > "$root/usr/lib/systemd/system/dnf-makecache.service" <<'END'
[Unit]
Description=dnf makecache
After=network-online.target
[Service]
Type=oneshot
ExecStart=/usr/bin/dnf makecache --timer
END
    inside systemctl --quiet enable dnf-makecache.timer
fi

# cloud-init without what only Debian has; AppArmor would keep chronyd from EL's path.
sed -i -e '/^ *- *\(apt-configure\|apt-pipelining\|grub-dpkg\|byobu\|snap\|ubuntu.*\)$/d' "$root/etc/cloud/cloud.cfg"
rm -rf "$root/etc/apparmor.d"
# From here on the packages are rpm's.
rm -f "$root"/usr/bin/dpkg* "$root"/usr/bin/apt* "$root"/usr/sbin/update-initramfs
rm -rf "$root"/var/lib/dpkg "$root"/var/lib/apt "$root"/etc/apt "$root"/var/cache/apt

umount "$root/tmp" "$root/dev" "$root/proc"
rm -f "$root/etc/resolv.conf"
