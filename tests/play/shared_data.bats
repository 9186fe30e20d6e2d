# Rows of an existing database into tenants that share tables: loaded with every rule standing,
# compared, refused, all or nothing.

load ../lib/home
load ../lib/cluster
load ../lib/estate
load ../lib/wait

setup_file() {
	export VENDOR_PASSWORD=vendor-canary-5f2c
	clusters_setup
	cluster_start vendor
	home_setup
	SOURCE=$(chinook_source vendor)
	su_psql vendor "CREATE DATABASE edges"
	su_psql vendor - edges < <(edges)
	EDGES=$(source_reader edges vendor)
	export SOURCE EDGES
	mkdir "$TEST_DIR/m"
	copyhold model import --from "$SOURCE" --name shop >"$TEST_DIR/m/shop.yaml"
	copyhold model import --from "$EDGES" --name edges >"$TEST_DIR/m/edges.yaml"
	places >"$TEST_DIR/m/places.yaml"
	copyhold init
	copyhold cluster setup-script vendor -f "$TEST_DIR/m" | su_psql vendor -
	copyhold apply -f "$TEST_DIR/m" --yes --quiet
	DB=$(copyhold tenant show flat -o json | jq -r .database)
	export DB
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

places() {
	cat <<-END
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: here}
		spec: {country: CN}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: vendor}
		spec:
		  region: here
		  connect:
		    host: 127.0.0.1
		    port: $(cluster_port vendor)
		    password: {secretRef: "env:VENDOR_PASSWORD"}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat}
		spec: {model: shop, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat-too}
		spec: {model: shop, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: views}
		spec:
		  model: shop
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  fields:
		    track: [{name: x_rank, type: integer, indexed: true}]
		    genre: [{name: x_note, type: text, default: imported}]
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: tables}
		spec:
		  model: shop
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  fields: {artist: [{name: x_code, type: text, maxLength: 9, unique: true}]}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: edgy}
		spec: {model: edges, mode: shared, cluster: vendor}
	END
}

