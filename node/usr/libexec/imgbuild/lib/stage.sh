# Stages: each runs once, is marked when done, and is said in the log and in status.json. Sourced by setup, by firstboot
# and by firstboot's stages; $program is the one or the other. Bash 4.2, no jq, no Python.
# shellcheck shell=bash disable=SC2154 # program

R=${IMGBUILD_ROOT:-} # tests only: a fake root
run=$R/run/imgbuild
state=$R/var/lib/imgbuild
log=$R/var/log/imgbuild/$program.log
case $program in
    setup) marks=$state/setup- ;;
    *) marks=$state/firstboot/ ;;
esac
mkdir -p "$run" "${marks%/*}" "${log%/*}"
# For a stage's own calls of status.
export stages_done=${stages_done:-} attempt=${attempt:-1}

# JSON's own characters only: text of tools may hold anything.
json() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# status STAGE STATE [ERROR]: for whoever watches. imgbuild-status reads this very form, one line.
status() {
    local name list=''
    for name in $stages_done; do
        list+=${list:+, }$(json "$name")
    done
    printf '{"program": "%s", "stage": %s, "state": %s, "attempt": %d, "done": [%s], "time": "%s", "error": %s}\n' \
        "$program" "$(json "$1")" "$(json "$2")" "$attempt" "$list" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        "$(json "${3:-}")" > "$run/status.json.new"
    mv -f "$run/status.json.new" "$run/status.json"
}

say() { printf 'imgbuild: %s\n' "$*" | tee -a "$log" >&2; }

# console TEXT...: one line for whoever looks at the screen or the serial line, if there is one.
console() {
    if [ -w "$R/dev/console" ]; then
        printf 'imgbuild: %s\n' "${*//[[:cntrl:]]/ }" >> "$R/dev/console" || true
    fi
}

# set_mark FILE TEXT: there whole or not at all, and what was done before it is on the disk first.
set_mark() {
    printf '%s\n' "$2" > "$1.new" && sync && mv -f "$1.new" "$1" && sync
}

# put_mark FILE TEXT: the same where nothing was done before it; a power cut may take it back.
put_mark() { printf '%s\n' "$2" > "$1.new" && mv -f "$1.new" "$1"; }

# marked FILE TEXT
marked() { [ "$(cat "$1" 2> /dev/null || true)" = "$2" ]; }

# Where this boot's time goes, for the boot plot: lines "stage NAME FROM TO" and "other NAME FROM TO",
# in seconds since the kernel started.
times=$run/$program.times
uptime() {
    local first
    read -r first _ < /proc/uptime
    printf '%s' "$first"
}

# other NAME COMMAND...: run what is not imgbuild's own work (kubeadm, helm, images, waiting for those). Ends with its code.
other() {
    # Of these names, because a function that is called sees them.
    local other_name=$1 other_from other_code=0
    other_from=$(uptime)
    shift
    "$@" || other_code=$?
    printf 'other %s %s %s\n' "$other_name" "$other_from" "$(uptime)" >> "$times" || true
    return "$other_code"
}

# pause SECONDS: between two looks at something.
pause() { sleep "${IMGBUILD_PAUSE:-$1}"; }

# stage NAME SETTINGS SECONDS COMMAND...: run, unless done before with the same settings; 0 seconds: without a limit. It is
# marked by $marking. Ends with the command's code; $stage_error then says what went wrong.
stage() {
    local name=$1 settings=$2 limit=$3 mark=$marks$1 start from code=0 bounded=()
    shift 3
    if marked "$mark" "$settings"; then
        stages_done+=" $name"
        return 0
    fi
    attempt=$(cat "$mark.attempts" 2> /dev/null || true)
    attempt=$((${attempt:-0} + 1))
    printf '%d\n' "$attempt" > "$mark.attempts"
    if [ "$limit" != 0 ]; then
        bounded=(timeout --kill-after=30 "$limit")
    fi
    status "$name" running
    say "$name"
    start=$(wc -c < "$log") from=$(uptime)
    # The lock is not for children: a service that one starts would keep it.
    ${bounded[@]+"${bounded[@]}"} "$@" 9>&- 2>&1 | tee -a "$log" >&2 || code=$?
    printf 'stage %s %s %s\n' "$name" "$from" "$(uptime)" >> "$times" || true
    if [ "$code" -ne 0 ]; then
        # What comes first is the cause, the rest follows from it.
        stage_error=$(tail -c "+$((start + 1))" "$log" | awk '/^imgbuild: error: / && !n++' || true)
        stage_error=${stage_error:-$(tail -n 1 "$log")}
        stage_error="${stage_error#imgbuild: error: } (exit code $code)"
        if [ "$code" = 124 ] && [ "$limit" != 0 ]; then
            stage_error="not done after $limit s; the last line was: $(tail -n 1 "$log")"
        fi
        return "$code"
    fi
    if ! "${marking:-set_mark}" "$mark" "$settings"; then
        stage_error="$mark cannot be written: is the disk full?"
        return 1
    fi
    rm -f "$mark.attempts"
    stages_done+=" $name"
}
