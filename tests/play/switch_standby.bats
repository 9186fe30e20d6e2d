load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# A tenant goes to a streaming standby of its server, which is promoted for it: each test has servers
# of its own.
setup() {
	clusters_setup
	cluster_start old
	home_setup
	switch_setup
	standby_start standby
	switch_cluster standby 127.0.0.1 "$(cluster_port standby)" >"$MANIFESTS/standby.yaml"
}

teardown() {
	gateway_stop
	clusters_remove
	home_teardown
}

grant_promotion() {
	su_psql old 'GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO copyhold' copyhold
	until_true promotion_granted
}

promotion_granted() {
	[ "$(su_psql standby "SELECT has_function_privilege('copyhold', 'pg_promote(boolean, integer)',
		'EXECUTE')" copyhold)" = t ]
}

has_rows() { [ "$(rows_of "$1" acme "SELECT count(*) FROM app.note")" -ge "$2" ]; }
may_log_in() { su_psql "$1" "SELECT rolcanlogin FROM pg_roles WHERE rolname = '$(role_of acme)'"; }

# The boundary at which the old side is closed and nothing more is done; as many come before it whatever
# the new side is.
end_of_fence() {
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to new --yes >"$TEST_DIR/said"
	copyhold route switch acme --to old --yes >"$TEST_DIR/said"
	grep -n '^switch.fence:acted$' "$TEST_DIR/boundaries" | cut -d: -f1
}

@test "a standby is promoted under writers that see no error, and the old server stays closed" {
	local uri writers
	copyhold apply -f "$MANIFESTS" --yes
	grant_promotion
	gateway_start
	uri=$(copyhold route resolve acme)
	echo "INSERT INTO note (n) VALUES (7);" >"$TEST_DIR/write.sql"
	pgbench -n -c 4 -t 100 -R 200 -f "$TEST_DIR/write.sql" "$uri" >"$TEST_DIR/pgbench" 2>&1 3>&- &
	writers=$!
	until_true has_rows standby 20
	try route switch acme --to standby "${PATIENT[@]}" --yes
	assert_exit 0
	wait "$writers"
	assert_contains "number of transactions actually processed: 400/400" "$(<"$TEST_DIR/pgbench")"
	assert_contains "number of failed transactions: 0 (0.000%)" "$(<"$TEST_DIR/pgbench")"
	assert_equal "$(rows_of standby acme "SELECT count(*) FROM app.note")" 400
	assert_equal "$(may_log_in old) $(may_log_in standby)" "f t"
	assert_equal "$(su_psql standby 'SELECT pg_is_in_recovery()')" f
	try plan -f "$MANIFESTS"
	assert_exit 0
	assert_contains "= tenant acme: dedicated on standby, placement differs since run"
}

startup_process() { su_psql standby "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"; }
asks() { [ "$(su_psql standby "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%$1%'
	AND usename = 'copyhold'")" -gt 0 ]; }
has_lapsed() { [ "$(date +%s%3N)" -gt "$(catalogue "SELECT parked_until FROM route")" ]; }
asked_in_vain() { grep -q "no connection to its database" "$TEST_DIR/gateway.log"; }

@test "a promotion that outlives who has asked for it is waited for before anything is taken back" {
	local at run startup undo client
	copyhold apply -f "$MANIFESTS" --yes
	grant_promotion
	gateway_start --wait 5m
	at=$(($(end_of_fence) + $(grep -c '^switch.drain' "$TEST_DIR/boundaries") + 1))
	hold_at "$at" held route switch acme --to standby --max 12s --yes
	startup=$(startup_process)
	as_server kill -STOP "$startup"
	kill -CONT "$HOLDER"
	until_true asks "pg_promote(true"
	kill -KILL "$HOLDER"
	wait "$HOLDER" || true
	run=$(last_run)
	until_true has_lapsed
	psql -X -q -At "$(copyhold route resolve acme)" -c "SELECT 'in'" >"$TEST_DIR/client.out" 2>&1 3>&- &
	client=$!
	until_true asked_in_vain
	copyhold run undo "$run" --yes >"$TEST_DIR/undo.out" 2>&1 3>&- &
	undo=$!
	until_true asks pg_try_advisory_lock
	assert_equal "$(may_log_in old)" f
	as_server kill -CONT "$startup"
	status=0
	wait "$undo" || status=$?
	assert_equal "$status" 3
	assert_equal "$(may_log_in old) $(su_psql standby 'SELECT pg_is_in_recovery()')" "f f"
	try run resume "$run" --yes
	assert_exit 0
	assert_equal "$(may_log_in old) $(may_log_in standby)" "f t"
	assert_equal "$(catalogue "SELECT cluster, state FROM route")" "standby|open"
	wait "$client" || true
	assert_equal "$(cat "$TEST_DIR/client.out")" in
}

@test "without the right to promote it is refused with the GRANT" {
	copyhold apply -f "$MANIFESTS" --yes
	try route switch acme --to standby --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "standby": promotion: our login may not promote the standby
  hint:  A superuser runs on "old", in database "copyhold": GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO "copyhold";'
}

@test "neighbours of the tenant are not left behind" {
	switch_tenant globex >"$MANIFESTS/globex.yaml"
	copyhold apply -f "$MANIFESTS" --yes
	grant_promotion
	try route switch acme --to standby --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "acme" cannot be switched to "standby": neighbours: a promotion would part it from 1 other tenants of the old server
  hint:  Move the others first, or change the cluster'"'"'s address for all.'
}

@test "a standby that does not replay leaves the tenant where it is, with its rows" {
	copyhold apply -f "$MANIFESTS" --yes
	grant_promotion
	rows_of old acme "INSERT INTO app.note (n) VALUES (1)"
	until_true has_rows standby 1
	su_psql standby "SELECT pg_wal_replay_pause()"
	try route switch acme --to standby --drain 1s --max 5s --yes
	assert_exit 5
	assert_contains 'error[limit]: standby "standby" has not replayed what "old" has written' "$stderr"
	assert_equal "$(may_log_in old)" t
	assert_equal "$(catalogue "SELECT cluster, state FROM route")" "old|open"
	assert_equal "$(su_psql standby 'SELECT pg_is_in_recovery()')" t
}

@test "a standby that dies behind the fence leaves the tenant where it is" {
	copyhold apply -f "$MANIFESTS" --yes
	grant_promotion
	hold_at "$(end_of_fence)" held route switch acme --to standby --yes
	assert_equal "$(may_log_in old)" f
	cluster_crash standby
	let_go "$HOLDER"
	assert_equal "$status" 5
	assert_equal "$(may_log_in old)" t
	assert_equal "$(catalogue "SELECT cluster, state FROM route")" "old|open"
}

@test "an old server that dies in the middle is opened again when it is back" {
	local run
	copyhold apply -f "$MANIFESTS" --yes
	grant_promotion
	hold_at "$(end_of_fence)" held route switch acme --to standby --yes
	cluster_crash old
	let_go "$HOLDER"
	assert_equal "$status" 4
	run=$(catalogue "SELECT max(id) FROM run")
	cluster_start old
	try run undo "$run" --yes
	assert_exit 0
	assert_equal "$(may_log_in old)" t
	assert_equal "$(su_psql standby 'SELECT pg_is_in_recovery()')" t
	assert_equal "$(catalogue "SELECT cluster, state FROM route")" "old|open"
}
