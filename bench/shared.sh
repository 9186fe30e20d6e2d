# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Mode shared.  Tenants taken on in one shared database, beside psql sending the same CREATE ROLE and
# GRANT; what the catalogues of the server grow by.  Statements through a tenant's view of a wide
# table with a million rows of 10,000 tenants, beside the same statements on a plain table with as
# many rows.  A field added to a model with all those tenants on it, while writers write.

readonly shared_n=${SHARED_N:-10000}
readonly rows_n=${SHARED_ROWS:-1000000}
readonly bench_s=${SHARED_SECONDS:-5}

export COPYHOLD_HOME=$work/shared
"$copyhold" -q init >/dev/null
start_server bj-1
port=$(port_of bj-1)
dir=$work/shared.d
write_base "$dir" "$port" 2
sed -i 's/modes: \[.*\]/modes: [shared]/' "$dir/cluster.yaml"
"$copyhold" cluster setup-script bj-1 -f "$dir" | su_sql bj-1 >/dev/null

# PREFIX FROM TO [MODEL]: tenants that say nothing of their own.
shared_tenants() {
	awk -v prefix="$1" -v from="$2" -v to="$3" -v model="${4-crm}" 'BEGIN {
		for (i = from; i < to; i++)
			printf "%sapiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: %s%05d}\n" \
			    "spec: {model: %s, mode: shared, cluster: bj-1, residency: {country: CN}}\n",
			    (i > from ? "---\n" : ""), prefix, i, model
	}' >"$dir/$1$2.yaml"
}

# The database of a model's tenants.
database_of() {
	"$copyhold" shared list -o json | awk -F '"' -v model="bj-1/$1" '
		{ for (i = 2; i < NF; i += 2) {
			if ($i == model) on = 1
			if (on && $i ~ /^s_[a-z2-7]+$/) { print $i; exit }
		} }'
}

# Bytes of the system catalogues of a database, those that all share too.
catalogue_bytes() {
	su_sql bj-1 -d "$1" -Atc "SELECT sum(pg_total_relation_size(oid)) FROM pg_class
		WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'"
}

# --- taking tenants on -------------------------------------------------------------

shared_tenants first 0 1
timed "$copyhold" -q apply -f "$dir" --yes
db=$(database_of crm)
before=$(catalogue_bytes "$db")
shared_tenants t 0 "$shared_n"
timed "$copyhold" -q apply -f "$dir" --yes
keep shared.taken "$(calc "$shared_n * 1000 / $took")"
grown=$(($(catalogue_bytes "$db") - before))

verifier() {
	local salt key
	salt=$(head -c 16 /dev/urandom | base64)
	key=$(head -c 32 /dev/urandom | base64)
	echo "SCRAM-SHA-256\$4096:$salt\$$key:$key"
}

# FILE FROM TO
bare_roles() {
	local i
	for ((i = $2; i < $3; i++)); do
		printf "BEGIN\\;CREATE ROLE bare%05d LOGIN PASSWORD '%s'\\;GRANT bare TO bare%05d\\;COMMIT;\n" \
			"$i" "$verifier" "$i"
	done >"$1"
}

bare_half() {
	PGPASSWORD=$BJ1_PASSWORD "$pg/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" \
		-U copyhold -d copyhold -f "$1"
}

bare_halves() {
	bare_half "$work/roles.1" &
	bare_half "$work/roles.2"
	wait $!
}

readonly bare_n=2000
su_sql bj-1 -c "CREATE ROLE bare" -c "GRANT bare TO copyhold WITH ADMIN OPTION"
verifier=$(verifier)
bare_roles "$work/roles.1" 0 $((bare_n / 2))
bare_roles "$work/roles.2" $((bare_n / 2)) $bare_n
timed bare_halves
keep shared.bare "$(calc "$bare_n * 1000 / $took")"
row "shared: tenants taken on, connections: 2" "$(median shared.taken)/s" "200/s or more" \
	"psql x 2, CREATE ROLE and GRANT" "$(median shared.bare)/s" \
	"$(calc "$(median shared.taken) / $(median shared.bare)")"
