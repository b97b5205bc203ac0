# imgbuild: a login says where first boot stands, until it is done. Read by any POSIX shell.
case $- in
    *i*) if [ -x /usr/bin/imgbuild-status ]; then /usr/bin/imgbuild-status --banner || true; fi ;;
esac
