# Packages by apt: what the steps need from a package manager. Sourced by lib/install.sh.
# shellcheck shell=bash

export DEBIAN_FRONTEND=noninteractive

# The packages of imgbuild.lock, where the build has them: apt then sees nothing else.
LOCKED=$CACHE/locked
locked() { [ -d "$LOCKED" ]; }

# locked_address SUITE|REPOSITORY: prints its address of the time when the lock was made, if it was there.
locked_address() { awk -v name="$1" '$1 == name { print $2 }' "$LOCKED/addresses"; }

apt_get() {
    local only=()
    if locked; then
        only=(-o "Dir::Etc::sourcelist=$LOCKED/sources.list" -o Dir::Etc::sourceparts=/dev/null)
    fi
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=2 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" ${only[@]+"${only[@]}"}
}

# pm_recover: finishes what a power cut interrupted. Until then apt installs nothing, although it still simulates.
pm_recover() { dpkg --force-confdef --force-confold --configure -a || notice "some packages are still not configured"; }

# apt-get update exits with 0 when a mirror is dead; with Error-Mode=any it does not.
pm_refresh() {
    retry "reading the package lists" apt_get -o APT::Update::Error-Mode=any update ||
        later "no package list: the mirrors named above do not answer; see /etc/apt/sources.list and sources.list.d"
    # A package that was being unpacked when the power was cut is fetched again, and so is what it depends on.
    in_image || retry "the repair of interrupted packages" apt_get --fix-broken install ||
        later "packages that were being installed when the power was cut could not be completed"
}

# pm_install NAME...: from the package lists (NAME=VERSION and -t SUITE work as with apt-get), without recommends.
# apt resolves the packages again in each of its runs, so only a failure is looked at more closely: what cannot be
# resolved is final, a download is retried.
pm_install() {
    if ! apt_get --no-install-recommends install "$@"; then
        apt_get --no-install-recommends --simulate install "$@" > /dev/null ||
            die "apt cannot install: $* (see its own errors above)"
        retry "the download of packages" apt_get --no-install-recommends --download-only install "$@" ||
            later "packages could not be downloaded: $*"
        apt_get --no-install-recommends install "$@"
    fi
    drop_archives
    keep_names
}

# drop_archives: apt's archives are useless once installed, and fill a small disk.
drop_archives() { archives_kept || apt-get clean; }

# archives_kept: whether their folder is the build host's, whose next build uses them again.
archives_kept() { mountpoint -q /var/cache/apt/archives; }

# kernel_version: prints the version of the kernel's package that the profile requests: the highest offered one that matches,
# in dpkg's order; if none is requested, the highest of the newer suite, or the one that apt itself chooses.
kernel_version() {
    local name=${KERNEL_PACKAGES[0]} offered version chosen=
    offered=$(apt-cache madison "$name" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | sort -u)
    [ -n "$offered" ] || die "no mirror offers the kernel package $name"
    if [ -z "$KERNEL_VERSION$KERNEL_RELEASE" ]; then
        offered=$(apt-cache policy "$name" | sed -n 's/^  Candidate: //p')
    fi
    while IFS= read -r version; do
        if [ -n "$KERNEL_VERSION" ]; then
            case $version in
                "$KERNEL_VERSION" | "$KERNEL_VERSION"[-+~.]*) ;;
                *) continue ;;
            esac
        fi
        if [ -z "$chosen" ] || dpkg --compare-versions "$version" gt "$chosen"; then
            chosen=$version
        fi
    done <<< "$offered"
    [ -n "$chosen" ] ||
        die "no mirror offers $name $KERNEL_VERSION (kernel.version); offered: ${offered//$'\n'/, }"
    printf '%s\n' "$chosen"
}

