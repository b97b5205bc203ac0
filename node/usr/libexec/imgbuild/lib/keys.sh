# The keys that verify packages. Sourced by lib/install.sh's users after it.
# shellcheck shell=bash

# shellcheck source=lib/login.sh
. "${BASH_SOURCE[0]%/*}/login.sh"

# key_ready PATH|FINGERPRINT|ORIGIN|EXPIRES...: each key file exists and is the right one.
key_ready() {
    local key path fingerprint origin found home
    for key in "$@"; do
        IFS='|' read -r path fingerprint origin _ <<< "$key"
        [ -s "$path" ] ||
            die "the key $path is missing. Download it from $origin${fingerprint:+, fingerprint $fingerprint}, verify" \
                "it, and set it in the profile (repositories.keys)"
        if [ -z "$fingerprint" ]; then
            notice "$path is used unverified: imgbuild knows no fingerprint for it"
            continue
        fi
        if ! command -v gpg > /dev/null; then
            notice "gpg is missing: $path is used without a check of its fingerprint"
            continue
        fi
        home=$(mktemp -d)
        found=$(gpg --batch --homedir "$home" --with-colons --with-fingerprint "$path" 2> /dev/null |
            sed -n 's/^fpr:*\([0-9A-F]*\):.*/\1/p') || true
        rm -rf "$home"
        grep -qx "$fingerprint" <<< "$found" ||
            die "$path is not the key with the fingerprint $fingerprint, but ${found:-no key at all}"
    done
}

# key_places ORIGIN URL...: prints where a repository's key may be, one address per line: its origin, the mirrors, and
# the same places for newer minor versions. Repositories of a minor that has ended keep the old copy of their key for
# good (kubernetes/release#3818), while those of newer ones have the same key with a later date.
key_places() {
    local place places=("$1") step
    shift
    for place in "$@"; do
        places+=("${place%/}/Release.key")
    done
    for ((step = 0; step <= 6; step++)); do
        for place in "${places[@]}"; do
            if [[ $place =~ ^([a-z]+://.*/v[0-9]+\.)([0-9]+)(/.*)$ ]]; then
                printf '%s\n' "${BASH_REMATCH[1]}$((BASH_REMATCH[2] + step))${BASH_REMATCH[3]}"
            elif [[ $place = *://* ]] && [ "$step" -eq 0 ]; then
                printf '%s\n' "$place"
            fi
        done
    done
}

# key_valid HOME FINGERPRINT: the key is in this gpg home, neither expired nor revoked.
key_valid() {
    local rows
    rows=$(gpg --batch --homedir "$1" --with-colons --list-keys "$2" 2> /dev/null) || return 1
    grep -q '^pub:[^er]:' <<< "$rows"
}

# key_renew PATH|FINGERPRINT|ORIGIN|EXPIRES URL...: replaces an expired key by the same key, extended by its owner: from
# its origin, or from a mirror at URL, for its own or a newer minor version. gpg accepts an extension only if the key
# itself has signed it. Only apt checks the date.
key_renew() {
    local path fingerprint origin expires url host home places code login dead=' '
    IFS='|' read -r path fingerprint origin expires <<< "$1"
    shift
    if [ -z "$expires" ] || [ "$expires" -gt "$(date +%s)" ]; then
        return 0
    fi
    notice "$path expired on $(date -u -d "@$expires" +%F): looking for the same key with a later date"
    if ! command -v gpg > /dev/null || ! command -v curl > /dev/null; then
        pm_install gpg curl
    fi
    places=$(key_places "$origin" "$@")
    while read -r url; do
        host=${url#*://}
        host=${host%%/*}
        case $dead in *" $host "*) continue ;; esac
        home=$(mktemp -d)
        code=0
        login_for "$url"
        curl --fail --silent --show-error --location --proto =https,http --connect-timeout 20 --max-time 60 \
            ${login[@]+"${login[@]}"} --max-filesize 1000000 --output "$home/key" "$url" || code=$?
        case $code in 6 | 7 | 28 | 35 | 60) dead+="$host " ;; esac # it does not answer: do not wait for it again
        if [ "$code" -eq 0 ] && gpg --batch --quiet --homedir "$home" --import "$home/key" && key_valid "$home" "$fingerprint"; then
            gpg --batch --homedir "$home" --armor --export "$fingerprint" | write "$path"
            rm -rf "$home"
            log "the key is still $fingerprint, and valid: $url"
            return 0
        fi
        rm -rf "$home"
        notice "$url has no valid key $fingerprint"
    done <<< "$places"
    die "the key $path expired on $(date -u -d "@$expires" +%F), and none of these addresses has it with a later date." \
        "Download a newer copy with the fingerprint $fingerprint and set it in the profile (repositories.keys)"
}
