# Packages by yum or dnf: what the steps need from a package manager. Sourced by lib/install.sh.
# shellcheck shell=bash

# shellcheck source=lib/manager.sh
. /usr/libexec/imgbuild/lib/manager.sh
# shellcheck source=lib/keys.sh
. /usr/libexec/imgbuild/lib/keys.sh

# The packages of imgbuild.lock, where the build has them: yum and dnf then see nothing else.
ONLY=()
if [ -d "$CACHE/locked" ]; then
    ONLY=("--setopt=reposdir=$CACHE/locked/repos.d")
fi

REPO_FILE=/etc/yum.repos.d/imgbuild.repo

# The distribution's own repository files name mirrors that are gone: each of their repositories is disabled.
# The files stay, changed, so that an update of the package that owns them leaves them alone.
only_our_repositories() {
    local file
    for file in /etc/yum.repos.d/*.repo; do
        if [ "$file" != "$REPO_FILE" ] && grep -q 'centos\.org' "$file"; then
            sed -i -e '/^[[:space:]]*enabled[[:space:]]*=/d' -e '/^[[:space:]]*\[.*\]/a enabled=0' "$file"
        fi
    done
}

# The kernel's repository is disabled outside of its own step: whether it answers must be known now.
pm_refresh() {
    if ! retry "reading the package lists" manager_refresh ${KERNEL_REPOSITORY:+"--enablerepo=$KERNEL_REPOSITORY"}; then
        awk '/^[^ ]/ { on = sub(/^baseurl=/, "") } on && NF { print "imgbuild: tried " $1 }' "$REPO_FILE" >&2
        later "no package list: at least one repository answers at none of the addresses above ($REPO_FILE)"
    fi
}

# at_version VERSION NAME...: puts the names into WORDS as yum and dnf take them, each at VERSION unless that is empty.
at_version() {
    local version=$1
    shift
    WORDS=("${@/%/${version:+-$version}}")
}

# manager_install ERRORS NAME...: what goes to standard error is kept in ERRORS as well.
manager_install() {
    local errors=$1
    shift
    { manager install "$@" 2>&1 >&3 | tee "$errors" >&2; } 3>&1
}

# What pm_together has installed; a line each, as a step asks for it.
TOGETHER=$CACHE/together

# came_together NAME...: all of it came with pm_together. Options are not looked at.
came_together() {
    local word
    for word in "$@"; do
        case $word in -*) continue ;; esac
        if ! grep -Fxqs -e "$word" "$TOGETHER" || ! pm_version "$word" > /dev/null; then
            return 1
        fi
    done
}

# pm_install NAME...: options of yum and dnf work too. Nothing is asked of them if all of it came with pm_together.
pm_install() {
    local errors why='' fail=later
    if in_image && came_together "$@"; then
        return 0
    fi
    errors=$(mktemp)
    if ! retry "the installation of packages" manager_install "$errors" "$@"; then
        # AppStream's packages belong to modules, and dnf installs none of them if the repository does not describe
        # these.
        if grep -Eqi 'modular (metadata|filtering)' "$errors"; then
            why='. The mirror has packages of modules but no modules.yaml: mirror AppStream with reposync'
            why+=' --download-metadata (docs/how-to/mirrors.md)'
        fi
        # Permanent: what cannot be resolved, is not signed by a known key or has no space.
        if [ -n "$why" ] || grep -Eqif - "$errors" << 'END'; then
no package .* available|not tolerating missing|unable to find a match|no match for argument|nothing to do
nothing provides|requires:|conflict
gpg|public key|not signed
no space left|needs .* on the .* filesystem
END
            fail=die
        fi
        rm -f "$errors"
        "$fail" "packages could not be installed: $*$why"
    fi
    rm -f "$errors"
}

# kernel_ready: what the scripts of a kernel's package need, to make a boot entry and the right one.
kernel_ready() {
    local file sum
    if in_image && ! grep -Eqx '[0-9a-f]{32}' /etc/machine-id 2> /dev/null; then
        # Without one kernel-install makes no boot entry. 90-clean empties it again.
        sum=$(md5sum < /etc/imgbuild/install.conf)
        write /etc/machine-id <<< "${sum%% *}"
    fi
    # The official image of CentOS 7 has the menu of a GRUB that is not installed. grubby finds it first, has no entry
    # in it to copy ("unable to find a suitable template"), and exits with 0. In an image GRUB 2 may come with the kernel.
    if in_image || [ -d /boot/grub2 ]; then
        for file in /etc/grub.conf /boot/grub/grub.conf /boot/grub/menu.lst; do
            if [ -e "$file" ] || [ -L "$file" ]; then
                log "removing $file, which no boot loader here reads"
                rm -f "$file"
            fi
        done
    fi
}

# pm_together NAME...: like pm_install, in one transaction with what later steps of an image build ask for. Each
# transaction reads the metadata of all repositories again, and ends with all triggers. If that cannot be, these alone.
# Likewise if packages of the base are to be removed: the kernel's initramfs must not have what is in them.
pm_together() {
    local options=() also=()
    if in_image && ! solving && [ -z "${REMOVE_PACKAGES:-}" ]; then
        kernel_ready
        at_version "$KERNEL_VERSION" "${KERNEL_PACKAGES[@]}"
        also=("${WORDS[@]}")
        if [ -n "$KERNEL_REPOSITORY" ]; then
            # It has newer tools too (perf), which only the kernel's own step may take.
            options+=("--enablerepo=$KERNEL_REPOSITORY" "--setopt=$KERNEL_REPOSITORY.includepkgs=kernel*")
        fi
        if [ -n "${KUBERNETES_PACKAGES:-}" ]; then
            options+=(--disableexcludes=kubernetes)
            at_version "$KUBERNETES_VERSION" "${KUBERNETES_PACKAGES[@]}"
            also+=("${WORDS[@]}")
        fi
        if manager install ${options[@]+"${options[@]}"} "$@" "${also[@]}"; then
            printf '%s\n' "$@" "${also[@]}" | write "$TOGETHER"
            return 0
        fi
        notice "not in one transaction: ${also[*]}"
    fi
    pm_install "$@"
}

# pm_query FORMAT NAME: what is installed by that name, or provides it; fails if there is nothing.
pm_query() {
    case $2 in
        *'*'*)
            rpm -qa --qf "$1" "$2" | grep .
            return
            ;;
    esac
    rpm -q --qf "$1" "$2" 2> /dev/null | grep -v 'not installed' ||
        rpm -q --whatprovides --qf "$1" "$2" 2> /dev/null | grep -v 'no package provides'
}

# pm_version NAME: the version of an installed package, or of what provides it; fails if there is none.
pm_version() { pm_query '%{VERSION}-%{RELEASE}\n' "$1"; }

# pm_verify NAME...: each is really installed, at the version that its name may hold; the version is printed.
pm_verify() {
    local name version missing=()
    for name in "$@"; do
        version=$(pm_version "$name") || version=
        if [ -z "$version" ]; then
            missing+=("$name")
        else
            log "installed: $name ${version//$'\n'/, }"
        fi
    done
    [ "${#missing[@]}" -eq 0 ] || die "not installed although the package manager succeeded: ${missing[*]}"
}

pm_remove() { manager remove "$@"; }

# pm_pinned VERSION NAME...: installs exactly that version. The repository file excludes them from every other update.
pm_pinned() {
    at_version "$@"
    pm_install --disableexcludes=kubernetes "${WORDS[@]}"
    pm_verify "${WORDS[@]}"
}

# Held already: exclude= in the repository file.
pm_hold() { :; }

# pm_installed: name, version and architecture of each package, separated by tabs. gpg-pubkey is an imported key.
pm_installed() {
    rpm -qa --qf '%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n' '*' |
        sed -e '/^gpg-pubkey\t/d' -e 's/\t0:/\t/' | sort
}

# pm_licenses: name, version and licence of each package.
pm_licenses() {
    rpm -qa --qf '%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{LICENSE}\n' '*' |
        sed -e '/^gpg-pubkey\t/d' -e 's/\t0:/\t/'
}

# pm_names NAME...: the installed packages that these names mean.
pm_names() {
    local name
    for name in "$@"; do
        pm_query '%{NAME}\n' "$name" || :
    done
}

# pm_origins: name, version and repository of each package, as yum and dnf remember it, where they do. Their list breaks
# long lines.
pm_origins() {
    manager -C -q list installed | awk '/^Installed Packages/ { on = 1; next } on { for (i = 1; i <= NF; i++) print $i }' |
        paste - - - | awk -v OFS='\t' '
            $3 !~ /^@/ || $3 == "@System" { next }
            { sub(/\.[^.]*$/, "", $1); sub(/^0:/, "", $2); print $1, $2, substr($3, 2) }'
}
