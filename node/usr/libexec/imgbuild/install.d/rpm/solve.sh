# What changes a system in packages.sh, without changing it: yum or dnf fetch the packages, verify their signatures and
# enter them in rpm's database, without a file of theirs and without their scripts. Sourced at the end of packages.sh, in
# the chroot of `imgbuild lock` alone.
# shellcheck shell=bash

eval "$(declare -f manager | sed '1s/^manager /manager_itself /')"
manager() { manager_itself --setopt=tsflags=justdb,noscripts,notriggers --setopt=keepcache=1 "$@"; }

pm_start() { :; }

# pm_solved: writes what the host reads. solved.tsv: name, version and architecture of each package that was fetched, its
# file, which is in the cache of yum or dnf, and whether it is there in the end.
pm_solved() {
    local work file
    work=$(mktemp -d)
    pm_installed > "$work/installed"
    # Each of the two has a folder of its own.
    { find /var/cache/dnf /var/cache/yum -name '*.rpm' 2> /dev/null || :; } | while IFS= read -r file; do
        rpm -qp --nosignature --qf "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\t$file\n" "$file"
    done | sed -e 's/\t0:/\t/' > "$work/fetched"
    awk -F '\t' -v OFS='\t' '
        FILENAME == ARGV[1] { there[$1, $2, $3]; next }
        { print $0, (($1, $2, $3) in there ? "installed" : "temporary") }' \
        "$work/installed" "$work/fetched" | sort | write "$CACHE/solved.tsv"
    rm -rf "$work"
}
