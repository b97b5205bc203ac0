# When kubeadm's certificates on a control plane expire. Sourced by upkeep and by imgbuild-verify. Bash 4.2, openssl.
# shellcheck shell=bash disable=SC2034 # upkeep and verify use them

# What `kubeadm certs renew all` renews, below /etc/kubernetes; only the node that created the cluster has
# super-admin.conf.
leaf_certificates=(
    pki/apiserver.crt pki/apiserver-kubelet-client.crt pki/apiserver-etcd-client.crt pki/front-proxy-client.crt
    pki/etcd/server.crt pki/etcd/peer.crt pki/etcd/healthcheck-client.crt
    admin.conf super-admin.conf controller-manager.conf scheduler.conf
)
ca_certificates=(pki/ca.crt pki/front-proxy-ca.crt pki/etcd/ca.crt)

# dates_of FILE: prints begin and end of the certificate in a PEM file or a kubeconfig, in seconds since 1970.
#
# Many of kubeadm's certificates have the start date of their CA (kubernetes#113618; in 1.36 those in kubeconfigs too):
# after three years a certificate of one year seems to be valid for four, and a quarter of that is a year. The life of
# such a certificate is counted from when its file was written; ca_begins, which note_ca_begins sets, identifies them.
dates_of() {
    local dates start end written
    dates=$(certificate_dates "$1") || return 1
    start=${dates% *} end=${dates#* }
    if [[ $1 != *ca.crt && " ${ca_begins:-} " == *" $start "* ]]; then
        written=$(date -u -r "$1" +%s)
        if [ "$written" -gt "$start" ] && [ "$written" -lt "$end" ]; then
            start=$written
        fi
    fi
    printf '%s %s\n' "$start" "$end"
}

# note_ca_begins FOLDER: sets ca_begins to the start dates of the CAs in FOLDER, /etc/kubernetes.
note_ca_begins() {
    local file dates
    ca_begins=''
    for file in "${ca_certificates[@]}"; do
        if [ -s "$1/$file" ] && dates=$(certificate_dates "$1/$file"); then
            ca_begins+=" ${dates% *}"
        fi
    done
}

certificate_dates() {
    local text line start='' end=''
    case $1 in
        *.conf) text=$(sed -n 's/^ *client-certificate-data: *//p' "$1" | base64 -d) || return 1 ;;
        *) text=$(cat "$1") ;;
    esac
    while IFS= read -r line; do
        case $line in
            notBefore=*) start=${line#*=} ;;
            notAfter=*) end=${line#*=} ;;
        esac
    done < <(openssl x509 -noout -startdate -enddate <<< "$text" 2> /dev/null)
    if [ -z "$end" ]; then
        return 1
    fi
    printf '%s %s\n' "$(date -u -d "$start" +%s)" "$(date -u -d "$end" +%s)"
}
