# What the stages of first boot share: the seed's cluster.conf, this node's address, the cluster's answer. Sourced.
# shellcheck shell=bash disable=SC2034 # the stages use them

program=firstboot
# shellcheck source=stage.sh
. "${BASH_SOURCE[0]%/*}/stage.sh"
# shellcheck source=leave.sh
. "${BASH_SOURCE[0]%/*}/leave.sh"

# Name a command that fails silently, with its line.
set -E
trap 'printf "imgbuild: error: %s, line %s: %s\n" "${0##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# die TEXT...: fails for good: without a change by the user a retry would fail, too.
die() {
    trap - ERR
    printf 'imgbuild: error: %s\n' "$*" >&2
    exit 1
}
# later TEXT...: fails for now: what is missing may come back by itself, so the stage is retried.
later() {
    trap - ERR
    printf 'imgbuild: error: %s\n' "$*" >&2
    exit "$again"
}

cluster_name='' node_name='' node_role='' endpoint='' single_endpoint='' others='' others_unknown='' api_port='' node_ip='' node_interface='' node_family=4 second_family='' vip='' balancer='' balancer_image='' snapshotter='' ca_hash=''
valid_from='' valid_until='' token_expires='' kubernetes_version='' etcd=local etcd_data=/var/lib/etcd kube_proxy='' schedulable='' cri_socket=''
cilium='' cilium_version='' cilium_repository='' cilium_acceleration='' cilium_devices=''
# shellcheck source=/dev/null
. "$R/etc/imgbuild/cluster.conf"

