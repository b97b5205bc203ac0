# The proxy of this site, for login shells that may read it: with a login in it, root's alone.
# shellcheck shell=sh disable=SC1091
if [ -r /etc/imgbuild/proxy.env ]; then
    set -a
    . /etc/imgbuild/proxy.env
    set +a
fi
