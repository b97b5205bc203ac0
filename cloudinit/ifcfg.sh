# Add to the files of an interface what this cloud-init cannot write there, and bring it into effect.
# The arguments come in threes: interface, key, value. With the key route the value is a gateway outside the interface's
# network: network-scripts ignore it as GATEWAY. NetworkManager takes it, and does not read NAME.route.
set -eu
folder=/etc/sysconfig/network-scripts
changed=' '
note() {
  case $changed in
    *" $1 "*) ;;
    *) changed="$changed$1 " ;;
  esac
}
while [ "$#" -ge 3 ]; do
  file=$folder/ifcfg-$1
  if ! [ -f "$file" ]; then
    echo "imgbuild: there is no $file: cloud-init has not written this seed's network" >&2
    exit 1
  fi
  line=$2=\"$3\"
  if [ "$2" = route ]; then
    file=$folder/$1.route
    line="ADDRESS0=$3 NETMASK0=255.255.255.255 ADDRESS1=0.0.0.0 NETMASK1=0.0.0.0 GATEWAY1=$3"
    [ "$(cat "$file" 2>/dev/null)" = "$line" ] || { echo "$line" >"$file" && note "$1"; }
  elif ! grep -qxF -e "$line" "$file"; then
    text=$(grep -v "^$2=" "$file" || true)
    # Whole or not at all: cloud-init does not write it again.
    printf '%s\n%s\n' "$text" "$line" >"$folder/.imgbuild"
    sync
    mv "$folder/.imgbuild" "$file"
    note "$1"
  fi
  shift 3
done
apply() {
  if nmcli --terse general status >/dev/null 2>&1 && nmcli connection load "$folder/ifcfg-$1"; then
    if nmcli device reapply "$1"; then
      return 0
    fi
  fi
  command -v ifup >/dev/null || return 1
  ifdown "$1" || true
  ifup "$1"
}
for name in $changed; do
  apply "$name" || echo "imgbuild: the network of $name changes at the next boot" >&2
done
