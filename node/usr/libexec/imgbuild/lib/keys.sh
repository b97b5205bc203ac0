# Keys that packages are checked with. Sourced by lib/install.sh's users after it.
# shellcheck shell=bash

# key_ready PATH|FINGERPRINT|ORIGIN...: each key file lies there and is the one that it should be.
key_ready() {
    local key path fingerprint origin found home
    for key in "$@"; do
        IFS='|' read -r path fingerprint origin <<< "$key"
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
