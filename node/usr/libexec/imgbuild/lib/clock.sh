# Is chrony in step? For the stages of first boot that care for the clock. Sourced, after cluster.sh. Bash 4.2.
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

# Give chrony the seconds that it takes to set a clock that may be right; where no time server has answered they are in
# vain. Ends with 1 if it is not in step.
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
