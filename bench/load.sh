# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# The Chinook sample, twenty times over, from one database of a server into a tenant's on the same
# one; beside it psql piping COPY to COPY with no rules at all, and pg_dump into pg_restore, which
# makes the same rules afterwards.  The same into a tenant that shares tables, where every rule
# stands; beside it psql piping COPY to COPY into plain tables with the same rules.

readonly load_times=${LOAD_TIMES:-20}
load_tables="artist album employee customer genre media_type track playlist playlist_track"
readonly load_tables="$load_tables invoice invoice_line"

export COPYHOLD_HOME=$work/load
"$copyhold" -q init >/dev/null
start_server bj-1
port=$(port_of bj-1)
write_base "$work/load.d" "$port" 2
"$copyhold" cluster setup-script bj-1 -f "$work/load.d" | su_sql bj-1 >/dev/null

su_sql bj-1 -c "CREATE ROLE reader LOGIN PASSWORD 'reader'" -c "CREATE DATABASE chinook"
grep -vE '^(DROP DATABASE|CREATE DATABASE|\\c )' "$root/tests/data/chinook-postgresql.sql" |
	su_sql bj-1 -d chinook
awk -v times="$load_times" -f "$root/bench/scale.awk" | su_sql bj-1 -d chinook
su_sql bj-1 -d chinook -c "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"
source=postgresql://reader:reader@127.0.0.1:$port/chinook
rows=0
for table in $load_tables; do
	rows=$((rows + $(su_sql bj-1 -d chinook -Atc "SELECT count(*) FROM $table")))
done

"$copyhold" -q model import --from "$source" --name chinook >"$work/load.d/model.yaml"
cat >"$work/load.d/tenant.yaml" <<-YAML
	apiVersion: copyhold/v1
	kind: Tenant
	metadata: {name: music}
	spec: {model: chinook, mode: dedicated, cluster: bj-1, residency: {country: CN}}
	---
	apiVersion: copyhold/v1
	kind: Tenant
	metadata: {name: flat}
	spec: {model: chinook, mode: shared, cluster: bj-1, residency: {country: CN}}
YAML
sed -i 's/modes: \[.*\]/modes: [dedicated, shared]/' "$work/load.d/cluster.yaml"
timed "$copyhold" -q apply -f "$work/load.d" --yes
tenant=$("$copyhold" route list -o json | grep -o '"t_[a-z2-7]\{12\}"' | tr -d '"')
shared=$("$copyhold" route list -o json | grep -o '"s_[a-z2-7]\{12\}"' | tr -d '"')

# DATABASE SCHEMA: its tables empty again, with everything before it written.
empty_tables() {
	su_sql bj-1 -d "$1" -Atc "SELECT format('TRUNCATE %s',
		string_agg(oid::regclass::text, ', ')) FROM pg_class
		WHERE relnamespace = '$2'::regnamespace AND relkind = 'r'" >"$work/truncate"
	su_sql bj-1 -d "$1" -f "$work/truncate" -c CHECKPOINT
}

make_bare() {
	su_sql bj-1 -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS bare" \
		-c "CREATE DATABASE bare TEMPLATE template0"
	for table in $load_tables; do
		su_sql bj-1 -d chinook -Atc "SELECT 'CREATE TABLE $table ('
			|| string_agg(quote_ident(attname) || ' '
				|| format_type(atttypid, atttypmod), ', ' ORDER BY attnum) || ');'
			FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0"
	done >"$work/bare.sql"
	[ "$1" != tables ] || su_sql bj-1 -d bare -f "$work/bare.sql"
	su_sql bj-1 -c CHECKPOINT
}

pipe_rows() {
	for table in $load_tables; do
		su_sql bj-1 -d chinook -c "COPY $table TO STDOUT" |
			su_sql bj-1 -d bare -c "COPY $table FROM STDIN" || return 1
	done
}

dump_restore() {
	local to=(-h "$(cat "$work/bj-1/socket")" -p "$port" -U postgres)
	"$pg/pg_dump" "${to[@]}" -Fc -Z0 chinook | "$pg/pg_restore" "${to[@]}" -e -d bare
}

make_ruled() {
	local to=(-h "$(cat "$work/bj-1/socket")" -p "$port" -U postgres)
	make_bare none
	"$pg/pg_dump" "${to[@]}" -s chinook | su_sql bj-1 -d bare -q
	su_sql bj-1 -c CHECKPOINT
}

for ((round = 0; round < rounds; round++)); do
	empty_tables "$tenant" app
	timed "$copyhold" -q data load music --from "$source"
	keep loaded "$(calc "$rows * 1000 / $took")"
	make_bare tables
	timed pipe_rows
	keep piped "$(calc "$rows * 1000 / $took")"
	make_bare none
	timed dump_restore
	keep restored "$(calc "$rows * 1000 / $took")"
	empty_tables "$shared" wide
	timed "$copyhold" -q data load flat --from "$source"
	keep shared "$(calc "$rows * 1000 / $took")"
	make_ruled
	timed pipe_rows
	keep ruled "$(calc "$rows * 1000 / $took")"
done
[ "$(su_sql bj-1 -d "$shared" -Atc "SELECT count(*) FROM wide.invoice_line")" = $((2240 * load_times)) ]
[ "$(su_sql bj-1 -d "$tenant" -Atc "SELECT count(*) FROM app.invoice_line")" = $((2240 * load_times)) ]

row "data load, $rows rows in 11 objects" "$(median loaded)/s ($(spread loaded))" "50000/s or more" \
	"pg_dump into pg_restore, with rules" "$(median restored)/s ($(spread restored))" \
	"$(calc "$(median loaded) / $(median restored)")"
row "  the same" "$(median loaded)/s" "-" "COPY to COPY, no rules" \
	"$(median piped)/s ($(spread piped))" "$(calc "$(median loaded) / $(median piped)")"
row "data load into shared tables, rules standing" "$(median shared)/s ($(spread shared))" \
	"22000/s or more" "pg_dump into pg_restore, rules afterwards" "$(median restored)/s" \
	"$(calc "$(median shared) / $(median restored)")"
row "  the same" "$(median shared)/s" "-" "COPY to COPY, plain tables, rules standing" \
	"$(median ruled)/s ($(spread ruled))" "$(calc "$(median shared) / $(median ruled)")"
cluster remove "$work" bj-1
unset COPYHOLD_HOME
