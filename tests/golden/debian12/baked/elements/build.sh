#!/bin/bash
# The same root file system with a stock disk-image-create (diskimage-builder 3.43), as root:
#     ./build.sh OUTPUT.tar
# A tar and nothing else (-t tar): diskimage-builder's own disk formats come with a boot loader element that knows no
# CentOS 7, where its helpers find no Python 3 either. imgbuild makes the disk from the tar.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
output=${1:?name the file to write: ./build.sh OUTPUT.tar}
: "${DIB_APT_SOURCES_CONF:?set it to the sources that the image keeps (diskimage-builder, element apt-sources)}"
: "${DIB_DISTRIBUTION_MIRROR:?set it to a Debian mirror}"
export DIB_RELEASE=bookworm

# diskimage-builder copies folders with their modes, and these are for one user only.
staging=$(mktemp -d)
trap 'rm -rf -- "$staging"' EXIT
cp -a -- "$here/imgbuild-install/tree" "$staging/install"
cp -a -- "$here/imgbuild-node/tree" "$staging/node"
find "$staging" -type d -exec chmod 0755 {} +
chmod 0700 "$staging"

export IMGBUILD_INSTALL_TREE=$staging/install
export IMGBUILD_NODE_TREE=$staging/node
export IMGBUILD_NODE_LINKS=$here/imgbuild-node/links.sh
export ELEMENTS_PATH=$here${ELEMENTS_PATH:+:$ELEMENTS_PATH}
unshare --mount disk-image-create -n -x -t tar -o "${output%.tar}" imgbuild-debian imgbuild-install imgbuild-node
