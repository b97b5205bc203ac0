# What the installer tells: to the console, and to the server that imgbuild.report= names. Sourced by install-disk.
# shellcheck shell=bash
# shellcheck disable=SC2154 # install-disk sets the rest
node='' mac='' told=''

say() { printf 'imgbuild: install: %s\n' "$*"; }

# stop TEXT...: this attempt ends; the text tells what to do.
stop() {
    told="$*"
    printf 'imgbuild: install: error: %s\n' "$*" >&2
    if [ "$BASH_SUBSHELL" = 0 ]; then
        report_failure "$*"
    else
        printf '%s' "$*" > "$work/why"
    fi
    exit 1
}

# failed: whatever ended the attempt is told.
failed() {
    local code=$?
    clean_up
    if [ "$code" != 0 ] && [ -z "$told" ]; then
        if [ -s "$work/why" ]; then
            report_failure "$(cat "$work/why")"
        else
            printf 'imgbuild: install: error: a command failed: %s\n' "$BASH_COMMAND" >&2
            report_failure "a command failed: $BASH_COMMAND"
        fi
    fi
    rm -f "$work/why"
}

# report_failure TEXT
report_failure() {
    if [ -n "$report_url" ]; then
        send failed "message=$1" > /dev/null 2>&1 || true
    fi
}

# report EVENT FIELD=VALUE...: one report, which may get lost and is not waited for.
report() {
    if [ -n "$report_url" ]; then
        send "$@" > /dev/null 2>&1 &
    fi
}
send() {
    local words=(--data-urlencode "event=$1") field up
    shift
    read -r up _ < "$R/proc/uptime" # they may arrive in another order
    for field in "node=$node" "mac=$mac" "at=$up" "$@"; do
        words+=(--data-urlencode "$field")
    done
    curl --silent --show-error --fail --max-time 10 --proto '=http,https' "${words[@]}" "$report_url"
}

# report_installed: this one must arrive: the server answers the next network boot with the disk.
report_installed() {
    local try
    if [ -z "$report_url" ]; then
        return 0
    fi
    for try in 1 2 3 4 5 6; do
        if send installed progress=100 > /dev/null; then
            return 0
        fi
        say "the report did not arrive ($try of 6)"
        sleep "${IMGBUILD_PAUSE:-10}"
    done
    return 1
}