# References that no order of rows satisfies, values that stand for something in an array or in a
# COPY, and more rows than go at once.
edges() {
	cat <<-'END'
		CREATE TABLE node (id bigint PRIMARY KEY, parent bigint NOT NULL, twin bigint UNIQUE, name text);
		INSERT INTO node VALUES (1, 1, 3, 'root'), (2, 3, NULL, 'late parent'), (3, 1, 2, 'crossed'),
			(4, 5, 5, 'circle'), (5, 4, 4, 'circle'), (6, 6, 6, 'itself');
		ALTER TABLE node ADD FOREIGN KEY (parent) REFERENCES node, ADD FOREIGN KEY (twin) REFERENCES node;
		CREATE TABLE head (id bigint PRIMARY KEY, tail bigint NOT NULL);
		CREATE TABLE tail (id bigint PRIMARY KEY, head bigint);
		INSERT INTO head SELECT n, n + 1 FROM generate_series(1, 5000) n;
		INSERT INTO tail SELECT n, nullif(n % 5001, 0) FROM generate_series(1, 5001) n;
		ALTER TABLE head ADD FOREIGN KEY (tail) REFERENCES tail;
		ALTER TABLE tail ADD FOREIGN KEY (head) REFERENCES head;
		CREATE TABLE seat (row_number bigint, letter varchar(1), next bigint REFERENCES node, PRIMARY KEY (row_number, letter));
		INSERT INTO seat SELECT n, chr(65 + n::int % 4), 1 + n % 6 FROM generate_series(1, 12001) n;
		CREATE TABLE thing (id bigint PRIMARY KEY, words text, whole bigint, part numeric(20,6), any_part numeric, flag boolean,
			day date, at timestamptz, mark uuid, doc jsonb, raw bytea);
		INSERT INTO thing (id, words) SELECT n, w FROM unnest(ARRAY['', 'NULL', 'null', '\N', '\', '\\', '"', '""', '{', '}', ',',
			'{a,"b"}', E'tab\there', E'line\nbreak', E'return\rhere', E'\b\f\v', ' blanks ', '王小明 🐘', '\.', '\x41', NULL])
			WITH ORDINALITY u (w, n);
		INSERT INTO thing VALUES
			(100, 'all', -9223372036854775808, -12345678901234.567890, 'NaN', true, '0001-01-01 BC', '2026-03-29 02:30:00.123456+02',
				'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a\\": ["\"", null, {"}": 1.50}]}', '\x00ff5c22'),
			(101, 'more', 9223372036854775807, 0.000001, 1e-300, false, 'infinity', '-infinity',
				'00000000-0000-0000-0000-000000000000', '"\\\\\""', ''),
			(102, repeat('"\', 700000), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'null', decode(repeat('5c22', 300000), 'hex'));
	END
}

# TENANT SQL: as its login.
as() { psql -X -At "$(copyhold route resolve "$1" --direct)" -c "$2"; }

# TENANT: its rows go.
empty() {
	psql -X -q -v ON_ERROR_STOP=1 "$(copyhold route resolve "$1" --direct)" <<-'END'
		DELETE FROM playlist_track; DELETE FROM playlist; DELETE FROM invoice_line; DELETE FROM invoice;
		DELETE FROM customer; DELETE FROM employee; DELETE FROM track; DELETE FROM album; DELETE FROM artist;
		DELETE FROM genre; DELETE FROM media_type;
	END
}

# NAME SQL: a copy of the sample with something changed; prints its DSN.
changed() {
	su_psql vendor "DROP DATABASE IF EXISTS $1"
	su_psql vendor "CREATE DATABASE $1 TEMPLATE ${3:-chinook}"
	su_psql vendor "$2" "$1"
	source_reader "$1" vendor
}

# DSN MESSAGE: the load of it is refused with this, and nothing is left of it.
breaks() {
	try data load flat --from "$1"
	assert_exit 1
	assert_equal "$(head -1 <<<"$stderr")" "$2"
	assert_lacks canary "$stderr"
	assert_equal "$(as flat "SELECT (SELECT count(*) FROM genre) + (SELECT count(*) FROM playlist)")" 0
}

@test "a load brings every row behind a tenant's views, and a comparison agrees" {
	try data load flat --from "$SOURCE" --output json
	assert_exit 0
	assert_equal "$(jq -c '[.rows, (.objects | length)]' <<<"$output")" "[15607,11]"
	try data compare flat --with "$SOURCE" --output json
	assert_exit 0
	assert_equal "$(jq -c '[.equal, ([.objects[].rowsHere] | add)]' <<<"$output")" "[true,15607]"
	assert_equal "$(as flat "SELECT e.last_name, c.last_name FROM employee e JOIN employee c ON c.employee_id = e.reports_to
		WHERE e.employee_id = 8")" "Callahan|Mitchell"
	assert_equal "$(as flat-too "SELECT count(*) FROM track")" 0
}

@test "the same rows come into views of a tenant's own, whose fields take their defaults" {
	copyhold data load views --from "$SOURCE" --quiet
	copyhold data compare views --with "$SOURCE" --quiet
	assert_equal "$(as views "SELECT x_note, count(*) FROM genre GROUP BY x_note")" "imported|25"
	assert_equal "$(as views "SELECT count(*), count(x_rank) FROM track")" "3503|0"
	copyhold data compare flat --with "$SOURCE" --quiet
}

@test "the same rows come into tables of a tenant's own" {
	copyhold data load tables --from "$SOURCE" --quiet
	copyhold data compare tables --with "$SOURCE" --quiet
	assert_equal "$(as tables "SELECT count(*) FROM playlist_track")" 8715
}

@test "every value arrives as it is, whatever the rows refer to" {
	try data load edgy --from "$EDGES" --output json
	assert_exit 0
	assert_equal "$(jq -c '[.objects[] | [.object, .rows]]' <<<"$output")" \
		'[["head",5000],["node",6],["seat",12001],["tail",5001],["thing",24]]'
	try data compare edgy --with "$EDGES"
	assert_exit 0
	assert_equal "$(as edgy "SELECT id, parent, twin FROM node ORDER BY id")" "1|1|3
2|3|
3|1|2
4|5|5
5|4|4
6|6|6"
	assert_equal "$(as edgy "SELECT count(*), count(head), sum(head) FROM tail")" "5001|5000|12502500"
	assert_equal "$(as edgy "SELECT id, octet_length(words), octet_length(raw) FROM thing WHERE id > 99 ORDER BY id")" \
		"100|3|4
101|4|0
102|1400000|600000"
}

@test "a row that breaks a rule is named by its ordinal, and nothing is loaded" {
	empty flat
	breaks "$(changed bad "ALTER TABLE artist ALTER name TYPE text; UPDATE artist SET name = repeat('canary', 21) WHERE artist_id = 3")" \
		'error[data-forbids]: row 275 of object "artist" has a text that is too long: field "name", rule "artist_name_max" (SQLSTATE 23514)'
	breaks "$(changed bad "ALTER TABLE track ALTER name DROP NOT NULL; UPDATE track SET name = NULL WHERE track_id = 5")" \
		'error[data-forbids]: row 3503 of object "track" has no value for a required field: field "name" (SQLSTATE 23502)'
	breaks "$(changed bad "ALTER TABLE invoice ALTER total TYPE numeric; UPDATE invoice SET total = 1e12 WHERE invoice_id = 2")" \
		'error[data-forbids]: row 412 of object "invoice" has a number that is too large: field "total" (SQLSTATE 22003)'
	breaks "$(changed bad "ALTER TABLE genre DROP CONSTRAINT genre_pkey CASCADE; INSERT INTO genre VALUES (1, 'canary')")" \
		'error[data-forbids]: row 26 of object "genre" repeats a value that must be unique: rule "genre_pkey" (SQLSTATE 23505)'
	breaks "$(changed bad "ALTER TABLE album DROP CONSTRAINT album_artist_id_fkey; UPDATE album SET artist_id = 9999 WHERE album_id = 1")" \
		'error[data-forbids]: a row of object "album" refers to a row that is not there: field "artist_id", rule "album_artist_id_fkey" (SQLSTATE 23503)'
	breaks "$(changed bad "ALTER TABLE employee DROP CONSTRAINT employee_reports_to_fkey; UPDATE employee SET reports_to = 99 WHERE employee_id = 1")" \
		'error[data-forbids]: a row of object "employee" refers to a row that is not there: field "reports_to", rule "employee_reports_to_fkey" (SQLSTATE 23503)'
	breaks "$(changed bad "ALTER TABLE track ALTER unit_price TYPE numeric(10,4); UPDATE track SET unit_price = 0.9999 WHERE track_id < 4")" \
		'error[data-forbids]: object "track": 3 rows have numbers with more decimal places than the model allows'
	breaks "$(changed bad "ALTER TABLE playlist_track DROP CONSTRAINT playlist_track_pkey; INSERT INTO playlist_track VALUES (1, 3402)")" \
		'error[data-forbids]: a row of object "playlist_track" repeats a value that must be unique: rule "playlist_track_pkey" (SQLSTATE 23505)'
}

@test "a bad row beyond the first thousands is found too" {
	local dsn
	dsn=$(changed bad "ALTER TABLE seat ALTER letter TYPE text; UPDATE seat SET letter = 'canary' WHERE row_number = 7003" edges)
	psql -X -q "$(copyhold route resolve edgy --direct)" -c "DELETE FROM seat" -c "UPDATE tail SET head = NULL" \
		-c "DELETE FROM head" -c "DELETE FROM tail" -c "DELETE FROM thing" -c "UPDATE node SET twin = NULL, parent = id" \
		-c "DELETE FROM node"
	try data load edgy --from "$dsn"
	assert_exit 1
	assert_equal "$(head -1 <<<"$stderr")" \
		'error[data-forbids]: row 12001 of object "seat" has a text that is too long: field "letter", rule "seat_letter_max" (SQLSTATE 23514)'
	su_psql vendor "UPDATE seat SET letter = 'A' WHERE row_number = 7003" bad
	copyhold data load edgy --from "$dsn" --quiet
	copyhold data compare edgy --with "$dsn" --quiet
}

@test "references that lead in a circle of required ones are refused" {
	su_psql vendor "CREATE DATABASE circle"
	su_psql vendor "CREATE TABLE egg (id bigint PRIMARY KEY, hen bigint NOT NULL);
		CREATE TABLE hen (id bigint PRIMARY KEY, egg bigint NOT NULL REFERENCES egg);
		CREATE TABLE nest (id bigint PRIMARY KEY, egg bigint NOT NULL REFERENCES egg);
		ALTER TABLE egg ADD FOREIGN KEY (hen) REFERENCES hen" circle
	mkdir "$TEST_DIR/c"
	copyhold model import --from "$(source_reader circle vendor)" --name circle >"$TEST_DIR/c/circle.yaml"
	cp "$TEST_DIR/m/places.yaml" "$TEST_DIR/m/shop.yaml" "$TEST_DIR/m/edges.yaml" "$TEST_DIR/c"
	printf '%s\n' --- "apiVersion: copyhold/v1" "kind: Tenant" "metadata: {name: round}" \
		"spec: {model: circle, mode: shared, cluster: vendor}" >>"$TEST_DIR/c/places.yaml"
	copyhold apply -f "$TEST_DIR/c" --yes --quiet
	try data load round --from "$(source_reader circle vendor)"
	assert_exit 1
	assert_err 'error[refused]: object "hen": required references lead from it back to it, so that no row can come first
  while: loading rows of "circle" into tenant "round"
  hint:  Let one of these references be optional until the rows are there, or choose another mode.'
}

@test "a second load is refused and says why" {
	copyhold data load flat --from "$SOURCE" --quiet
	try data load flat --from "$SOURCE"
	assert_exit 1
	assert_contains "error[refused]: the tenant has rows already: \"album\" has 347, " "$stderr"
	assert_contains "\"track\" has 3503" "$stderr"
}

nobody_vacuums() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'")" = 0 ]
}

# What a session has read is counted when it leaves.
all_have_left() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity WHERE datname = '$DB'")" = 0 ]
}

