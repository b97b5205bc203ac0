# Which kernel runs, and whose it is. Sourced by verify, by setup and by first boot.
# shellcheck shell=bash disable=SC2154 # packages, kernel_owner: set by verify.conf

# owner_of FILE: prints the name of the package that installed a kernel; its file in /boot can be a copy (EL 8).
owner_of() {
    local original=/lib/modules/${1##*/vmlinuz-}/vmlinuz
    case $packages in
        rpm)
            rpm -qf --queryformat '%{NAME}\n' "$1" 2> /dev/null ||
                rpm -qf --queryformat '%{NAME}\n' "$original" 2> /dev/null
            ;;
        dpkg) dpkg -S "$1" 2> /dev/null | cut -d : -f 1 ;;
    esac | awk '!/ / && !n++'
}

# kernel_runs: imgbuild's kernel runs, or a newer one of the same package: an update leaves the file that names imgbuild's
# as it is. Sets running and wanted.
kernel_runs() {
    wanted=$(cat "$R/usr/share/imgbuild/kernel")
    running=$(uname -r)
    # shellcheck disable=SC2053 # the owner's name is a pattern
    [ "$running" = "$wanted" ] || (
        # shellcheck source=/dev/null
        . "$R/etc/imgbuild/verify.conf"
        [[ $(printf '%s\n' "$wanted" "$running" | sort -V | tail -n 1) == "$running" &&
            $(owner_of "/boot/vmlinuz-$running") == $kernel_owner ]]
    )
}
