# The first command that fails ends the list; cloud-init then reports an error, and this line names the command.
set -e
trap 'code=$?; test "$code" = 0 || echo "imgbuild: $at ended with $code; nothing after it ran" >&2' EXIT
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