# Pages that removed rows still fill, and a table that was counted when it was empty: the server takes
# it for next to nothing, and must not walk through all rows of the tenant for each reference.
@test "a load after many rows were removed finds what it refers to by its key" {
	local before after read="SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'wide.track'::regclass"
	su_psql vendor "ALTER SYSTEM SET autovacuum = off"
	su_psql vendor "SELECT pg_reload_conf()"
	until_true nobody_vacuums
	empty flat
	empty views
	su_psql vendor - "$DB" <<-'END'
		SET session_replication_role = replica;
		INSERT INTO wide.track (_tenant, track_id, name, media_type_id, milliseconds, unit_price)
			SELECT 'aaaaaaaaaaaa', n, '', 1, 1, 1 FROM generate_series(1, 90000) n;
		DELETE FROM wide.track;
		ANALYZE;
	END
	assert_equal "$(su_psql vendor "SELECT reltuples, relpages > 1000 FROM pg_class WHERE oid = 'wide.track'::regclass" "$DB")" "0|t"
	until_true all_have_left
	before=$(su_psql vendor "$read" "$DB")
	copyhold data load flat --from "$SOURCE" --quiet
	until_true all_have_left
	after=$(su_psql vendor "$read" "$DB")
	[ $((after - before)) -lt 100000 ]
	su_psql vendor "ALTER SYSTEM RESET autovacuum"
	su_psql vendor "SELECT pg_reload_conf()"
}

