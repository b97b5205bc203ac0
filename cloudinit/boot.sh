# cloud-init counts a module as done before it begins, and repeats none. guard.sh writes how runcmd ended: after a failure
# it runs again; if the power failed before, so do those that come before it.
seed=$(readlink -f /var/lib/cloud/instance)
again='runcmd scripts_user phone_home power_state_change'
case "$(cat /var/lib/imgbuild/seed-ended 2>/dev/null)" in
"$seed ok") again='' ;;
"$seed failed") ;;
*) again="$again write_files set_hostname users_groups set_passwords ssh" ;;
esac
for module in $again; do
    if rm "$seed/sem/config_$module" 2>/dev/null; then
        mkdir -p /run/imgbuild
        : >/run/imgbuild/seed-again
    fi
done
# per_seed NAME COMMAND...: runs until it has succeeded once with this seed. cloud-init-per counts a failure, too.
per_seed() {
    mark=$seed/sem/imgbuild_$1
    shift
    test -e "$mark" || { "$@" && sync && : >"$mark"; }
}
