#!/bin/sh
# A dump of the database each day, in PostgreSQL's own format; the newest fourteen are kept.
# Restore: pg_restore --clean --if-exists -h postgres -U fleetune -d fleetune /backups/FILE
set -eu
while true; do
  name=/backups/fleetune-$(date -u +%Y%m%dT%H%M%SZ).dump
  if pg_dump -h postgres -U fleetune -Fc fleetune >"$name.part"; then
    mv "$name.part" "$name"
    ls -1t /backups/*.dump | tail -n +15 | xargs -r rm --
  else
    rm -f "$name.part"
    echo "backup failed" >&2
  fi
  sleep 86400
done
