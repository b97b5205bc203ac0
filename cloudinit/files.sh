# Unpack the files of the node: base64 of an archive on stdin. Each file follows a line with its mode, size and path.
set -eu
command -v xz >/dev/null || {
  echo "imgbuild: this cloud image has no xz, so no file of the node is there: use an image that has it" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base64 -d >"$work/files.xz"
xz -dc "$work/files.xz" >"$work/files"
umask 022
while read -r mode size path; do
  mkdir -p "${path%/*}"
  # as write_files does: the content of a file that exists already is replaced
  (umask 077 && head -c "$size" >"$path")
  chown root:root "$path"
  chmod "$mode" "$path"
  if command -v restorecon >/dev/null; then
    restorecon "$path" || true
  fi
done <"$work/files"
