# shellcheck shell=bash disable=SC2154 # set by verify.conf
# Kubernetes' programs and helm, at the versions asked for.

# program_version WANTED COMMAND...: the first version number that the command prints
program_version() {
    local wanted=$1 output version='not installed'
    shift
    if has "$1"; then
        output=$("$@" 2>/dev/null) || output=''
        version='no version in its output'
        if [[ $output =~ v([0-9]+\.[0-9]+\.[0-9]+([-.][0-9A-Za-z.]+)?) ]]; then
            version=${BASH_REMATCH[1]}
        fi
    fi
    expect "$wanted" "$version" "which $1"
}

check_kubeadm() { program_version "$kubernetes_version" kubeadm version -o short; }
check_kubectl() { program_version "$kubernetes_version" kubectl version --client; }
check_helm() { program_version "$helm_version" helm version --short; }

# The kubelet restarts until kubeadm has written its configuration: only whether it is enabled counts here.
check_kubelet() {
    program_version "$kubernetes_version" kubelet --version
    if [[ $verdict == true ]] && ! systemctl is-enabled --quiet kubelet.service; then
        fail "$kubernetes_version, enabled" "not enabled" "systemctl enable kubelet"
    fi
}