row "  system catalogues grow, $shared_n tenants" "$(calc "$grown / 1048576") MiB" \
	"5 MB or less" "of them the roles' own" \
	"$(su_sql bj-1 -Atc "SELECT round(pg_total_relation_size('pg_authid') / 1048576.0, 2)") MiB" "-"

# --- a field for all of them, while they write ----------------------------------------

# As an application with a hundred connections' worth of writes would, through the views.
tenant_uri() { "$copyhold" route resolve "$1" --direct; }

cat >"$work/write.sql" <<-'SQL'
	INSERT INTO account (name, country) VALUES ('n', 'CN');
SQL
uri=$(tenant_uri t00001)
for ((round = 0; round < rounds; round++)); do
	sed -i -e "s/^  version: .*/  version: $((round + 2))/" \
		-e "/name: street/i\\        - {name: bench_$round, type: text, maxLength: 40, default: new}" \
		"$dir/model-crm.yaml"
	rm -f "$work"/waits.*
	(cd "$work" && "$pg/pgbench" -n -M prepared -c 4 -T 15 -l --log-prefix=waits -f write.sql \
		"$uri" >pgbench.log 2>&1) &
	writers=$!
	sleep 5
	timed "$copyhold" -q apply -f "$dir" --no-refresh --yes
	keep evolve "$took"
	step=$("$copyhold" run list -o json | awk -F '[:,]' '/"id"/ { print $2 + 0; exit }')
	"$copyhold" run show "$step" -o json >"$work/evolve.$round.json"
	wait $writers || { cat "$work/pgbench.log" >&2; exit 1; }
	keep waited "$(cat "$work"/waits.* | awk '$3 > most { most = $3 } END { print most / 1000 }')"
done
row "shared: a field more for $shared_n tenants, from command to prompt" "$(median evolve) ms" \
	"1000 ms" "the longest that a writer waited" "$(median waited) ms (300 at most)" "-"

# --- through the view ---------------------------------------------------------------------

# NAME COLUMNS: a model of one object with so many fields beside its key.
wide_fields() {
	local i
	printf 'apiVersion: copyhold/v1\nkind: Model\nmetadata: {name: %s}\nspec:\n  version: 1\n' "$1"
	printf '  objects:\n    - name: record\n      key: [id]\n      fields:\n'
	printf '        - {name: id, type: integer, required: true}\n'
	printf '        - {name: code, type: text, maxLength: 40, unique: true}\n'
	printf '        - {name: num, type: integer, indexed: true}\n'
	for ((i = 4; i <= $2; i++)); do
		case $((i % 5)) in
		0) printf '        - {name: f%d, type: integer}\n' "$i" ;;
		1) printf '        - {name: f%d, type: text, maxLength: 80}\n' "$i" ;;
		2) printf '        - {name: f%d, type: date}\n' "$i" ;;
		3) printf '        - {name: f%d, type: boolean}\n' "$i" ;;
		4) printf '        - {name: f%d, type: number, precision: 12, scale: 2}\n' "$i" ;;
		esac
	done
}

# COLUMNS: half of the columns that carry no rule hold values.
filled_columns() {
	local i names="" values=""
	for ((i = 4; i <= $1; i += 2)); do
		names+=", f$i"
		case $((i % 5)) in
		0) values+=", n" ;;
		1) values+=", 'text ' || n" ;;
		2) values+=", date '2026-01-01' + (n % 365)" ;;
		3) values+=", n % 2 = 0" ;;
		4) values+=", n % 1000" ;;
		esac
	done
	echo "$names|$values"
}

