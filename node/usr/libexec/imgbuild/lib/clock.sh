# Is chrony synchronised? For the stages of first boot that depend on the clock. Sourced, after cluster.sh. Bash 4.2.
# shellcheck shell=bash

in_step() { [[ "$(chronyc -n tracking 2> /dev/null || true)" =~ Leap\ status\ *:\ Normal ]]; }

# Has any source ever answered? chrony asks in quick succession at first (iburst).
answered() { chronyc -n sources 2> /dev/null | awk '/^[#=^][*+?x~-]/ && $5 + 0 > 0 { found = 1 } END { exit !found }'; }

# How long chronyd has been asking, in seconds.
asked_for() {
    local age=0
    read -r age _ <<< "$(ps -C chronyd -o etimes= || true)"
    echo "${age:-0}"
}

# clock_difference HOST:PORT: sets ahead to the seconds by which this node's clock is ahead of the API server's there
# (negative: behind), by the Date of its answer; empty if there is none. The certificate is not verified: with a wrong
# clock it may not be valid yet.
clock_difference() {
    local head name value date=''
    ahead=''
    head=$(curl --silent --insecure --noproxy '*' --max-time 5 --dump-header - --output /dev/null "https://$1/version") ||
        return 0
    while IFS=': ' read -r name value; do
        if [ "${name,,}" = date ]; then
            date=${value%$'\r'}
        fi
    done <<< "$head"
    if [ -z "$date" ]; then # for date, an empty text is today's midnight
        return 0
    fi
    date=$(date -d "$date" +%s 2> /dev/null) || return 0
    ahead=$(($(date +%s) - date))
}

# span SECONDS: prints a duration, in the two largest units.
span() {
    local s=${1#-}
    if ((s < 120)); then
        echo "$s s"
    elif ((s < 7200)); then
        echo "$((s / 60)) min"
    elif ((s < 172800)); then
        echo "$((s / 3600)) h $((s % 3600 / 60)) min"
    else
        echo "$((s / 86400)) d $((s % 86400 / 3600)) h"
    fi
}

# clock_agrees HOST:PORT: fails if this node's clock is more than five minutes off the API server's, and sets words.
# kube-controller-manager dates a node's certificate back by five minutes (pkg/controller/certificates/signer, Backdate):
# with a larger difference, one of the two refuses it, or Kubernetes mistakes the order of events.
clock_agrees() {
    local ahead way="ahead of" fix="chronyc sources; is a time server reachable?"
    clock_difference "$1"
    if [ -z "$ahead" ] || ((ahead >= -30 && ahead <= 30)); then
        return 0
    fi
    if ((ahead < 0)); then
        way=behind
    fi
    if in_step; then
        fix="chrony is synchronised here: is the API server's own clock right?"
    fi
    # Without the time itself: a reason that stays the same is printed once.
    words="this node's clock is $(span "$ahead") $way the API server's at $1: $fix"
    if ((ahead >= -300 && ahead <= 300)); then
        echo "imgbuild: notice: $words"
        return 0
    fi
    return 1
}

# Gives chrony the seconds it needs to set a plausible clock, unless no time server has answered. Fails if the clock is
# not synchronised.
settle_clock() {
    local try
    for ((try = 0; try < 15; try++)); do
        if in_step; then
            return 0
        fi
        if [ "$(asked_for)" -ge 5 ] && ! answered; then
            return 1
        fi
        pause 1
    done
    return 1
}