# PID: a session waits for that one.
waits_for() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))")" != 0 ]
}

@test "a load during which the tenant's own sessions write is refused" {
	local id line loader status
	empty flat
	id=$(copyhold route resolve flat --direct | sed 's/.*:\/\/t_\([a-z2-7]*\)_.*/\1/')
	coproc HOLD { "$REPO/tools/cluster.sh" psql "$CLUSTERS" vendor -d "$DB" -At 2>&1; }
	echo "BEGIN; INSERT INTO wide.playlist (_tenant, playlist_id) VALUES ('$id', 5);
		SELECT 'held ' || pg_backend_pid();" >&"${HOLD[1]}"
	while read -r line <&"${HOLD[0]}"; do
		[[ $line != held* ]] || break
	done
	copyhold data load flat --from "$SOURCE" --quiet 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	loader=$!
	until_true waits_for "${line#held }"
	as flat "INSERT INTO genre (genre_id, name) VALUES (4711, 'meanwhile')"
	echo "ROLLBACK;" >&"${HOLD[1]}"
	status=0
	wait "$loader" || status=$?
	echo "\\q" >&"${HOLD[1]}"
	assert_equal "$status" 1
	assert_equal "$(cat "$BATS_TEST_TMPDIR/err")" \
		"error[refused]: object \"genre\": the tenant's own sessions wrote while its rows were loaded
  while: loading rows of \"chinook\" into tenant \"flat\"
  hint:  Stop the tenant's application, remove its rows and load again; nothing was loaded."
	assert_equal "$(as flat "SELECT (SELECT count(*) FROM genre), (SELECT count(*) FROM playlist)")" "1|0"
	as flat "DELETE FROM genre"
}

