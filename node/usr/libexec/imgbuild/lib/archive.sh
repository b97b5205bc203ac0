# Files from outside, pinned by sha256. Sourced by the steps that fetch, after install.sh.
# shellcheck shell=bash

# shellcheck source=lib/login.sh
. "${BASH_SOURCE[0]%/*}/login.sh"

right_sum() { [ -f "$1" ] && sha256sum --check --status <<< "$2  $1"; }

# In KiB. No archive that is fetched is larger, and a server that never stops must not fill the disk.
LARGEST=$((16 << 20))

# download PART URL: continues a partial file, and sets $pieced to 1 then. Fails with 1, at once, if another attempt
# would change nothing, and with 75 if a later one may succeed.
download() {
    local part=$1 url=$2 try code status login
    pieced=0
    login_for "$url"
    for ((try = 1; try <= RETRIES; try++)); do
        code=0
        if [ -s "$part" ]; then
            pieced=1
        fi
        status=$(
            ulimit -f "$LARGEST"
            curl --fail --silent --show-error --location --proto =https,http,file --proto-redir =https,http \
                --connect-timeout 20 --speed-limit 1024 --speed-time 60 --max-time 14400 --max-redirs 10 \
                ${login[@]+"${login[@]}"} --continue-at - --output "$part" --write-out '%{http_code}' "$url"
        ) || code=$?
        case $code:$status in
            0:*) return 0 ;;
            22:401 | 22:403 | 22:404 | 22:410 | 37:* | 47:* | 1:* | 3:*)
                rm -f "$part"
                return 1
                ;;
            # The server cannot continue this part: start again.
            22:416 | 33:* | 36:*) rm -f "$part" ;;
        esac
        if [ "$try" -lt "$RETRIES" ]; then
            notice "$url failed (attempt $try of $RETRIES), retrying in $RETRY_SECONDS s"
            sleep "$RETRY_SECONDS"
        fi
    done
    rm -f "$part"
    return 75
}

# fetch FILE SHA256 URL...: from the first address that has the right file. FILE exists only once its checksum is right.
fetch() {
    local file=$1 sum=$2 url part=$1.part found pieced again code silent='' tried=()
    shift 2
    if right_sum "$file" "$sum"; then
        log "${file##*/} is here already"
        return 0
    fi
    rm -f "$file"
    mkdir -p "${file%/*}"
    # The build host has put it here, if it builds an image. Two files may be the same one: it stays.
    if right_sum "$CACHE/supply/$sum" "$sum"; then
        ln -f "$CACHE/supply/$sum" "$file"
        return 0
    fi
    for url in "$@"; do
        log "fetching $url"
        for again in 0 1; do
            code=0
            download "$part" "$url" || code=$?
            if [ "$code" != 0 ]; then
                tried+=("$url: could not be fetched")
                [ "$code" = 1 ] || silent=yes
                break
            fi
            if right_sum "$part" "$sum"; then
                mv -f "$part" "$file"
                return 0
            fi
            found=$(sha256sum < "$part")
            rm -f "$part"
            # A power failure leaves a tail of zeros, and a file can change between two attempts.
            if [ "$pieced" = 1 ] && [ "$again" = 0 ]; then
                notice "$url: the parts of several attempts have a wrong checksum, fetching it from its first byte"
                continue
            fi
            tried+=("$url: the file there has sha256 ${found%% *}")
            notice "${tried[${#tried[@]} - 1]}, not $sum"
            break
        done
    done
    printf 'imgbuild: tried %s\n' "${tried[@]}" >&2
    if [ -n "$silent" ]; then
        later "${file##*/} with sha256 $sum is at none of the addresses that answer"
    fi
    die "${file##*/} with sha256 $sum is at none of its addresses"
}

