# Facts that diskimage-builder itself reads.
export DISTRO_NAME=centos
export DIB_RELEASE
export DIB_INIT_SYSTEM=systemd
export EFI_BOOT_DIR="EFI/centos"
export IMGBUILD_BASE_TAR
