#!/bin/sh
# An image of Postgres for tests, as a tar of its files on standard output: the programs of this machine, and an entry
# point that does of a new server what the public image documents, since that one cannot be pulled everywhere.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
version=$(basename "$(dirname "$bin")")
root=$(mktemp -d)
chmod 755 "$root"
trap 'rm -rf "$root"' EXIT
put() {
    mkdir -p "$root$(dirname "$1")"
    cp -L "$1" "$root$1"
}
for program in initdb postgres pg_ctl pg_isready psql; do put "$bin/$program"; done
for library in plpgsql dict_snowball; do put "${bin%/bin}/lib/$library.so"; done
for file in "$bin"/initdb "$bin"/postgres "$bin"/psql "$bin"/pg_ctl "$bin"/pg_isready /usr/bin/printenv; do
    ldd "$file" | grep -o '/[^ ]*' | while read -r library; do put "$library"; done
done
mkdir -p "$root/usr/share/postgresql" "$root/usr/share/zoneinfo" "$root/bin" "$root/etc" "$root/tmp"
cp -a "/usr/share/postgresql/$version" "$root/usr/share/postgresql/"
cp -a /usr/share/zoneinfo/. "$root/usr/share/zoneinfo/"
cp "$(command -v busybox)" "$root/bin/busybox"
cp /usr/bin/printenv "$root/bin/"
for word in sh cat mkdir chmod rm; do ln -s busybox "$root/bin/$word"; done
echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' > "$root/etc/passwd"
echo 'postgres:x:999:' > "$root/etc/group"
mkdir -p "$root/var/lib/postgresql/data" "$root/var/run/postgresql" "$root/docker-entrypoint-initdb.d"
chmod 1777 "$root/tmp" "$root/var/run/postgresql"
# At the same place whatever the version is, for the PATH of the image.
ln -s "$bin" "$root/postgres"
cat > "$root/entrypoint" <<'SCRIPT'
#!/bin/sh
set -eu
export PATH=/postgres:/bin POSTGRES_USER=postgres
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    printf '%s\n' "${POSTGRES_PASSWORD:?}" > /tmp/password
    initdb --username "$POSTGRES_USER" --pwfile /tmp/password ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    export PGPASSWORD="$POSTGRES_PASSWORD"
    pg_ctl -o "-c listen_addresses=''" -w start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        [ -e "$script" ] || continue
        echo "running $script"
        . "$script"
    done
    pg_ctl -m fast -w stop
    unset PGPASSWORD
fi
exec postgres -c "listen_addresses=*"
SCRIPT
chmod 755 "$root/entrypoint"
chown -R 999:999 "$root/var/lib/postgresql" "$root/var/run/postgresql"
tar -C "$root" --numeric-owner -c .