# COLUMNS: a million rows in the wide table, a hundred of them the tenant's; the same in a plain one.
fill_wide() {
	local names values key
	IFS='|' read -r names values < <(filled_columns "$1")
	key=$(su_sql bj-1 -d "$db" -Atc "SELECT substr(rolname, 3, 12) FROM pg_roles
		WHERE rolname ~ '^t_' AND pg_has_role(oid, '${db}_w', 'MEMBER') LIMIT 1")
	su_sql bj-1 -d "$db" <<-SQL
		SET client_min_messages = warning;
		INSERT INTO wide.record (_tenant, id, code, num$names)
		SELECT CASE WHEN n % 10000 = 1 THEN '$key' ELSE lpad(to_hex(n % 10000), 12, 'x') END,
			n / 10000 + 1, 'c' || n / 10000, n / 10000$values FROM generate_series(1, $rows_n) n;
		CREATE SCHEMA plain;
		CREATE TABLE plain.record (LIKE wide.record INCLUDING CONSTRAINTS INCLUDING DEFAULTS);
		ALTER TABLE plain.record DROP COLUMN _tenant;
		SELECT format('ALTER TABLE plain.record DROP COLUMN %I', attname) FROM pg_attribute
		WHERE attrelid = 'plain.record'::regclass AND attname ~ '^_' AND NOT attisdropped \gexec
		INSERT INTO plain.record (id, code, num$names)
		SELECT n, 'c' || n, n$values FROM generate_series(1, $rows_n) n;
		ALTER TABLE plain.record ADD PRIMARY KEY (id), ADD UNIQUE (code);
		CREATE INDEX ON plain.record (num);
		GRANT USAGE ON SCHEMA plain TO ${db}_w;
		GRANT ALL ON plain.record TO ${db}_w;
		VACUUM ANALYZE wide.record;
		VACUUM ANALYZE plain.record;
		CHECKPOINT;
	SQL
}

# RELATION STATEMENT MODE: transactions a second.
tps() {
	echo "${2//@/$1}" >"$work/one.sql"
	timed "$pg/pgbench" -n -M "$3" -c 1 -T "$bench_s" -f "$work/one.sql" "$uri"
	awk '/^tps/ { print $3 }' "$work/log"
}

# WHAT STATEMENT TARGET COLUMNS
compare_both() {
	local mode value
	for mode in prepared simple; do
		for ((round = 0; round < rounds; round++)); do
			value=$(tps record "$2" $mode)
			keep "view.$4.$1.$mode" "$value"
			value=$(tps plain.record "$2" $mode)
			keep "plain.$4.$1.$mode" "$value"
		done
		target=$3
		[ $mode = prepared ] || target=-
		row "shared: $1, $4 columns, $mode" "$(median "view.$4.$1.$mode")/s" "$target" \
			"plain table" "$(median "plain.$4.$1.$mode")/s" \
			"$(calc "$(median "view.$4.$1.$mode") / $(median "plain.$4.$1.$mode")")"
	done
}

for columns in 40 150; do
	wide_fields "wide$columns" "$columns" >"$dir/model-wide$columns.yaml"
	shared_tenants "w$columns" 0 1 "wide$columns"
	timed "$copyhold" -q apply -f "$dir" --no-refresh --yes
	db=$(database_of "wide$columns")
	uri=$(tenant_uri "w${columns}00000")
	fill_wide "$columns"
	compare_both "read by key" "\\set i random(1, 100)
SELECT * FROM @ WHERE id = :i;" "0.85 or more" "$columns"
	compare_both "read by unique field" "\\set i random(1, 99)
SELECT * FROM @ WHERE code = 'c' || :i;" "0.85 or more" "$columns"
	compare_both "read by indexed field" "\\set i random(1, 99)
SELECT * FROM @ WHERE num = :i;" "0.85 or more" "$columns"
	compare_both "insert" "\\set i random(1000000000, 9000000000000000)
INSERT INTO @ (id, code, num, f4, f6) VALUES (:i::bigint, 'i' || :i::bigint, :i::bigint % 1000, 1, 'x');" \
		"0.55 or more" "$columns"
	compare_both "update" "\\set i random(1, 100)
UPDATE @ SET num = num + 1, f6 = 'y' WHERE id = :i;" "0.75 or more" "$columns"
done
cluster remove "$work" bj-1
unset COPYHOLD_HOME
