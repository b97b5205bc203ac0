#!/bin/bash
# ./create.sh FIRST-ID [NODE...]: make the machines that are named, else all of them. The first node of
# the cluster file gets FIRST-ID, the next one more. A machine whose number is taken is left alone.
set -euo pipefail
cd "$(dirname "$0")"
first=${1:?the number of the first machine, such as 101}
shift
storage=${STORAGE:-local-lvm}  # for disks
snippets=${SNIPPETS:-local}  # a storage with snippets in its content
image=${IMAGE:-$PWD/debian12-efi.qcow2}
[ "$#" -gt 0 ] || set -- cp1.example.com w1
if [ ! -e "$image" ]; then
  echo "copy the disk image to $image first" >&2
  exit 1
fi
# snippet NODE PART: put it into the storage and print its volume
snippet() {
  local volume path
  volume=$snippets:snippets/lab-$1-$2.yaml
  path=$(pvesm path "$volume")
  install -D -m 0600 "private/$1/$2" "$path"
  echo "$volume"
}
for node in "$@"; do
  case "$node" in
  cp1.example.com) id=$((first + 0)) ;;
  w1) id=$((first + 1)) ;;
  *)
    echo "there is no node $node" >&2
    exit 1
    ;;
  esac
  if qm status "$id" >/dev/null 2>&1; then
    echo "$node: the number $id is taken"
    continue
  fi
  case "$node" in
  cp1.example.com)
    qm create "$id" \
      --name cp1.example.com --memory 4096 --cores 2 \
      --cpu host --machine q35 --ostype l26 \
      --scsihw virtio-scsi-pci --serial0 socket --rng0 source=/dev/urandom \
      --bios ovmf --efidisk0 "$storage:0,efitype=4m,pre-enrolled-keys=0" --agent enabled=1 \
      --net0 virtio=52:54:00:00:00:01,bridge=vmbr0
    qm set "$id" --virtio0 "$storage:0,import-from=$image,discard=on" --boot order=virtio0
    qm disk resize "$id" virtio0 40G
    qm set "$id" --virtio1 "$storage:466,discard=on"
    qm set "$id" --virtio2 "$storage:40,serial=data,discard=on"
    user=$(snippet "$node" user)
    meta=$(snippet "$node" meta)
    network=$(snippet "$node" network)
    vendor=$(snippet "$node" vendor)
    qm set "$id" --ide2 "$storage:cloudinit" --citype nocloud --cicustom "user=$user,meta=$meta,network=$network,vendor=$vendor"
    ;;
  w1)
    qm create "$id" \
      --name w1 --memory 8192 --cores 4 \
      --cpu host --machine q35 --ostype l26 \
      --scsihw virtio-scsi-pci --serial0 socket --rng0 source=/dev/urandom \
      --bios ovmf --efidisk0 "$storage:0,efitype=4m,pre-enrolled-keys=0" --agent enabled=1 \
      --net0 virtio=52:54:00:00:00:02,bridge=vmbr0 --net1 virtio=52:54:00:00:00:03,bridge=vmbr1 --net2 virtio=52:54:00:00:00:04,bridge=vmbr2
    qm set "$id" --virtio0 "$storage:0,import-from=$image,discard=on" --boot order=virtio0
    qm disk resize "$id" virtio0 100G
    qm set "$id" --virtio1 "$storage:466,discard=on"
    qm set "$id" --virtio2 "$storage:40,serial=data,discard=on"
    user=$(snippet "$node" user)
    meta=$(snippet "$node" meta)
    network=$(snippet "$node" network)
    vendor=$(snippet "$node" vendor)
    qm set "$id" --ide2 "$storage:cloudinit" --citype nocloud --cicustom "user=$user,meta=$meta,network=$network,vendor=$vendor"
    ;;
  esac
  qm start "$id"
done
