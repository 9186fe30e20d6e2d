load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# Tenant acme goes to a server that has nothing of it; each test begins where the one before left it.
setup_file() {
	PYTHON=/usr/bin/python3
	"$PYTHON" -c 'import jsonschema' 2>/dev/null || PYTHON=python3
	export PYTHON
	clusters_setup
	cluster_start old
	cluster_start other
	home_setup
	switch_setup
	switch_cluster other 127.0.0.1 "$(cluster_port other)" >"$MANIFESTS/other.yaml"
	copyhold cluster setup-script other -f "$MANIFESTS" | su_psql other -
	copyhold apply -f "$MANIFESTS" --yes
	gateway_start
	export GATEWAY
	GATEWAY_URI=$(copyhold route resolve acme)
	export GATEWAY_URI
}

teardown_file() {
	gateway_stop
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	rows_of "$(side)" acme "TRUNCATE app.note"
}

fits() {
	"$PYTHON" "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"
}
side() { catalogue "SELECT cluster FROM route WHERE tenant = 'acme'"; }
away() { [ "$(side)" = old ] && echo other || echo old; }
count_of() { rows_of "$1" acme "SELECT count(*) FROM app.note"; }
has_rows() { [ "$(count_of "$1")" -ge "$2" ]; }
may_log_in() { su_psql "$1" "SELECT rolcanlogin FROM pg_roles WHERE rolname = '$(role_of acme)'"; }

# SERVER: how many databases and roles of acme are there.
left_on() {
	local id
	id=$(catalogue "SELECT id FROM tenant WHERE name = 'acme'")
	su_psql "$1" "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 't\_$id%'),
		(SELECT count(*) FROM pg_roles WHERE rolname LIKE 't\_$id%')"
}

comes_in() { run -0 psql -X -q -At "$GATEWAY_URI" -c "SELECT count(*) FROM note" && assert_out "$1"; }

@test "a dry run tells the size and the expected time, and changes nothing" {
	local before db room
	copyhold route switch acme --to other --by copy --yes
	copyhold route switch acme --to old --by copy --yes
	before=$(catalogue "SELECT max(seq) FROM event; SELECT max(id) FROM run; SELECT * FROM route")
	db=$(database_of acme)
	try route switch acme --to other --by copy --dry-run --drain 1s --max 5s
	assert_exit 0
	room=$(sed -n 's/^  ok connections: \([0-9]*\) connections are free there.*/\1/p' <<<"$output")
	[ "$room" -ge 80 ] && [ "$room" -le 97 ] # of 100, three are kept; autovacuum takes some now and then
	assert_out "acme: from old to other, by copy
  ok mode: \"other\" takes mode dedicated
  ok residency: region \"here\" is in CN
  ok server: PostgreSQL 15, another server
  ok names: nothing of tenant \"acme\" is there
  ok model: the database is as its model says
  ok size: 0.0 MB, of at most 32 MB
  ok time: about 200 ms to copy and compare, of at most 4.3 s
  ok setup: it is set up, and our login has its rights
  ok connections: $room connections are free there, the tenant has 0 now
  ok sessions: none that cannot be handed over
  ok prepared transactions: none
  1. create the roles of $db on \"other\"
  2. create database $db on \"other\"
  3. create 1 object in $db on \"other\"
  4. park the route of \"acme\" for 5 s at most
  5. let the transactions of \"acme\" come to an end within 1 s
  6. let nobody of \"acme\" into its database on \"old\"
  7. copy the rows of \"acme\" to \"other\"
  8. see that \"other\" has the same data and takes writes
  9. route \"acme\" to \"other\", a new epoch  [no way back after this]
  10. let the logins of \"acme\" in on \"other\"
  11. release the route of \"acme\"
  12. wait until every gateway has released it
  13. drop database $db on \"old\"  [no way back after this]
  14. drop the roles of $db on \"old\"  [no way back after this]"
	assert_equal "$(catalogue "SELECT max(seq) FROM event; SELECT max(id) FROM run; SELECT * FROM route")" \
		"$before"
	try route switch acme --to other --by copy --dry-run -o json
	fits routeSwitchPlan <<<"$output"
}

