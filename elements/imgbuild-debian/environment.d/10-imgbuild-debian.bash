# Facts that the debootstrap element and the hooks of this one read.
export DISTRO_NAME=debian
export DIB_RELEASE
export DIB_INIT_SYSTEM=systemd
export EFI_BOOT_DIR="EFI/debian"
export DIB_DISTRIBUTION_MIRROR
export DIB_APT_SOURCES_CONF
# Only cloud-init may write the network configuration.
export DIB_APT_MINIMAL_CREATE_INTERFACES=0
# A named script keeps diskimage-builder from switching to mmdebstrap where that is installed.
export DIB_DEBIAN_DEBOOTSTRAP_SCRIPT=${DIB_DEBIAN_DEBOOTSTRAP_SCRIPT:-/usr/share/debootstrap/scripts/${DIB_RELEASE}}
# Without the first debootstrap only warns if the archive's keyring is missing and continues;
# without the second apt in the chroot could not speak https to a mirror.
export DIB_DEBOOTSTRAP_EXTRA_ARGS=${DIB_DEBOOTSTRAP_EXTRA_ARGS:---force-check-gpg --include=ca-certificates}
# What the later phases need. `imgbuild lock` reads it too.
export IMGBUILD_FIRST_PACKAGES="systemd-sysv dbus sudo python3 netbase kmod udev"
