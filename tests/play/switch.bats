load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# One home and one estate for all: each test begins with tenant acme on "old" and leaves it there.
setup_file() {
	PYTHON=/usr/bin/python3
	"$PYTHON" -c 'import jsonschema' 2>/dev/null || PYTHON=python3
	export PYTHON
	clusters_setup
	cluster_start old --set max_prepared_transactions=2
	cluster_start other
	home_setup
	switch_setup
	gateway_start
	export GATEWAY
	FIRST_PORT=$GATEWAY_PORT
	export FIRST_PORT
	GATEWAY_URI=$(copyhold route resolve acme)
	DIRECT_URI=$(copyhold route resolve acme --direct)
	export GATEWAY_URI DIRECT_URI
}

teardown_file() {
	gateway_stop
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	rows_of old acme "DELETE FROM app.note"
}

stop_second() {
	[ -n "${SECOND-}" ] || return 0
	kill "$SECOND"
	wait "$SECOND" || true
	SECOND=
}

teardown() {
	release_client
	stop_second
	[ "$(cluster_of acme)" = old ] || copyhold route switch acme --to old --end-sessions --yes
}

fits() {
	"$PYTHON" "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"
}
cluster_of() { catalogue "SELECT cluster FROM route WHERE tenant = '$1'"; }
count_of() { rows_of "${2:-old}" "$1" "SELECT count(*) FROM app.note"; }

# URI: a client that is in a transaction; it goes on by `tell`.
begin_client() {
	mkfifo "$TEST_DIR/client"
	psql -X -q -At "$1" <"$TEST_DIR/client" >"$TEST_DIR/client.out" 2>&1 3>&- &
	CLIENT=$!
	exec 7>"$TEST_DIR/client"
	tell "BEGIN; INSERT INTO note (n) VALUES (1); SELECT 'begun';"
	until_true grep -q begun "$TEST_DIR/client.out"
}

tell() { echo "$1" >&7; }

release_client() {
	[ -n "${CLIENT-}" ] || return 0
	exec 7>&-
	wait "$CLIENT" || true
	rm -f "$TEST_DIR/client"
	CLIENT=
}

# Four writers through the gateway, 400 rows in all; they have begun.
begin_writers() {
	echo "INSERT INTO note (n) VALUES (7);" >"$TEST_DIR/write.sql"
	pgbench -n -c 4 -t 100 -R 200 -f "$TEST_DIR/write.sql" "$GATEWAY_URI" \
		>"$TEST_DIR/pgbench" 2>&1 3>&- &
	WRITERS=$!
	until_true has_rows 20
}

has_rows() { [ "$(count_of acme)" -ge "$1" ]; }

# Nobody has seen an error, and what was said to be there is there.
end_writers() {
	wait "$WRITERS"
	assert_contains "number of transactions actually processed: 400/400" "$(<"$TEST_DIR/pgbench")"
	assert_contains "number of failed transactions: 0 (0.000%)" "$(<"$TEST_DIR/pgbench")"
	assert_equal "$(count_of acme "${1:-old}")" 400
}

@test "a dry run says what was looked at and what would be done, and changes nothing" {
	local before
	before=$(catalogue "SELECT max(seq) FROM event; SELECT max(id) FROM run; SELECT * FROM route")
	try route switch acme --to new --dry-run --drain 1s --max 5s
	assert_exit 0
	assert_out 'acme: from old to new, by same
  ok mode: "new" takes mode dedicated
  ok residency: region "here" is in CN
  ok version: PostgreSQL 15, C.UTF-8 C.UTF-8 UTF8
  ok data: the same server and database at another address
  ok setup: it is set up, and our login has its rights
  ok login: "app" logs in there
  ok sessions: none that cannot be handed over
  ok prepared transactions: none
  1. park the route of "acme" for 5 s at most
  2. let the transactions of "acme" come to an end within 1 s
  3. let nobody of "acme" into its database on "old"
  4. see that "new" has the same data and takes writes
  5. route "acme" to "new", a new epoch  [no way back after this]
  6. let the logins of "acme" in on "new"
  7. release the route of "acme"
  8. wait until every gateway has released it'
	assert_equal "$(catalogue "SELECT max(seq) FROM event; SELECT max(id) FROM run; SELECT * FROM route")" \
		"$before"
	try route switch acme --to new --dry-run -o json
	fits routeSwitchPlan <<<"$output"
}