@test "writers through the gateway see no error while their tenant's rows are copied there and back" {
	local n from to
	echo "INSERT INTO note (n) VALUES (7);" >"$TEST_DIR/write.sql"
	from=$(side) to=$(away)
	pgbench -n -c 4 -t 150 -R 100 -f "$TEST_DIR/write.sql" "$GATEWAY_URI" \
		>"$TEST_DIR/pgbench" 2>&1 3>&- &
	n=$!
	until_true has_rows "$from" 20
	try route switch acme --to "$to" --by copy "${PATIENT[@]}" --yes
	assert_exit 0
	[[ $output =~ ^acme\ is\ on\ $to\ now\ \(epoch\ [0-9]+,\ run\ [0-9]+\):\ copied\ [0-9,]+\ rows\ in\ [0-9]+\ ms,\ parked\ [0-9]+\ ms$ ]]
	assert_equal "$(left_on "$from")" "0|0"
	try route switch acme --to "$from" --by copy "${PATIENT[@]}" --yes -o json
	assert_exit 0
	fits routeSwitch <<<"$output"
	wait "$n"
	assert_contains "number of transactions actually processed: 600/600" "$(<"$TEST_DIR/pgbench")"
	assert_contains "number of failed transactions: 0 (0.000%)" "$(<"$TEST_DIR/pgbench")"
	assert_equal "$(count_of "$from")" 600
	assert_equal "$(left_on "$to")" "0|0"
	try plan -f "$MANIFESTS"
	assert_contains "nothing to do"
}

@test "the events tell what was copied, made on the one side and removed from the other" {
	local run from to event
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) SELECT generate_series(1, 1000)"
	copyhold route switch acme --to "$to" --by copy --yes
	run=$(last_run)
	event=$(catalogue "SELECT CAST(bytes AS TEXT) FROM event WHERE run = $run AND verb = 'route.copied'")
	assert_contains "\"before\":\"$from\"" "$event"
	[[ $event =~ \"after\":\"$to,\ 1000\ rows\ in\ [0-9]+\ ms\" ]]
	assert_equal "$(catalogue "SELECT verb, object FROM event WHERE run = $run
		AND verb IN ('database.create', 'database.drop', 'switch.copy') ORDER BY seq")" \
		"database.create|tenant/acme on $to
switch.copy|tenant/acme
database.drop|tenant/acme on $from"
	comes_in 1000
}

# Values that a careless copy would change, and each kind of rule.
write_everything() {
	cat >"$MANIFESTS/everything.yaml" <<-YAML
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: everything}
		spec:
		  version: 1
		  objects:
		    - name: parent
		      fields:
		        - {name: code, type: text, maxLength: 20, unique: true}
		    - name: child
		      fields:
		        - {name: t, type: text, maxLength: 20}
		        - {name: i, type: integer}
		        - {name: d, type: number}
		        - {name: m, type: number, precision: 10, scale: 2}
		        - {name: b, type: boolean}
		        - {name: day, type: date, indexed: true}
		        - {name: at, type: timestamp}
		        - {name: u, type: uuid}
		        - {name: j, type: json}
		        - {name: y, type: bytes}
		        - {name: parent, type: reference, to: parent}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: globex}
		spec: {model: everything, mode: dedicated, cluster: old}
	YAML
}

whole() {
	rows_of "$1" globex "SELECT * FROM app.child ORDER BY i; SELECT * FROM app.parent ORDER BY code"
}

@test "values of every type, rules and logins are there as they were" {
	local before password
	write_everything
	copyhold apply -f "$MANIFESTS" --yes
	rows_of old globex "
		INSERT INTO app.parent (code) VALUES ('a'), (NULL), (''), (E'tab\there');
		INSERT INTO app.child (t, i, d, m, b, day, at, u, j, y, parent)
			SELECT E'\\\\N \n\\\\.', 1, 1.2300, 7.5, true, 'infinity', '0044-03-15 BC',
				'00000000-0000-0000-0000-00000000000f', '{\"a\": [1.50, null, \"\\\\u00e9\"]}', '\\x00ff',
				(SELECT id FROM app.parent WHERE code = 'a');
		INSERT INTO app.child (i, d, at) VALUES (2, 'NaN', '2024-02-29 23:59:59.123456+14');
		INSERT INTO app.child (i, t) VALUES (9223372036854775807, 'größer 数据')"
	copyhold login add globex report --read-only
	before=$(whole old)
	try route switch globex --to other --by copy --yes
	assert_exit 0
	assert_contains "copied 7 rows in"
	assert_equal "$(whole other)" "$before"
	try plan -f "$MANIFESTS"
	assert_contains "nothing to do"
	try tenant verify globex
	assert_exit 0
	try drift -t globex
	rm "$MANIFESTS/everything.yaml"
	copyhold apply -f "$MANIFESTS" --prune --yes --confirm-removal
}

