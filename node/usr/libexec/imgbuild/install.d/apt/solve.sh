# What changes a system in packages.sh, without changing it: apt chooses, and its choice is entered in dpkg's status.
# Sourced at the end of packages.sh, in the chroot of `imgbuild lock` alone.
# shellcheck shell=bash

DPKG_STATUS=/var/lib/dpkg/status

# pm_start: nothing is installed, then what mmdebstrap installs.
pm_start() {
    local names=()
    : > "$DPKG_STATUS"
    pm_refresh
    mapfile -t names < "$CACHE/first-packages"
    pm_install "${names[@]}"
}

# enter ARGUMENT...: what apt-get would do, entered in dpkg's status.
enter() {
    local work
    work=$(mktemp -d)
    apt_get --no-install-recommends --simulate "$@" > "$work/plan" || die "apt cannot $* (see its own errors above)"
    awk -v OFS='\t' '
        $1 == "Inst" { name = $2; sub(/^[^(]*\(/, ""); print name, name "=" $1 }
        $1 == "Remv" || $1 == "Purg" { print $2 }' "$work/plan" > "$work/changes"
    awk -v ORS='\n\n' '
        FILENAME == ARGV[1] { gone[$1]; next }
        { name = $0; sub(/^Package: /, "", name); sub(/\n.*/, "", name) }
        !(name in gone)' "$work/changes" RS= "$DPKG_STATUS" > "$work/status"
    cut -s -f 2 "$work/changes" > "$work/new"
    if [ -s "$work/new" ]; then
        # dpkg refuses to read a status with what only an archive's index has.
        xargs apt-cache show --no-all-versions < "$work/new" | sed -E '/^(Filename|Size|MD5sum): /d' |
            awk -v RS= -v ORS='\n\n' '{ sub(/\n/, "\nStatus: install ok installed\n"); print }' >> "$work/status"
    fi
    cat "$work/status" > "$DPKG_STATUS"
    rm -rf "$work"
    # Some packages are removed again, and must be in the lock too.
    pm_installed >> "$CACHE/every"
    pm_origins >> "$CACHE/origins"
}

pm_install() { enter install "$@"; }
pm_remove() { enter purge "$@"; }
pm_hold() { :; }

# pm_solved: writes what the host reads. repositories.tsv: suite and address; solved.tsv: name, version, architecture,
# origin, address, size, checksum of each package, and whether it is there in the end.
pm_solved() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | sort -u |
        tr ' ' '\t' | write "$CACHE/repositories.tsv"
    pm_installed > "$work/installed"
    sort -u "$CACHE/every" > "$work/every"
    awk -F '\t' '{ print $1 "=" $2 }' "$work/every" | xargs apt-get -q download --print-uris > "$work/uris"
    awk -v OFS='\t' '
        FILENAME == ARGV[1] { from[$1, $2] = $3; next }
        FILENAME == ARGV[2] { gsub(/\047/, "", $1); line[$2] = $1 OFS $3 OFS $4; next }
        FILENAME == ARGV[3] { there[$1, $2]; next }
        {
            file = $1 "_" $2 "_" $3 ".deb"
            gsub(/:/, "%3a", file)
            print $1, $2, $3, from[$1, $2], line[file], (($1, $2) in there ? "installed" : "temporary")
        }' "$CACHE/origins" "$work/uris" "$work/installed" "$work/every" | write "$CACHE/solved.tsv"
    rm -rf "$work"
}
