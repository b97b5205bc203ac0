#!/bin/bash
# What files alone cannot say: links, and the units that are on and off.
set -euo pipefail
mkdir -p /etc
ln -sfnT ../usr/share/zoneinfo/UTC /etc/localtime
mkdir -p /usr/bin
ln -sfnT ../libexec/imgbuild/reset /usr/bin/imgbuild-reset
mkdir -p /usr/bin
ln -sfnT ../libexec/imgbuild/status /usr/bin/imgbuild-status
mkdir -p /usr/bin
ln -sfnT ../libexec/imgbuild/verify /usr/bin/imgbuild-verify
systemctl enable chrony.service imgbuild-rp-filter.service imgbuild-disks.service stargz-snapshotter.service containerd.service buildkit.service kubelet.service imgbuild-firstboot.timer imgbuild-upkeep.timer imgbuild-report.timer
systemctl mask systemd-timesyncd.service ntpsec.service apt-daily.timer apt-daily-upgrade.timer kdump-tools.service nftables.service ufw.service swap.target
