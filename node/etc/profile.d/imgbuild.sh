# imgbuild: a login shows the state of first boot, until it is done. Read by any POSIX shell.
case $- in
    *i*) if [ -x /usr/bin/imgbuild-status ]; then /usr/bin/imgbuild-status --banner || true; fi ;;
esac