@test "writers through the gateway see no error while their tenant goes there and back" {
	begin_writers
	try route switch acme --to new "${PATIENT[@]}" --yes
	assert_exit 0
	[[ $output =~ ^acme\ is\ on\ new\ now\ \(epoch\ [0-9]+,\ run\ [0-9]+\):\ parked\ [0-9]+\ ms$ ]]
	try route switch acme --to old "${PATIENT[@]}" --yes -o json
	assert_exit 0
	fits routeSwitch <<<"$output"
	end_writers
}

@test "each switch is an event that tells from where, to where and how long the tenant was parked" {
	local run event
	copyhold route switch acme --to new --yes
	run=$(catalogue "SELECT max(id) FROM run")
	event=$(catalogue "SELECT CAST(bytes AS TEXT) FROM event WHERE run = $run AND verb = 'route.switched'")
	assert_contains '"before":"old"' "$event"
	assert_contains '"object":"route/acme","outcome":"ok"' "$event"
	[[ $event =~ \"after\":\"new,\ parked\ [0-9]+\ ms\" ]]
}

@test "plan tells of a switch, apply does not take it back, and a third place is refused" {
	local run
	copyhold route switch acme --to new --yes
	run=$(catalogue "SELECT max(id) FROM run")
	try plan -f "$MANIFESTS"
	assert_exit 0
	assert_out "= tenant acme: dedicated on new, placement differs since run $run
nothing to do: 6 as they should be"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(cluster_of acme)" new
	mkdir -p "$TEST_DIR/third"
	cp "$MANIFESTS"/*.yaml "$TEST_DIR/third"
	switch_cluster third 127.0.0.1 "$(cluster_port old)" >"$TEST_DIR/third/third.yaml"
	switch_tenant acme third >"$TEST_DIR/third/acme.yaml"
	try plan -f "$TEST_DIR/third" -t acme
	assert_exit 1
	assert_contains 'tenant "acme" is dedicated on new and the manifest says dedicated on third' "$stderr"
	switch_tenant acme new >"$TEST_DIR/third/acme.yaml"
	rm "$TEST_DIR/third/third.yaml"
	try apply -f "$TEST_DIR/third" --yes
	assert_exit 0
	try plan -f "$TEST_DIR/third"
	assert_out "nothing to do: 6 as they should be"
	copyhold route switch acme --to old --yes
	copyhold apply -f "$MANIFESTS" --yes
}

@test "a transaction that does not end in time keeps the tenant where it is, and goes on" {
	begin_client "$GATEWAY_URI"
	try route switch acme --to new --drain 100ms --yes
	assert_exit 5
	assert_out "acme is on old (epoch $(catalogue "SELECT epoch FROM route"));\
 see: copyhold run show $(catalogue "SELECT max(id) FROM run")"
	assert_contains 'error[limit]: 1 session of tenant "acme" did not come to an end of its transaction in 100 ms' "$stderr"
	assert_contains 'hint:  See them: copyhold gateway clients acme; give them more time with --drain, or end them with --end-sessions.' "$stderr"
	tell "COMMIT;"
	release_client
	assert_equal "$(count_of acme)" 1
	assert_equal "$(cluster_of acme)" old
	run -0 psql -X -q -At "$GATEWAY_URI" -c "SELECT count(*) FROM note"
	assert_out 1
}

@test "with --end-sessions it is ended instead, and the others go on" {
	begin_client "$GATEWAY_URI"
	try route switch acme --to new --drain 100ms --end-sessions --yes
	assert_exit 0
	tell "COMMIT;"
	release_client
	assert_equal "$(count_of acme)" 0
	assert_equal "$(cluster_of acme)" new
	run -0 psql -X -q -At "$GATEWAY_URI" -c "SELECT count(*) FROM note"
	assert_out 0
}

@test "a connection past the gateway is ended, and none comes in behind the fence" {
	local at=0
	begin_client "$DIRECT_URI"
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to new --yes
	tell "COMMIT;"
	release_client
	assert_equal "$(count_of acme)" 0
	copyhold route switch acme --to old --yes
	at=$(grep -n "^switch.fence:acted$" "$TEST_DIR/boundaries" | cut -d: -f1)
	hold_at "$at" held route switch acme --to new "${PATIENT[@]}" --yes
	run psql -X -q -At "$DIRECT_URI" -c "SELECT 1"
	assert_exit 2
	assert_contains 'is not permitted to log in'
	let_go "$HOLDER"
	assert_equal "$status" 0
	run -0 psql -X -q -At "$DIRECT_URI" -c "SELECT 'in'"
	assert_out in
}

parked_until() { catalogue "SELECT parked_until FROM route"; }
has_lapsed() { [ "$(date +%s%3N)" -gt "$(parked_until)" ]; }

@test "a switch that is not over when the tenant has waited for --max is taken back" {
	local at
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to new --yes
	copyhold route switch acme --to old --yes
	at=$(grep -n "^switch.fence:acted$" "$TEST_DIR/boundaries" | cut -d: -f1)
	hold_at "$at" held route switch acme --to new --drain 2s --max 6s --yes
	until_true has_lapsed
	let_go "$HOLDER"
	assert_equal "$status" 5
	assert_contains 'error[limit]: tenant "acme" was parked for 6 s and the switch was not over' \
		"$(<"$TEST_DIR/held.err")"
	assert_equal "$(cluster_of acme)" old
	run -0 psql -X -q -At "$GATEWAY_URI" -c "SELECT count(*) FROM note"
	assert_out 0
}

asked_in_vain() { [ "$(grep -c "no connection to its database" "$TEST_DIR/gateway.log")" -gt "$1" ]; }

@test "a client that comes while a late switch still has the old side closed waits for its end" {
	local at before client
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to new --yes
	copyhold route switch acme --to old --yes
	at=$(grep -n "^switch.fence:acted$" "$TEST_DIR/boundaries" | cut -d: -f1)
	hold_at "$at" held route switch acme --to new --drain 2s --max 6s --yes
	until_true has_lapsed
	before=$(grep -c "no connection to its database" "$TEST_DIR/gateway.log") || true
	psql -X -q -At "$GATEWAY_URI" -c "SELECT 'in'" >"$TEST_DIR/late" 2>&1 3>&- &
	client=$!
	until_true asked_in_vain "$before"
	assert_equal "$(cat "$TEST_DIR/late")" ""
	let_go "$HOLDER"
	assert_equal "$status" 5
	wait "$client" || true
	assert_equal "$(cat "$TEST_DIR/late")" in
}

@test "a worker that does not take the park in keeps the tenant where it is" {
	local worker id
	worker=$(pgrep -P "$GATEWAY" | head -n 1)
	id=$(catalogue "SELECT id FROM gateway")
	kill -STOP "$worker"
	try route switch acme --to new --yes
	kill -CONT "$worker"
	assert_exit 5
	assert_contains "error[limit]: not every gateway has parked tenant \"acme\": gateway $id: not all of its workers have the change yet" "$stderr"
	assert_equal "$(cluster_of acme)" old
	run -0 psql -X -q -At "$GATEWAY_URI" -c "SELECT 'in'"
	assert_out in
}

@test "two gateways wait for each other: writers of both see no error" {
	local first=$GATEWAY writers
	begin_writers
	gateway_start
	SECOND=$GATEWAY GATEWAY=$first
	assert_equal "$(catalogue "SELECT count(*) FROM gateway")" 2
	echo "INSERT INTO note (n) VALUES (8);" >"$TEST_DIR/more.sql"
	pgbench -n -c 2 -t 100 -R 200 -f "$TEST_DIR/more.sql" \
		"${GATEWAY_URI/:$FIRST_PORT/:$GATEWAY_PORT}" \
		>"$TEST_DIR/pgbench2" 2>&1 3>&- &
	writers=$!
	until_true has_rows 60
	try route switch acme --to new "${PATIENT[@]}" --yes
	assert_exit 0
	wait "$writers" "$WRITERS"
	stop_second
	assert_contains "number of failed transactions: 0 (0.000%)" "$(<"$TEST_DIR/pgbench")"
	assert_contains "number of failed transactions: 0 (0.000%)" "$(<"$TEST_DIR/pgbench2")"
	assert_equal "$(count_of acme)" 600
}

@test "a session that cannot be handed over keeps the tenant where it is" {
	begin_client "$GATEWAY_URI"
	tell "COMMIT; LISTEN news; SELECT 'listens';"
	until_true grep -q listens "$TEST_DIR/client.out"
	try route switch acme --to new --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "new": sessions: these cannot be handed over: "app" (LISTEN)
  hint:  Let them end, or end them: --end-sessions.'
	try route switch acme --to new --end-sessions --yes
	assert_exit 0
}

# FUNCTION BODY: what no gateway can see; it runs as the superuser, for tenants may do neither.
hidden() {
	rows_of old acme "CREATE OR REPLACE FUNCTION app.$1() RETURNS text SECURITY DEFINER LANGUAGE plpgsql
		AS \$\$ BEGIN $2; RETURN 'kept'; END \$\$; GRANT EXECUTE ON FUNCTION app.$1() TO PUBLIC"
}

# FUNCTION TEXT: a session that has called it keeps the tenant where it is, for the server is asked.
refused_for() {
	begin_client "$GATEWAY_URI"
	tell "COMMIT; SELECT app.$1();"
	until_true grep -q kept "$TEST_DIR/client.out"
	assert_equal "$(copyhold route pins acme -o json | jq length)" 0
	try route switch acme --to new --yes
	release_client
	until_true nothing_is_kept
	assert_exit 1
	assert_err "error[refused]: tenant \"acme\" cannot be switched to \"new\": sessions: these cannot be handed over: $2
  hint:  Let them end, or end them: --end-sessions."
	assert_equal "$(cluster_of acme)" old
	rows_of old acme "DROP FUNCTION app.$1()"
}

# The gateway has brought in order, or closed, what the session had.
nothing_is_kept() {
	[ "$(rows_of old acme "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
		(SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r')")" = "0|0" ]
}

@test "an advisory lock or a temporary table that a function has taken is found on the server" {
	hidden takes_lock "PERFORM pg_advisory_lock(1)"
	refused_for takes_lock "1 on the server with advisory locks"
	hidden makes_table "CREATE TEMPORARY TABLE aside (n integer)"
	refused_for makes_table "1 temporary tables"
	try route switch acme --to new --dry-run
	assert_contains "ok sessions: none that cannot be handed over"
}

@test "a prepared transaction keeps the tenant where it is" {
	rows_of old acme "BEGIN; INSERT INTO app.note (n) VALUES (3); PREPARE TRANSACTION 'half'"
	try route switch acme --to new --yes
	rows_of old acme "ROLLBACK PREPARED 'half'"
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "new": prepared transactions: 1 are left in the database
  hint:  COMMIT PREPARED or ROLLBACK PREPARED them.'
	assert_equal "$(cluster_of acme)" old
}

@test "another server, another country and the same place are refused" {
	mkdir -p "$TEST_DIR/more"
	cp "$MANIFESTS"/*.yaml "$TEST_DIR/more"
	switch_cluster other 127.0.0.1 "$(cluster_port other)" >"$TEST_DIR/more/other.yaml"
	switch_cluster far localhost "$(cluster_port old)" abroad >"$TEST_DIR/more/far.yaml"
	copyhold cluster setup-script other -f "$TEST_DIR/more" | su_psql other -
	copyhold apply -f "$TEST_DIR/more" --yes
	try route switch acme --to other --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "other": data: "other" has no database of tenant "acme" that follows the one on "old"
  hint:  Name the cluster of another address of the same server, or of its streaming standby, or have the rows copied: --by copy.'
	try route switch acme --to far --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "far": residency: region "abroad" is in SG and the data must stay in CN
  hint:  Name a cluster in that country.'
	try route switch acme --to old --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" is on "old" already
  hint:  Name another cluster: --to.'
	try route switch acme --to nowhere --yes
	assert_exit 1
	assert_contains 'error[not-found]' "$stderr"
	try route switch acme --to new --by standby --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "new": standby: it is no standby
  hint:  Name a cluster that is a standby of the old one.'
	copyhold apply -f "$MANIFESTS" --prune --yes --confirm-removal
}
