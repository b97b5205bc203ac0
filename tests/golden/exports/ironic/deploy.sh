#!/bin/bash
# Deploy the nodes that are named, else all of them. They must be available (see README.txt).
set -euo pipefail
cd "$(dirname "$0")"
[ "$#" -gt 0 ] || set -- cp1.example.com w1
for node in "$@"; do
  openstack baremetal node set "$node" \
    --instance-info image_source=https://files.example.com/images/lab.raw \
    --instance-info image_type=whole-disk \
    --instance-info image_disk_format=raw \
    --instance-info image_os_hash_algo=sha256 \
    --instance-info image_os_hash_value=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a
  openstack baremetal node deploy "$node" --config-drive "private/$node.configdrive"
done
