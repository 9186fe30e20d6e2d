# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Switches to a server that follows by PostgreSQL's own logical replication, under a hundred writes a second: for
# how long the tenant is parked, and whether each write is there once afterwards.

export COPYHOLD_HOME=$work/stream
"$copyhold" -q init >/dev/null
dir=$work/stream.d
readonly follower=st-2
for name in bj-1 $follower; do
	cluster start "$work" "$name" auto --set wal_level=logical --set shared_buffers=256MB
done
trap 'kill "${gw-}" "${writers-}" 2>/dev/null || true; cluster remove "$work" $follower || true; clean' EXIT
write_base "$dir" "$(port_of bj-1)" 2
sed -e "s/name: bj-1/name: $follower/" -e "s/port: .*/port: $(port_of $follower)/" "$dir/cluster.yaml" >"$dir/second.yaml"
for name in bj-1 $follower; do
	"$copyhold" cluster setup-script "$name" -f "$dir" | su_sql "$name" >/dev/null
done
write_tenants "$dir" t 1
sed -i 's/residency: {country: CN}}/residency: {country: CN}, gateway: {pool: transaction}}/' "$dir"/t*.yaml
timed "$copyhold" -q apply -f "$dir" --yes
uri=$("$copyhold" route resolve t00000 --direct)
stream_role=$(role_in "$uri")
stream_db=$(db_in "$uri")

# The tenant's roles, with their passwords, and its database without rows.
"$pg/pg_dumpall" -h "$(cat "$work/bj-1/socket")" -p "$(port_of bj-1)" -U postgres --roles-only |
	grep -F "${stream_db#?_}" | su_sql $follower >/dev/null
"$pg/pg_dump" -h "$(cat "$work/bj-1/socket")" -p "$(port_of bj-1)" -U postgres -C --schema-only "$stream_db" |
	su_sql $follower >/dev/null
for name in bj-1 $follower; do
	su_sql "$name" -d "$stream_db" -qc "CREATE PUBLICATION stream FOR ALL TABLES"
done

# FROM TO: all rows that FROM has are there, and what is written goes there as well.  Where it was before, the
# last switch has closed the login.
follow() {
	local tables
	tables=$(su_sql "$2" -d "$stream_db" -Atc "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
		WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)")
	su_sql "$2" -d "$stream_db" -qc "TRUNCATE $tables" -c "ALTER ROLE $stream_role LOGIN" -c "CREATE SUBSCRIPTION stream
		CONNECTION 'host=$(cat "$work/$1/socket") port=$(port_of "$1") user=postgres dbname=$stream_db'
		PUBLICATION stream WITH (synchronous_commit = on)" 2>/dev/null
	until [ "$(su_sql "$2" -d "$stream_db" -Atc "SELECT count(*) FILTER (WHERE srsubstate <> 'r') = 0 AND count(*) > 0
		FROM pg_subscription_rel")" = t ]; do sleep 0.05; done
}

unfollow() { su_sql "$1" -d "$stream_db" -qc "DROP SUBSCRIPTION stream" 2>/dev/null; }

"$copyhold" gateway run --listen 127.0.0.1:0 --workers 2 >"$work/gw.log" 2>&1 &
gw=$!
until grep -q 'serving on' "$work/gw.log"; do sleep 0.05; done
gw_tcp=$(sed -n 's/.*serving on [^:]*:\([0-9]*\).*/\1/p' "$work/gw.log")
"$copyhold" route resolve t00000 >/dev/null # its passfile is there now
for _ in 1 2 3 4; do
	echo "dbname=t00000 user=app passfile=$COPYHOLD_HOME/run/pass/t00000.app.gateway"
done >"$work/four"
"$tools/gateway" writers "host=127.0.0.1 port=$gw_tcp" "$work/four" 25 >"$work/writers" 2>&1 &
writers=$!
until grep -q ready "$work/writers"; do sleep 0.1; kill -0 $writers; done
here=bj-1 there=$follower
for ((i = 0; i < 20; i++)); do
	follow "$here" "$there"
	timed "$tools/switch_stream" "$COPYHOLD_HOME" t00000 "$there" stream
	keep streamed "$(grep -x "[0-9]*" "$work/log")"
	unfollow "$there"
	read -r here there <<<"$there $here"
done
kill $writers
wait $writers || { cat "$work/writers" >&2; exit 1; }
read -r wrote failed < <(awk '/^writes/ { print $2, $4 }' "$work/writers")
account=$(su_sql "$here" -d "$stream_db" -Atc "SELECT oid::regclass FROM pg_class WHERE relname = 'account' AND relkind = 'r'")
found=$(su_sql "$here" -d "$stream_db" -Atc "SELECT count(*) FROM $account")
row "gateway: parked by a switch (logical replication), 50 / 95 / all of 100" \
	"$(part_of streamed 50) / $(part_of streamed 95) / $(part_of streamed 100) ms" "20 / 60 / 250 ms" \
	"writes that failed, and rows, of $wrote" "$failed, $found" "-"
kill "$gw"
wait "$gw" || true
cluster remove "$work" $follower
trap clean EXIT
cluster remove "$work" bj-1
unset COPYHOLD_HOME
