#!/bin/sh
. /log.sh
if [ "$1" = "--self-test" ]; then
    log "nothing to do is done"
    exit 0
fi
while :; do
    log "waiting for work"
    sleep 60
done
