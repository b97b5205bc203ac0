# Cilium's agent on this node: what it answers, and what its container sees of the node. Sourced by verify, with json.sh.
# shellcheck shell=bash

# Sets agent to the container of the agent, once; fails if there is none.
agent=''
find_agent() {
    if [[ -z $agent ]]; then
        agent=$(ask crictl ps --name '^cilium-agent$' --state Running --quiet) || agent=''
        agent=${agent%%$'\n'*}
    fi
    [[ -n $agent ]]
}

# in_agent WORDS...: run WORDS in its container, which is in the host's network and has its own iproute.
in_agent() { find_agent && ask crictl exec "$agent" "$@"; }

# ask_agent WORDS...: prints its answer to WORDS, as json_lines formats it.
ask_agent() {
    local program answer
    find_agent || return 1
    # cilium-dbg since 1.15
    for program in cilium-dbg cilium; do
        if answer=$(in_agent "$program" "$@" -o json | json_lines); then
            printf '%s\n' "$answer"
            return 0
        fi
    done
    return 1
}

# Sets the array agent_status to what `cilium-dbg status` answers, by path; asked for once.
declare -A agent_status=()
read_status() {
    local lines path value
    if ((${#agent_status[@]} == 0)); then
        # Not in a subshell, which would lose the variable
        find_agent && lines=$(ask_agent status) || return 1
        while IFS='=' read -r path value; do
            agent_status[$path]=$value
        done <<<"$lines"
    fi
}

# xdp_mode DEVICE: prints how an XDP program is attached there: native, generic, offload, none, or unknown. The agent's own
# iproute is asked: up to 4.12, and CentOS 7 has 4.11, it writes xdp for a generic program too (ip/iplink_xdp.c).
xdp_mode() {
    local line mode=none
    if ! line=$(in_agent ip -o link show dev "$1"); then
        mode=unknown
    elif [[ $line =~ \ xdp([a-z]*)(/id:[0-9]+)?\  ]]; then
        mode=${BASH_REMATCH[1]:-native}
    fi
    printf '%s' "$mode"
}
