# Keys that packages are checked with. Sourced by lib/install.sh's users after it.
# shellcheck shell=bash

# key_ready PATH|FINGERPRINT|ORIGIN|EXPIRES...: each key file lies there and is the one that it should be.
key_ready() {
    local key path fingerprint origin found home
    for key in "$@"; do
        IFS='|' read -r path fingerprint origin _ <<< "$key"
        [ -s "$path" ] ||
            die "the key $path is missing. Get it from $origin${fingerprint:+, fingerprint $fingerprint}, check it," \
                "and give it in the profile (repositories.keys)"
        if [ -z "$fingerprint" ]; then
            notice "$path is taken as it is: imgbuild knows no fingerprint of it"
            continue
        fi
        if ! command -v gpg > /dev/null; then
            notice "there is no gpg here: $path is taken without a look at its fingerprint"
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

# key_renew PATH|FINGERPRINT|ORIGIN|EXPIRES URL...: an expired key gives way to the same key, extended by its owner: from
# its origin, or from a mirror at URL. gpg takes an extension only if the key itself has signed it. Only apt looks at the
# date.
key_renew() {
    local path fingerprint origin expires url home listed
    IFS='|' read -r path fingerprint origin expires <<< "$1"
    shift
    if [ -z "$expires" ] || [ "$expires" -gt "$(date +%s)" ]; then
        return 0
    fi
    notice "$path expired on $(date -u -d "@$expires" +%F): looking for the same key with a later date"
    if ! command -v gpg > /dev/null || ! command -v curl > /dev/null; then
        pm_install gpg curl
    fi
    for url in "$origin" "${@/%//Release.key}"; do
        case $url in *://*) ;; *) continue ;; esac
        url=${url/%\/\/Release.key//Release.key}
        home=$(mktemp -d)
        if curl --fail --silent --show-error --location --proto =https,http --connect-timeout 20 --max-time 60 \
            --max-filesize 1000000 --output "$home/key" "$url" &&
            gpg --batch --quiet --homedir "$home" --import "$home/key" &&
            listed=$(gpg --batch --homedir "$home" --with-colons --list-keys "$fingerprint") &&
            grep -q '^pub:[^er]:' <<< "$listed"; then
            gpg --batch --homedir "$home" --armor --export "$fingerprint" | write "$path"
            rm -rf "$home"
            log "the key is still $fingerprint, and valid: $url"
            return 0
        fi
        rm -rf "$home"
        notice "$url has no valid key $fingerprint"
    done
    die "the key $path expired on $(date -u -d "@$expires" +%F). Get a newer copy and give it in the profile" \
        "(repositories.keys)"
}
