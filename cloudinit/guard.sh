# The first command that fails ends the list; cloud-init then reports an error, and this line names the command.
set -e
# How it ended is for boot.sh, and written after all that it vouches for is on the disk.
trap 'code=$? end=ok
test $code = 0 || {
    end=failed
    echo "imgbuild: $at ended with $code; nothing after it ran" >&2
}
mkdir -p /var/lib/imgbuild
sync
echo "$(readlink -f /var/lib/cloud/instance) $end" >/var/lib/imgbuild/seed-ended' EXIT
# once MARK COMMAND...: what has succeeded on this machine is not repeated when its seed changes.
once() {
    done=/var/lib/imgbuild/run/$1
    shift
    if [ ! -e "$done" ]; then
        "$@"
        mkdir -p "${done%/*}"
        : > "$done"
    fi
}
