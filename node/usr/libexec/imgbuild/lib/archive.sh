# Files from outside, pinned by sha256. Sourced by the steps that fetch, after install.sh.
# shellcheck shell=bash

right_sum() { [ -f "$1" ] && sha256sum --check --status <<< "$2  $1"; }

# download PART URL: what is there already is gone on with. Says no at once where another try would change nothing.
download() {
    local part=$1 url=$2 try code status
    for ((try = 1; try <= RETRIES; try++)); do
        code=0
        status=$(curl --fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http \
            --connect-timeout 20 --speed-limit 1024 --speed-time 60 --continue-at - --output "$part" \
            --write-out '%{http_code}' "$url") || code=$?
        case $code:$status in
            0:*) return 0 ;;
            22:401 | 22:403 | 22:404 | 22:410 | 37:* | 1:* | 3:*) break ;;
            # This part and this server do not fit: from the start.
            22:416 | 33:* | 36:*) rm -f "$part" ;;
        esac
        if [ "$try" -lt "$RETRIES" ]; then
            notice "$url failed (try $try of $RETRIES), again in $RETRY_SECONDS s"
            sleep "$RETRY_SECONDS"
        fi
    done
    rm -f "$part"
    return 1
}

# fetch FILE SHA256 URL...: the first address that gives the right file. The sum is looked at before anyone else sees it.
fetch() {
    local file=$1 sum=$2 url part=$1.part found tried=()
    shift 2
    if right_sum "$file" "$sum"; then
        log "${file##*/} is here already"
        return 0
    fi
    rm -f "$file"
    mkdir -p "${file%/*}"
    for url in "$@"; do
        log "fetching $url"
        if ! download "$part" "$url"; then
            tried+=("$url: could not be fetched")
            continue
        fi
        if right_sum "$part" "$sum"; then
            mv -f "$part" "$file"
            return 0
        fi
        found=$(sha256sum < "$part")
        rm -f "$part"
        tried+=("$url: the file there has sha256 ${found%% *}")
        notice "${tried[${#tried[@]} - 1]}, not $sum"
    done
    printf 'imgbuild: tried %s\n' "${tried[@]}" >&2
    die "${file##*/} with sha256 $sum is at none of its addresses"
}

# safe_archive FILE: no name and no link leads out of the folder that it is unpacked in, and nothing is a device.
safe_archive() {
    local bad
    bad=$(tar --list --verbose --gzip --absolute-names --quoting-style=escape --file "$1" | awk '
        # How far a path climbs above its start, given how deep it starts.
        function climbs(path, depth,    i, n, part) {
            if (path ~ /^\//) return 1
            n = split(path, part, "/")
            for (i = 1; i <= n; i++) {
                if (part[i] == "..") { if (--depth < 0) return 1 }
                else if (part[i] != "" && part[i] != ".") depth++
            }
            return 0
        }
        # All of the archive is read, or tar would die of a closed pipe.
        function no(what) { if (!said++) print name what }
        function folders(path,    i, n, part, depth) {
            n = split(path, part, "/")
            for (i = 1; i < n; i++) if (part[i] != "" && part[i] != ".") depth++
            return depth + 0
        }
        {
            name = $0
            sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ /, "", name)
            target = ""
            if ((at = index(name, " -> ")) && /^l/) { target = substr(name, at + 4); name = substr(name, 1, at - 1) }
            if ((at = index(name, " link to ")) && /^h/) { link = substr(name, at + 9); name = substr(name, 1, at - 1) }
            else link = ""
        }
        name ~ /(^|\/)\.\.(\/|$)/ || climbs(name, 0) { no(" leads out of the folder") }
        !/^[-dlh]/ { no(" is no file, folder or link") }
        target != "" && climbs(target, folders(name)) { no(" is a link to " target) }
        link != "" && climbs(link, 0) { no(" is a link to " link) }') || die "$1 is no whole archive"
    [ -z "$bad" ] || die "$1 is refused: $bad"
}

# unpack FILE FOLDER [MEMBER]: as root's own files; folders that are there keep their mode.
unpack() {
    safe_archive "$1"
    mkdir -p "$2"
    tar --extract --gzip --file "$1" --directory "$2" --no-same-owner --no-overwrite-dir "${@:3}"
}

# done_mark NAME SHA256: what was unpacked once is not fetched again.
done_mark() { [ "$(cat "$STATE/installed-$1" 2> /dev/null || true)" = "$2" ]; }
set_mark() { write "$STATE/installed-$1" <<< "$2"; }

# Permissive today, enforcing tomorrow: files that no package brought get their label too.
label() {
    if ! in_image && command -v selinuxenabled > /dev/null && selinuxenabled; then
        restorecon -R "$@"
    fi
}