# safe_archive FILE: no name and no link leads out of the folder that it is unpacked in, and nothing is a device. The
# archive is listed twice: the names alone, one per line, and the long form. Only with the name known is it clear where
# it ends in the long form: a name may contain " -> " and an owner's name spaces.
safe_archive() {
    local bad list
    list=$(mktemp -d)
    if ! tar --list --gzip --absolute-names --quoting-style=escape --file "$1" > "$list/names" ||
        ! tar --list --verbose --numeric-owner --gzip --absolute-names --quoting-style=escape --file "$1" \
            > "$list/long"; then
        rm -rf "$list"
        die "$1 is not a complete archive"
    fi
    bad=$(awk '
        function no(what) { if (!said++) print name[i] what }
        # The path without "." and double slashes.
        function clean(path,    n, j, part, out) {
            n = split(path, part, "/")
            for (j = 1; j <= n; j++) if (part[j] != "" && part[j] != ".") out = out (out == "" ? "" : "/") part[j]
            return out
        }
        # Whether a folder of this path is a link of the archive.
        function through(path,    n, j, part, at) {
            n = split(path, part, "/")
            for (j = 1; j < n; j++) {
                at = at (j == 1 ? "" : "/") part[j]
                if (at in link) return 1
            }
            return 0
        }
        # Whether a link beside "path" leads out: ".." only at its start, and no more often than there are folders.
        # As no path goes through a link, its folders are real ones; a link on the way further in stays inside too.
        function escapes(path, target,    n, j, part, depth, named) {
            if (target ~ /^\//) return 1
            depth = split(path, part, "/") - 1
            n = split(target, part, "/")
            for (j = 1; j <= n; j++) {
                if (part[j] == "..") { if (named || --depth < 0) return 1 }
                else if (part[j] != "" && part[j] != ".") named = 1
            }
            return 0
        }
        FILENAME == ARGV[1] { name[++names] = $0; next }
        {
            i = ++lines
            kind[i] = substr($0, 1, 1)
            rest = $0
            head = sub(/^[^ ]+ +[0-9]+\/[0-9]+ +[0-9]+(,[0-9]+)? +[0-9-]+ [0-9:]+ /, "", rest)
            if (!head || substr(rest, 1, length(name[i])) != name[i]) { no(" cannot be read"); next }
            rest = substr(rest, length(name[i]) + 1)
            path[i] = clean(name[i])
            seen[path[i]]
            if (kind[i] == "l" && substr(rest, 1, 4) == " -> ") { target[i] = substr(rest, 5); link[path[i]] }
            else if (kind[i] == "h" && substr(rest, 1, 9) == " link to ") target[i] = substr(rest, 10)
            else if (rest != "") no(" cannot be read")
        }
        END {
            if (lines != names) { i = lines; no(" cannot be read") }
            for (i = 1; i <= lines; i++) {
                if (name[i] ~ /^\// || name[i] ~ /(^|\/)\.\.(\/|$)/) no(" leads out of the folder")
                else if (kind[i] !~ /[-dlh]/) no(" is not a file, a folder or a link")
                else if (through(path[i])) no(" leads through a link")
                else if (kind[i] == "l" && escapes(path[i], target[i])) no(" is a link to " target[i])
                else if (kind[i] == "h" && (target[i] ~ /^\// || !(clean(target[i]) in seen) || through(clean(target[i]))))
                    no(" is a link to " target[i])
            }
        }' "$list/names" "$list/long")
    rm -rf "$list"
    [ -z "$bad" ] || die "$1 is refused: $bad"
}

# unpack FILE FOLDER [MEMBER]: as root's own files, without setuid bits and not writable by others; existing folders
# keep their mode.
unpack() {
    safe_archive "$1"
    mkdir -p "$2"
    (
        umask 022
        tar --extract --gzip --file "$1" --directory "$2" --no-same-owner --no-same-permissions --no-overwrite-dir \
            "${@:3}"
    )
}

# done_mark NAME SHA256: what was unpacked once is not fetched again.
done_mark() { [ "$(cat "$STATE/installed-$1" 2> /dev/null || true)" = "$2" ]; }
# A power cut must not leave the mark without what it marks.
set_mark() {
    in_image || sync
    write "$STATE/installed-$1" <<< "$2"
}

# Files that no package installed get their SELinux label too: permissive mode may become enforcing later.
label() {
    if ! in_image && command -v selinuxenabled > /dev/null && selinuxenabled; then
        restorecon -R "$@"
    fi
}
