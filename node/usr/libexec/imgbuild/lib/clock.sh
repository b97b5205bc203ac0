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
