#!/bin/sh
# `medtui run` when the first argument is absent or a flag, else the command that it names.
# exec: medtui takes this process over, so that the SIGTERM of `docker stop` reaches it.
set -eu

case "${1--}" in
    -*) exec medtui run "$@" ;;
    *) exec medtui "$@" ;;
esac
