# Stages: each runs once, is marked when done, and is reported in the log and in status.json. Sourced by setup, by
# firstboot and by firstboot's stages; $program is the one or the other. Bash 4.2, no jq, no Python.
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
# The output of tools may have what only root may read: an address with a password, a configuration.
mkdir -p "${log%/*}"
chmod 0700 "${log%/*}"
# For a stage's own calls of status.
export stages_done=${stages_done:-} attempt=${attempt:-1}
again=75 # EX_TEMPFAIL (sysexits.h): the failure may be temporary, so the stage is retried

# lock NAME: opens it as descriptor 9, for root only: anyone who can open a file can lock it and block imgbuild.
lock() {
    local file=$run/$1.lock
    (umask 077 && : >> "$file")
    chmod 0600 "$file"
    exec 9> "$file"
}

# stamp WHEN: a time as date takes it, in UTC.
stamp() { date -u -d "$1" +%Y-%m-%dT%H:%M:%SZ; }

# Only characters that JSON allows: the output of tools may contain anything.
json() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

# status STAGE STATE [ERROR [NEXT]]: writes status.json; NEXT: when it is tried again. imgbuild-status reads exactly
# this form, one line.
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

# console TEXT...: prints one line to the screen or the serial line, if there is one.
console() {
    if [ -w "$R/dev/console" ]; then
        printf 'imgbuild: %s\n' "${*//[[:cntrl:]]/ }" >> "$R/dev/console" || true
    fi
}

# set_mark FILE TEXT: writes it completely or not at all, after everything done before it is on the disk.
set_mark() {
    printf '%s\n' "$2" > "$1.new" && sync && mv -f "$1.new" "$1" && sync
}

# put_mark FILE TEXT: the same if nothing was done before it; a power cut may undo it.
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

# other NAME COMMAND...: runs what is not imgbuild's own work (kubeadm, helm, images, waiting for those). Returns its
# code.
other() {
    # With these names, because a function that is called sees them.
    local other_name=$1 other_from other_code=0
    other_from=$(uptime)
    shift
    "$@" || other_code=$?
    printf 'other %s %s %s\n' "$other_name" "$other_from" "$(uptime)" >> "$times" || true
    return "$other_code"
}

# pause SECONDS: between two checks of something.
pause() { sleep "${IMGBUILD_PAUSE:-$1}"; }

# free_space: prints that of each file system that a stage writes to.
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

# no_room FILE: it mentions a full disk, or something cannot be written where every stage writes.
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

# stage NAME SETTINGS SECONDS COMMAND...: runs it, unless done before with the same settings; 0 seconds: without a
# limit. $marking marks it. Returns the command's code: $again if the failure may be temporary, which includes running
# out of time; $stage_error then has the reason.
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
    # A stage that is retried keeps its state and error in status.json until it is done.
    status "$name" "${stage_state:-running}" "${stage_error:-}"
    say "$name"
    from=$(uptime)
    rm -f "$last"
    (umask 077 && : > "$last")
    # Children must not inherit the lock: a service that one starts would keep it. The log's disk may be full; /run is
    # not.
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
    # The first error is the cause, the rest follows from it.
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

# keep_trying NAME SETTINGS SECONDS COMMAND...: a stage, retried as long as the failure may be temporary: after 10 s,
# then after twice as long each time, 5 minutes at most. Returns the code of any other failure.
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
        console "$1 failed, retrying in $delay s: $stage_error"
        say "$1 failed, retrying in $delay s: $stage_error"
        # Children must not inherit the lock: one that outlives us would keep it.
        pause "$delay" 9>&-
        delay=$((delay < 150 ? delay * 2 : 300))
    done
}
