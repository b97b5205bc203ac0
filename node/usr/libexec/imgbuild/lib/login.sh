# Logins at the hosts that files come from. Sourced by what fetches with curl.
# shellcheck shell=bash disable=SC2034 # who sources it uses login

# login_for URL: sets login to curl's options for a host that asks for one. The file came with the seed.
login_for() {
    local host=${1#*://} file
    host=${host%%/*}
    host=${host,,}
    file=${IMGBUILD_ROOT:-}/etc/imgbuild/logins/${host//:/_}.curl
    login=()
    if [ -r "$file" ]; then
        login=(--config "$file")
    fi
}
