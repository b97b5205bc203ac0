# Where a node's programs are, also for a caller whose PATH is shorter: sudo's on EL leaves out /usr/local, and with it what
# comes from archives (ctr, containerd, nerdctl, helm). The caller's own goes first. Sourced by every imgbuild program.
# shellcheck shell=bash
export PATH=${PATH:+$PATH:}${IMGBUILD_ROOT:-}/usr/local/sbin:${IMGBUILD_ROOT:-}/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
