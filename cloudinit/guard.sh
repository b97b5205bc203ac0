# The first command that fails ends the list; cloud-init then reports an error, and this line names the command.
set -e
trap 'code=$?; test "$code" = 0 || echo "imgbuild: $at ended with $code; nothing after it ran" >&2' EXIT
