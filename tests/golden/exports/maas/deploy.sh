#!/bin/bash
# ./deploy.sh PROFILE [NODE...]: deploy the machines that are named, else all of them, once they are Ready.
set -euo pipefail
cd "$(dirname "$0")"
profile=${1:?the profile of maas login}
shift
[ "$#" -gt 0 ] || set -- cp1.example.com w1
for node in "$@"; do
  id=$(maas "$profile" machines read hostname="${node%%.*}" |
    python3 -c 'import json, sys; found = json.load(sys.stdin); print(found[0]["system_id"] if found else sys.exit("not there"))')
  maas "$profile" machines allocate system_id="$id"
  maas "$profile" machine deploy "$id" osystem=custom \
    distro_series=debian12-efi user_data="$(cat "private/$node.user-data")"
done
