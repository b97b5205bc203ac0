# Facts that diskimage-builder's debootstrap element and the hooks of this one read.
export DISTRO_NAME=debian
export DIB_RELEASE
export DIB_INIT_SYSTEM=systemd
export EFI_BOOT_DIR="EFI/debian"
export DIB_DISTRIBUTION_MIRROR
export DIB_APT_SOURCES_CONF
# Only cloud-init may write the network configuration.
export DIB_APT_MINIMAL_CREATE_INTERFACES=0
# What every image has from the start: ca-certificates for mirrors with https, usr-is-merged in place of usrmerge, which brings
# all of perl, the others for the later phases. `imgbuild lock` reads it too.
export IMGBUILD_FIRST_PACKAGES="ca-certificates usr-is-merged systemd-sysv dbus sudo python3 netbase kmod udev"
# The element uses mmdebstrap where that is installed: half of debootstrap's time, and all these packages at once. apt must not
# take the keys that the build host trusts, which are not only the archive's. `imgbuild lock` reads this too.
keys=/usr/share/keyrings/debian-archive-keyring.gpg
IMGBUILD_BASE_ARGS="--skip=check/signed-by --skip=check/qemu --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
IMGBUILD_BASE_ARGS+=" --setup-hook='find \"\$1/etc/apt\" -name \"*.list\" -exec sed -i"
# shellcheck disable=SC2089 # a shell reads it, with its quotes
IMGBUILD_BASE_ARGS+=" \"s|^deb \\([^[]\\)|deb [signed-by=$keys] \\1|\" {} +'"
# shellcheck disable=SC2090
export IMGBUILD_BASE_ARGS
DIB_MMDEBSTRAP_EXTRA_ARGS="$IMGBUILD_BASE_ARGS --include=${IMGBUILD_FIRST_PACKAGES// /,}"
DIB_MMDEBSTRAP_EXTRA_ARGS+=" --dpkgopt=${TMP_HOOKS_PATH:-}/imgbuild-debian-files/etc/dpkg/dpkg.cfg.d/imgbuild"
if [ -n "${https_proxy:-}" ]; then # the element passes on http_proxy alone
    DIB_MMDEBSTRAP_EXTRA_ARGS+=" --aptopt='Acquire::https::Proxy \"$https_proxy\"'"
fi
if [ ! -d "${IMGBUILD_SUPPLY:-}/.locked" ]; then # else the packages are on this host already
    # What an earlier build has fetched is not fetched again.
    kept=${DIB_IMAGE_CACHE:-}/apt/$DISTRO_NAME
    DIB_MMDEBSTRAP_EXTRA_ARGS+=" --skip=essential/unlink"
    DIB_MMDEBSTRAP_EXTRA_ARGS+=" --setup-hook='mkdir -p $kept \"\$1/var/cache/apt/archives\"'"
    DIB_MMDEBSTRAP_EXTRA_ARGS+=" --setup-hook='sync-in $kept /var/cache/apt/archives'"
    # shellcheck disable=SC2089
    DIB_MMDEBSTRAP_EXTRA_ARGS+=" --customize-hook='sync-out /var/cache/apt/archives $kept'"
fi
# shellcheck disable=SC2090
export DIB_MMDEBSTRAP_EXTRA_ARGS
