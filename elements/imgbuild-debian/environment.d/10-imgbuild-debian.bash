# Facts that diskimage-builder and the hooks of this element read.
export DISTRO_NAME=debian
export DIB_RELEASE
export DIB_INIT_SYSTEM=systemd
export EFI_BOOT_DIR="EFI/debian"
export DIB_DISTRIBUTION_MIRROR
export DIB_APT_SOURCES_CONF
# What every image has from the start: ca-certificates for mirrors with https, usr-is-merged in place of usrmerge, which brings
# all of perl, the others for the later phases. `imgbuild lock` reads it too.
IMGBUILD_FIRST_PACKAGES="apt tzdata ca-certificates usr-is-merged systemd-sysv dbus sudo python3 netbase kmod udev locales"
export IMGBUILD_FIRST_PACKAGES
# For mmdebstrap. apt must not take the keys that the build host trusts, which are not only the archive's. `imgbuild lock`
# reads this too.
keys=/usr/share/keyrings/debian-archive-keyring.gpg
IMGBUILD_BASE_ARGS="--skip=check/signed-by --skip=check/qemu --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
IMGBUILD_BASE_ARGS+=" --setup-hook='find \"\$1/etc/apt\" -name \"*.list\" -exec sed -i"
# shellcheck disable=SC2089 # a shell reads it, with its quotes
IMGBUILD_BASE_ARGS+=" \"s|^deb \\([^[]\\)|deb [signed-by=$keys] \\1|\" {} +'"
# shellcheck disable=SC2090
export IMGBUILD_BASE_ARGS
