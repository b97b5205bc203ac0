# Stages: each runs once, is marked when done, and is said in the log and in status.json. Sourced by setup, by firstboot
# and by firstboot's stages; $program is the one or the other. Bash 4.2, no jq, no Python.
# shellcheck shell=bash disable=SC2154 # program

# shellcheck source=path.sh
. "${BASH_SOURCE[0]%/*}/path.sh"

R=${IMGBUILD_ROOT:-} # tests only: a fake root
run=$R/run/imgbuild
state=$R/var/lib/imgbuild
log=$R/var/log/imgbuild/$program.log
case $program in
    setup) marks=$state/setup- ;;
    *) marks=$state/firstboot/ ;;
esac
mkdir -p "$run" "${marks%/*}"
# What tools print may hold what is root's alone: an address with a password, a configuration.
mkdir -p "${log%/*}"
chmod 0700 "${log%/*}"
# For a stage's own calls of status.
export stages_done=${stages_done:-} attempt=${attempt:-1}
again=75 # EX_TEMPFAIL (sysexits.h): it may come back by itself, and is tried again

# lock NAME: opens it as descriptor 9, for root alone: whoever can open a file can lock it, and keep us from our work.
lock() {
    local file=$run/$1.lock
    (umask 077 && : >> "$file")
    chmod 0600 "$file"
    exec 9> "$file"
}

# stamp WHEN: a time as date takes it, in UTC.
stamp() { date -u -d "$1" +%Y-%m-%dT%H:%M:%SZ; }

# JSON's own characters only: text of tools may hold anything.
json() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# status STAGE STATE [ERROR [NEXT]]: for whoever watches; NEXT: when it is tried again. imgbuild-status reads this very
# form, one line.
status() {
    local name list=''
    for name in $stages_done; do
        list+=${list:+, }$(json "$name")
    done
    printf '{"program": "%s", "stage": %s, "state": %s, "attempt": %d, "done": [%s], "time": "%s", "next": "%s", "error": %s}\n' \
        "$program" "$(json "$1")" "$(json "$2")" "$attempt" "$list" "$(stamp now)" "${4:-}" \
        "$(json "${3:-}")" > "$run/status.json.new"
    mv -f "$run/status.json.new" "$run/status.json"
}

say() { printf 'imgbuild: %s\n' "$*" | tee -a "$log" >&2 || true; }

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

# free_space: of each file system that a stage writes to.
free_space() {
    local folder row found='' root
    root=$(sed -n 's/^root *= *"\(.*\)"/\1/p' "$R/etc/containerd/config.toml" 2> /dev/null || true)
    for folder in / /var /var/log /var/lib "${root:-/var/lib/containerd}"; do
        if [ -d "$R$folder" ]; then
            row=$(df -Pk "$R$folder" | awk 'NR == 2 { print int($4 / 1024) " of " int($2 / 1024) " MiB on " $6 }')
            if [[ "$found; " != *"$row; "* ]]; then
                found+="${found:+; }$row"
            fi
        fi
    done
    printf '%s' "$found"
}

# no_room FILE: it has a word of a full disk, or something cannot be written where every stage writes.
no_room() {
    local folder
    if grep -qi 'no space left on device\|disk quota exceeded' "$1"; then
        return 0
    fi
    for folder in "$state" "${log%/*}" "$R/etc"; do
        if ! { head -c 65536 /dev/zero > "$folder/.imgbuild-room"; } 2> /dev/null; then
            rm -f "$folder/.imgbuild-room"
            return 0
        fi
        rm -f "$folder/.imgbuild-room"
    done
    return 1
}

# stage NAME SETTINGS SECONDS COMMAND...: run, unless done before with the same settings; 0 seconds: without a limit. It is
# marked by $marking. Ends with the command's code: $again where it may come back by itself, as does what ran out of
# time; $stage_error then says what went wrong.
stage() {
    local name=$1 settings=$2 limit=$3 mark=$marks$1 from code=0 last=$run/$program.last bounded=()
    shift 3
    if marked "$mark" "$settings"; then
        stages_done+=" $name"
        return 0
    fi
    attempt=$(cat "$mark.attempts" 2> /dev/null || true)
    attempt=$((${attempt:-0} + 1))
    { printf '%d\n' "$attempt" > "$mark.attempts"; } 2> /dev/null || true
    if [ "$limit" != 0 ]; then
        bounded=(timeout --kill-after=30 "$limit")
    fi
    # What is tried again stays so for whoever watches until it is done.
    status "$name" "${stage_state:-running}" "${stage_error:-}"
    say "$name"
    from=$(uptime)
    rm -f "$last"
    (umask 077 && : > "$last")
    # The lock is not for children: a service that one starts would keep it. The log may have no room; /run has.
    ${bounded[@]+"${bounded[@]}"} "$@" 9>&- 2>&1 | tee -a "$last" "$log" >&2 || code=${PIPESTATUS[0]}
    printf 'stage %s %s %s\n' "$name" "$from" "$(uptime)" >> "$times" || true
    if [ "$code" -eq 0 ] && ! "${marking:-set_mark}" "$mark" "$settings"; then
        printf 'imgbuild: error: %s cannot be written\n' "$mark" | tee -a "$last" "$log" >&2 || true
        code=1
    elif [ "$code" -eq 0 ]; then
        rm -f "$mark.attempts"
        stages_done+=" $name"
        return 0
    fi
    # What comes first is the cause, the rest follows from it.
    stage_error=$(awk '/^imgbuild: error: / && !n++' "$last")
    stage_error=${stage_error#imgbuild: error: }
    stage_error=${stage_error:-$(tail -n 1 "$last")}
    if [ "$code" = 124 ] && [ "$limit" != 0 ]; then
        stage_error="not done after $limit s; the last line was: $(tail -n 1 "$last")"
        code=$again
    elif [ "$code" = 137 ]; then
        stage_error="killed: out of time, or out of memory; the last line was: $(tail -n 1 "$last")"
        code=$again
    elif [ "$code" != 1 ] && [ "$code" != "$again" ]; then
        stage_error+=" (exit code $code)"
    fi
    if no_room "$last"; then
        stage_error="no space left, or a file system that cannot be written (free: $(free_space)): $stage_error"
        code=1
    fi
    return "$code"
}

# keep_trying NAME SETTINGS SECONDS COMMAND...: a stage, tried again for as long as it may come back: after 10 s, then
# after twice as long each time, 5 minutes at most. Ends with the code of any other failure.
keep_trying() {
    local delay=10 code
    stage_state=running stage_error=''
    while true; do
        code=0
        stage "$@" || code=$?
        if [ "$code" != "$again" ]; then
            return "$code"
        fi
        stage_state=retrying
        status "$1" retrying "$stage_error" "$(stamp "+$delay seconds")"
        console "$1 failed, again in $delay s: $stage_error"
        say "$1 failed, again in $delay s: $stage_error"
        # The lock is not for children: one that outlives us would keep it.
        pause "$delay" 9>&-
        delay=$((delay < 150 ? delay * 2 : 300))
    done
}