# pm_together NAME...: like pm_install, in one run with what later steps of an image build ask for. Each run of apt resolves the
# packages again and ends with all triggers. If that cannot be (a kernel of another suite may need newer helpers of that
# suite), these alone.
pm_together() {
    local chosen also=()
    if in_image && ! solving; then
        chosen=$(kernel_version)
        also=("${KERNEL_PACKAGES[0]}=$chosen" ${CONTAINERD_PACKAGES[@]+"${CONTAINERD_PACKAGES[@]}"})
        if apt_get --no-install-recommends install "$@" "${also[@]}"; then
            drop_archives
            keep_names
            return 0
        fi
        notice "not in one run: ${also[*]}"
    fi
    pm_install "$@"
}

# systemd-resolved turns resolv.conf into a link to what only a running system has: the build still needs names.
keep_names() {
    local kept=/etc/.resolv.conf.systemd-resolved.bak
    if in_image && [ -L /etc/resolv.conf ] && [ ! -e /etc/resolv.conf ] && [ -f "$kept" ]; then
        mv -f "$kept" /etc/resolv.conf
    fi
}

# pm_version NAME: prints the version of an installed package; fails if it is not installed.
pm_version() {
    local status
    # shellcheck disable=SC2016 # dpkg-query expands these
    status=$(dpkg-query --show --showformat='${db:Status-Abbrev}${Version}\n' "$1" 2> /dev/null) || return 1
    status=$(sed -n 's/^[ih]i *//p' <<< "$status")
    [ -n "$status" ] && printf '%s\n' "${status%%$'\n'*}"
}

# pm_verify NAME...: each is really installed, at the version asked for; the version is printed.
pm_verify() {
    local name wanted version missing=()
    for name in "$@"; do
        wanted=*
        case $name in *=*) wanted=${name#*=} ;; esac
        version=$(pm_version "${name%%=*}") || version=
        # shellcheck disable=SC2254 # a pattern is meant: 1.35.8-*
        case $version in
            '') missing+=("$name") ;;
            $wanted) log "installed: ${name%%=*} $version" ;;
            *) missing+=("$name (installed: $version)") ;;
        esac
    done
    [ "${#missing[@]}" -eq 0 ] || die "not installed although apt succeeded: ${missing[*]}"
}

# pm_pinned VERSION NAME...: installs exactly that version and holds it.
pm_pinned() {
    local version=$1 name names=()
    shift
    for name in "$@"; do
        names+=("$name=$version-*")
    done
    pm_install --allow-change-held-packages "${names[@]}"
    pm_verify "${names[@]}"
    pm_hold "$@"
}

# pm_hold NAME...: a full upgrade leaves these alone.
pm_hold() { apt-mark hold "$@" > /dev/null; }

pm_remove() { apt_get purge "$@"; }

# pm_installed: name, version and architecture of each package, separated by tabs.
pm_installed() {
    # shellcheck disable=SC2016 # dpkg-query expands these
    dpkg-query --show --showformat='${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n' |
        sed -n 's/^[ih]i \t//p' | sort
}

# pm_licenses: nothing, dpkg's database has no licences.
pm_licenses() { :; }

# pm_names NAME...: the installed packages that these names mean.
pm_names() {
    # shellcheck disable=SC2016 # dpkg-query expands these; a virtual name has none
    dpkg-query --show --showformat='${Package}\n' "${@%%=*}" 2> /dev/null || :
}

# pm_origins: name, version and repository of each package that a repository offers at the installed version. A suite is
# named by itself, a repository without suites by its address.
pm_origins() {
    if locked; then
        cut -f 1,2,4 "$LOCKED/packages.tsv"
        return 0
    fi
    pm_installed | cut -f 1 | xargs apt-cache policy | awk -v OFS='\t' '
        /^[^ ]/ { name = $1; sub(/:.*/, "", name); version = "" }
        /^     [^ ]/ { version = "" }
        /^ \*\*\* / { version = $2 }
        /^        / && version != "" && $2 ~ /^[a-z+]+:/ {
            print name, version, ($3 == "Packages" ? $2 : $3)
            version = ""
        }'
}