@test "what is kept stays closed and is told of, is in the way of the way back, and goes when it is cleared" {
	local from to
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) VALUES (1), (2)"
	try route switch acme --to "$to" --by copy --keep-old --yes
	assert_exit 0
	assert_equal "$(may_log_in "$from") $(may_log_in "$to") $(left_on "$from")" "f t 1|2"
	assert_equal "$(count_of "$from")" 2
	try tenant show acme
	assert_contains "left      a closed database on $from; remove it: copyhold route clear acme"
	try tenant show acme -o json
	fits tenantShow <<<"$output"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	try route switch acme --to "$from" --by copy --yes
	assert_exit 1
	assert_err "error[refused]: tenant \"acme\" cannot be switched to \"$from\": names: tenant \"acme\" has left a closed database on \"$from\"
  hint:  Remove it: copyhold route clear acme."
	try route clear acme --yes
	assert_exit 0
	assert_equal "$(left_on "$from") $(left_on "$to")" "0|0 1|2"
	comes_in 2
	try tenant show acme
	assert_lacks "left  "
	try route clear acme --yes
	assert_exit 0
	assert_out 'nothing to do: tenant "acme" has left nothing behind'
}

@test "what a tenant has left goes with it when it is purged" {
	local db server
	switch_tenant initech >"$MANIFESTS/initech.yaml"
	copyhold apply -f "$MANIFESTS" --yes
	db=$(database_of initech)
	copyhold route switch initech --to other --by copy --keep-old --yes
	copyhold tenant delete initech --yes
	rm "$MANIFESTS/initech.yaml"
	try tenant delete initech --now --no-backup --confirm initech --yes
	assert_exit 0
	for server in old other; do
		assert_equal "$(su_psql "$server" "SELECT count(*) FROM pg_database WHERE datname = '$db'")" 0
		assert_equal "$(su_psql "$server" "SELECT count(*) FROM pg_roles WHERE starts_with(rolname, '$db')")" 0
	done
	assert_equal "$(catalogue "SELECT count(*) FROM meta WHERE key GLOB 'left/*'")" 0
}

@test "a tenant above the limit is refused with its size, and goes when it is allowed" {
	local from to
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) SELECT generate_series(1, 40000)"
	try route switch acme --to "$to" --by copy --copy-limit 1 --yes
	assert_exit 1
	[[ $stderr =~ ^error\[refused\]:\ tenant\ \"acme\"\ cannot\ be\ switched\ to\ \"$to\":\ size:\ [0-9.]+\ MB,\ of\ at\ most\ 1\ MB ]]
	assert_contains "hint:  Allow more, and more time: --copy-limit, --max." "$stderr"
	try route switch acme --to "$to" --by copy --drain 100ms --max 200ms --yes
	assert_exit 1
	assert_contains ': time: about ' "$stderr"
	assert_contains 'hint:  Give it more time: --max.' "$stderr"
	assert_equal "$(side) $(left_on "$to")" "$from 0|0"
	try route switch acme --to "$to" --by copy "${PATIENT[@]}" --yes
	assert_exit 0
	assert_equal "$(count_of "$to")" 40000
}

@test "what the model does not know is not left behind: it is refused" {
	local from to
	from=$(side) to=$(away)
	rows_of "$from" acme "CREATE TABLE app.extra (a int)"
	try route switch acme --to "$to" --by copy --yes
	rows_of "$from" acme "DROP TABLE app.extra"
	assert_exit 1
	assert_contains "error[refused]: tenant \"acme\" cannot be switched to \"$to\": model: " "$stderr"
	assert_contains "hint:  See: copyhold plan; then mend it: copyhold apply, or apply --prune." "$stderr"
}

@test "the same server, a database of its name and a customer's own are refused" {
	local from to db
	from=$(side) to=$(away) db=$(database_of acme)
	[ "$from" = old ] || copyhold route switch acme --to old --by copy --yes
	try route switch acme --to new --by copy --yes
	assert_exit 1
	assert_err "error[refused]: tenant \"acme\" cannot be switched to \"new\": server: PostgreSQL 15, the server that it is on (and 1 more: --dry-run)
  hint:  Move to its other address: --by same."
	su_psql other "CREATE DATABASE $db"
	try route switch acme --to other --by copy --yes
	su_psql other "DROP DATABASE $db"
	assert_exit 1
	assert_err "error[refused]: tenant \"acme\" cannot be switched to \"other\": names: database \"$db\" of tenant \"acme\" is there already
  hint:  See what it is; if nobody needs it, remove it on \"other\"."
}

parked_until() { catalogue "SELECT parked_until FROM route WHERE tenant = 'acme'"; }
has_lapsed() { [ "$(date +%s%3N)" -gt "$(parked_until)" ]; }

# NAME: the number of that boundary in a switch of acme; it ends where it began.
boundary() {
	local from to
	from=$(side) to=$(away)
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to "$to" --by copy --yes >"$TEST_DIR/said"
	copyhold route switch acme --to "$from" --by copy --yes >"$TEST_DIR/said"
	grep -n "^$1\$" "$TEST_DIR/boundaries" | cut -d: -f1
}

@test "a copy that is not over in time is taken back, and nothing of it is left" {
	local at from to
	at=$(boundary switch.fence:acted)
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) VALUES (1), (2)"
	hold_at "$at" held route switch acme --to "$to" --by copy --drain 2s --max 6s --yes
	assert_equal "$(may_log_in "$from") $(may_log_in "$to")" "f f"
	until_true has_lapsed
	let_go "$HOLDER"
	assert_equal "$status" 5
	assert_contains 'error[limit]: tenant "acme" was parked for 6 s and the switch was not over' \
		"$(<"$TEST_DIR/held.err")"
	assert_equal "$(side) $(may_log_in "$from") $(left_on "$to")" "$from t 0|0"
	comes_in 2
}

