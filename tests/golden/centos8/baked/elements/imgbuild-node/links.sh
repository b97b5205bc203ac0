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
systemctl enable imgbuild-boot-entries.service chronyd.service imgbuild-rp-filter.service imgbuild-disks.service stargz-snapshotter.service containerd.service buildkit.service kubelet.service imgbuild-firstboot.timer imgbuild-upkeep.timer imgbuild-report.timer
systemctl mask dnf-makecache.timer kdump.service firewalld.service swap.target