@test "a newer holder has fenced a load off" {
	local id
	id=$(copyhold route resolve flat --direct | sed 's/.*:\/\/t_\([a-z2-7]*\)_.*/\1/')
	su_psql vendor "UPDATE copyhold.fence SET fence = fence + 1000 WHERE tenant = '$id'" "$DB"
	try data load flat --from "$SOURCE"
	assert_exit 6
	assert_contains "error[fenced]: \"tenant/flat\" on \"vendor\" has seen a newer holder than fence " "$stderr"
	assert_equal "$(as flat "SELECT count(*) FROM genre")" 0
	su_psql vendor "UPDATE copyhold.fence SET fence = fence - 1000 WHERE tenant = '$id'" "$DB"
}

@test "a load that is killed leaves nothing, and its lease ends with it" {
	hold_at 1 load data load flat --from "$SOURCE" --quiet
	try data load flat --from "$SOURCE" --quiet
	assert_exit 7
	kill -KILL "$HOLDER"
	wait "$HOLDER" || true
	assert_equal "$(as flat "SELECT count(*) FROM track")" 0
	COPYHOLD_FAULT=kill:2 run copyhold data load flat --from "$SOURCE" --quiet
	assert_exit 137
	copyhold data compare flat --with "$SOURCE" --quiet
}

@test "rows that differ are told of one tenant, not of its neighbours" {
	as flat "UPDATE customer SET phone = 'canary-77' WHERE customer_id = 17" >/dev/null
	try data compare flat --with "$SOURCE"
	assert_exit 1
	assert_err "error[different]: 1 of 11 objects of tenant \"flat\" differ from the source
  hint:  Keys are shown as surrogates of this comparison; --show-values shows them, as an event."
	assert_lacks canary
	copyhold data compare tables --with "$SOURCE" --quiet
}

@test "a plan finds nothing to change afterwards" {
	try plan -f "$TEST_DIR/c" --detailed-exitcode
	assert_exit 0
}