@test "a lock that holds the copy up is not waited for longer than the tenant may be parked" {
	local at from to holder
	at=$(boundary switch.fence:acted)
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) VALUES (1), (2)"
	hold_at "$at" held route switch acme --to "$to" --by copy --drain 2s --max 12s --yes
	mkfifo "$TEST_DIR/lock"
	"$REPO/tools/cluster.sh" psql "$CLUSTERS" "$from" -d "$(database_of acme)" -q -At \
		<"$TEST_DIR/lock" >"$TEST_DIR/lock.out" 2>&1 3>&- &
	holder=$!
	exec 7>"$TEST_DIR/lock"
	echo "BEGIN; LOCK TABLE app.note; SELECT 'held';" >&7
	until_true grep -q held "$TEST_DIR/lock.out"
	let_go "$HOLDER"
	exec 7>&-
	wait "$holder"
	rm "$TEST_DIR/lock"
	assert_equal "$status" 5
	assert_contains 'error[limit]: the rows of tenant "acme" were not copied and compared in time: it is parked for 12 s at most' \
		"$(<"$TEST_DIR/held.err")"
	assert_equal "$(side) $(may_log_in "$from") $(left_on "$to")" "$from t 0|0"
	comes_in 2
}

@test "rows that come to the old side behind the fence are found by the comparison" {
	local at from to
	at=$(boundary switch.copy:acted)
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) VALUES (1), (2)"
	hold_at "$at" held route switch acme --to "$to" --by copy "${PATIENT[@]}" --yes
	rows_of "$from" acme "INSERT INTO app.note (n) VALUES (3)"
	let_go "$HOLDER"
	assert_equal "$status" 5
	assert_contains "error[different]: not the same rows: \"note\" has 3 rows on \"$from\" and 2 on \"$to\"" \
		"$(<"$TEST_DIR/held.err")"
	assert_equal "$(side) $(may_log_in "$from") $(left_on "$to")" "$from t 0|0"
	comes_in 3
}

@test "an old server that stays away is given up, and the tenant works on the new one" {
	local at from to step
	at=$(boundary switch.settle:done)
	from=$(side) to=$(away)
	rows_of "$from" acme "INSERT INTO app.note (n) VALUES (1), (2)"
	hold_at "$at" held route switch acme --to "$to" --by copy --yes
	cluster_crash "$from"
	let_go "$HOLDER"
	assert_equal "$status" 4
	comes_in 2
	step=$(catalogue "SELECT run || '.' || id FROM step WHERE state = 'unknown'")
	try run resolve "$step" --as abandon --yes
	assert_exit 0
	try run resume "$(last_run)"
	assert_equal "$(catalogue "SELECT count(*) FROM step WHERE state NOT IN ('done', 'undone', 'abandoned')")" 0
	try login rotate acme app
	assert_exit 0
	cluster_start "$from"
	assert_equal "$(may_log_in "$from") $(side)" "f $to"
	try route switch acme --to "$from" --by copy --yes
	assert_exit 1
	assert_contains "names: database \"$(database_of acme)\" of tenant \"acme\" is there already" "$stderr"
}
