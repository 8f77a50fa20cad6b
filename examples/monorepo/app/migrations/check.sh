#!/bin/sh
# Apply all migrations to an empty database, and look at the version that comes out.
. /log.sh
database="http://$SERVICE_DATABASE_HOST:5432/cgi-bin"
for number in 1 2 3; do
    log "$(wget -q -O - "$database/apply?$number")"
done
test "$(wget -q -O - "$database/version")" = 3
