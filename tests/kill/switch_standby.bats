load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# A switch to a standby is killed at each boundary from the fence on (those before it are tried without
# a standby, too), then resumed or taken back, while somebody writes through the gateway.  After a
# promotion the server that was left becomes the standby.
setup_file() {
	clusters_setup
	cluster_start old --set fsync=off
	home_setup
	switch_setup
	standby_start standby
	switch_cluster standby 127.0.0.1 "$(cluster_port standby)" >"$MANIFESTS/standby.yaml"
	copyhold apply -f "$MANIFESTS" --yes
	su_psql old 'GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO copyhold' copyhold
	until_true standby_ready standby
	gateway_start
	export GATEWAY
	GATEWAY_URI=$(copyhold route resolve acme)
	export GATEWAY_URI
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to standby --yes
	follow_again
}

teardown_file() {
	gateway_stop
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	rows_of "$(side)" acme "DELETE FROM app.note"
}

teardown() { rm -f "$TEST_DIR/go"; }

side() { catalogue "SELECT cluster FROM route"; }
other() { [ "$1" = old ] && echo standby || echo old; }

standby_ready() {
	[ "$(su_psql "$1" "SELECT has_function_privilege('copyhold', 'pg_promote(boolean, integer)',
		'EXECUTE')" copyhold)" = t ]
}

# The server that the tenant has left follows the one that it is on.
follow_again() {
	standby_start "$(other "$(side)")" "$(side)"
	until_true standby_ready "$(other "$(side)")"
}

may_log_in() { su_psql "$1" "SELECT rolcanlogin FROM pg_roles WHERE rolname = '$(role_of acme)'"; }
recovers() { su_psql "$1" "SELECT pg_is_in_recovery()"; }
move_boundary() { grep -n '^switch.move:done$' "$TEST_DIR/boundaries" | cut -d: -f1; }
first_boundary() { grep -n '^switch.drain:acted$' "$TEST_DIR/boundaries" | cut -d: -f1; }

# N SIDE: the tenant is there alone: the other server follows, or keeps it out.
assert_there() {
	echo "killed at $1, $(name_of "$1")"
	assert_equal "$(catalogue "SELECT t.cluster, r.cluster, r.state FROM tenant t, route r")" "$2|$2|open"
	assert_equal "$(catalogue "SELECT count(*) FROM step WHERE state NOT IN ('done','undone','abandoned')")" 0
	assert_equal "$(may_log_in "$2") $(recovers "$2")" "t f"
	[ "$(recovers "$(other "$2")")" = t ] || assert_equal "$(may_log_in "$(other "$2")")" f
	assert_equal "$(psql -X -q -At "$GATEWAY_URI" -c "SELECT 'in'")" in
}

@test "killed at any boundary and resumed, the tenant is on the promoted server and no write was lost" {
	local n to
	begin_writer "$(side)"
	for ((n = $(first_boundary); n <= $(boundaries); n++)); do
		to=$(other "$(side)")
		kill_at "$n" "$to"
		resume_or_tell "$n"
		assert_there "$n" "$to"
		follow_again
	done
	end_writer "$(side)"
}

@test "killed at any boundary and taken back, it is where it was; past the promotion there is no way back" {
	local n to from past=0 status
	begin_writer "$(side)"
	for ((n = $(first_boundary); n <= $(move_boundary); n++)); do
		from=$(side)
		to=$(other "$from")
		kill_at "$n" "$to"
		status=$(go_on undo)
		if [ "$status" = 0 ]; then
			[ "$past" = 0 ]
			assert_there "$n" "$from"
		else
			past=1
			resume_or_tell "$n"
			assert_there "$n" "$to"
			follow_again
		fi
	done
	[ "$past" = 1 ]
	end_writer "$(side)"
}

@test "the old or the new server or all workers killed in the promotion and after it: one side has the tenant and its rows" {
	local n victim from to
	rows_of "$(side)" acme "INSERT INTO app.note (n) SELECT generate_series(1, 10)"
	for n in $(grep -nE '^switch\.(promote:(intent|acted|done)|move:done|open:(intent|acted))$' "$TEST_DIR/boundaries" | cut -d: -f1); do
		for victim in from to workers; do
			from=$(side)
			to=$(other "$from")
			[ "$victim" = workers ] || victim=${!victim}
			echo "$victim killed at $n, $(name_of "$n")"
			hold_at "$n" held route switch acme --to "$to" --yes
			killed "$victim"
			let_go "$HOLDER"
			ends
			until_true comes_in 10
			assert_there "$n" "$(side)"
			follow_again
		done
	done
}
