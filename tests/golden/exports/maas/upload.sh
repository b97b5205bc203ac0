#!/bin/bash
# ./upload.sh PROFILE FILE: give MAAS the disk image, whose checksum it compares.
set -euo pipefail
profile=${1:?the profile of maas login}
image=${2:?the disk image, debian12-efi.raw.xz}
sum=$(sha256sum "$image")
maas "$profile" boot-resources create \
  name=custom/debian12-efi title='imgbuild debian12-efi' architecture=amd64/generic \
  filetype=ddxz sha256="${sum%% *}" size="$(stat -c %s "$image")" \
  content@="$image"