pki=$R/etc/imgbuild/pki
kubernetes=$R/etc/kubernetes
way_file=$state/kubeadm.way # init or join: written before each attempt of kubeadm, and kept
stage_name=${0##*/}
stage_name=${stage_name#??-}

# The cluster is reached directly, and kubeadm would copy a proxy's login into the manifests of the control plane: without
# the variables that a login shell and sudo have.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy

# through_proxy COMMAND...: with the proxy of the site, if it has one, for what is fetched from outside.
through_proxy() {
    (
        if [ -r "$R/etc/imgbuild/proxy.env" ]; then
            set -a
            # shellcheck source=/dev/null
            . "$R/etc/imgbuild/proxy.env"
            set +a
        fi
        "$@"
    )
}

# api_answers KUBECONFIG: within three minutes; after a reboot the control plane needs some time.
api_answers() { other apiserver wait_for_api "$1"; }
wait_for_api() {
    local try
    for ((try = 0; try < 36; try++)); do
        if kube "$1" get --raw /livez > /dev/null 2>&1; then
            return 0
        fi
        pause 5
    done
    return 1
}

# waiting TEXT: reports state and reason; prints a line only when the reason changes.
waiting_for=''
waiting() {
    status "$stage_name" waiting "$1"
    if [ "$1" != "$waiting_for" ]; then
        printf 'imgbuild: waiting: %s\n' "$1"
        console "$stage_name waits: $1"
        waiting_for=$1
    fi
}

# Sets address: the seed's, else the one of the main family.
find_address() {
    address=$node_ip
    if [ -z "$address" ]; then
        address_of "$node_family"
    fi
}

# address_of FAMILY: sets address to that of node_interface, else to the source address of the default route. A network
# without a router has none: after half a minute, once per boot, this node's only address is used instead.
address_of() {
    local try words only target=192.0.2.1
    if [ "$1" = 6 ]; then
        target=2001:db8::1
    fi
    for ((try = 0; try < 60; try++)); do
        if [ -n "$node_interface" ]; then
            only=$(own_addresses "$1" "$node_interface")
            address=${only%%$'\n'*}
            if [ -n "$address" ]; then
                return 0
            fi
            pause 5
            continue
        fi
        words=" $(ip -o "-$1" route get "$target" 2> /dev/null || true) "
        if [[ $words =~ \ src\ ([0-9a-fA-F.:]+)\  ]]; then
            address=${BASH_REMATCH[1]}
            return 0
        fi
        only=$(own_addresses "$1")
        if [ -n "$only" ] && [[ $only != *$'\n'* ]] && { [ "$try" -ge 6 ] || [ -e "$run/no-router$1" ]; }; then
            address=$only
            touch "$run/no-router$1"
            echo "imgbuild: notice: there is no default route; $address is this node's only IPv$1 address"
            return 0
        fi
        pause 5
    done
    if [ -n "$node_interface" ]; then
        later "this node's address is unknown: after 5 minutes $node_interface, which kubernetes.node_ip names, has no" \
            "IPv$1 address. Set the interface that has one (ip address), or give it one in the cluster file"
    fi
    only=${only//$'\n'/, }
    later "this node's address is unknown: after 5 minutes there is no default route for IPv$1, and it has" \
        "${only:-no address}. Give the node an address in the cluster file, or a network whose DHCP server sends a gateway"
}

# own_addresses FAMILY [INTERFACE]: prints the addresses of this node's interfaces, or of one, one per line, without the
# virtual address and those of pods and bridges.
own_addresses() {
    local link word
    { ip -o "-$1" address show scope global ${2:+dev "$2"} 2> /dev/null || true; } | while read -r _ link _ word _; do
        case $link in
            cilium_* | lxc* | docker* | cni* | veth* | virbr* | kube-* | nodelocaldns) continue ;;
        esac
        if [ "${word%/*}" != "$vip" ]; then
            printf '%s\n' "${word%/*}"
        fi
    done
}

# lay NAME: writes /etc/imgbuild/NAME, with this node's address in it, to /run/imgbuild/NAME, for root only.
lay() {
    local source=$R/etc/imgbuild/$1 text left
    if [ ! -r "$source" ]; then
        die "/etc/imgbuild/$1 is missing: this node's seed should contain it"
    fi
    text=$(cat "$source" && printf .)
    text=${text%.}
    if [[ $text == *@NODE_IP@* ]]; then
        find_address
        text=${text//@NODE_IP@/$address}
    fi
    text=${text//@NODE_NAME@/$node_name}
    if [[ $text == *@SECOND_IP@* ]]; then
        address_of "$second_family"
        text=${text//@SECOND_IP@/$address}
    fi
    if [[ $text == *@TOKEN_TTL@* ]]; then
        # At least a second: for kubeadm 0 and less mean a token that never expires.
        left=$((token_expires - $(date +%s)))
        text=${text//@TOKEN_TTL@/$((left > 0 ? left : 1))s}
    fi
    rm -f "$run/$1" "$run/$1.new"
    if ! (umask 077 && printf '%s' "$text" > "$run/$1.new") || ! mv -f "$run/$1.new" "$run/$1"; then
        die "$run/$1 cannot be written (free: $(free_space))"
    fi
}

# api_version URL MORE...: prints what a server there answers, if our CA signed its certificate.
api_version() {
    curl --silent --show-error --noproxy '*' --max-time 5 --cacert "$pki/ca.crt" --output /dev/null "${@:2}" \
        "$1/version" 2>&1
}

# ask_cluster HOST:PORT: sets answer to ours (a cluster of our CA), misnamed (the same, but its certificate is not for
# this host), untimely (its certificate is not valid at this time), foreign, nobody, silent (packets are lost there) or
# unknown (there is no such name); words has the details.
ask_cluster() {
    local code=0
    words=$(api_version "https://$1") || code=$?
    # Without curl's milliseconds, so that the same message is printed once.
    words=$(sed -E 's/ after [0-9]+ (ms|milliseconds)//' <<< "${words//$'\n'/ }")
    case $code in
        0) answer=ours ;;
        51 | 60) ask_whose "$1" ;;
        6) answer=unknown ;; # the name is not resolved: no server was asked
        28) answer=silent ;;
        77 | 127) die "cannot ask the cluster at $1: $words" ;;
        *) answer=nobody ;;
    esac
}

# ask_whose HOST:PORT: why is its certificate refused? For a name that is missing, curl exits with 51 only if it is
# built with NSS or older than 7.62, else with 60, as for another CA. Every API server's certificate is for the name
# kubernetes (kubeadm, GetAPIServerAltNames): asked by that name, only the CA counts.
ask_whose() {
    local host=${1%:*} port=${1##*:} at=''
    host=${host#[}
    host=${host%]}
    read -r at _ <<< "$(getent ahosts "$host" || true)"
    answer=foreign
    if [ -n "$at" ] && api_version "https://kubernetes:$port" --resolve "kubernetes:$port:$at" > /dev/null; then
        answer=misnamed
        words="the certificate of the API server at $1 is signed by this cluster's CA, but is not for the name $host"
    elif [[ $words == *expired* || $words == *'not yet valid'* ]]; then
        # Reported of a certificate of our CA only: a foreign one is refused for its CA first.
        answer=untimely
        words="the certificate of the API server at $1 is not valid at this node's time, $(stamp now): $words"
    fi
}

# own_address HOST: is it an address of this machine?
own_address() {
    local host=${1#[}
    host=${host%]}
    [[ "$(ip -o address show)" == *" $host/"* ]]
}
