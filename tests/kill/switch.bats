load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# A switch is killed at each of its boundaries, then resumed or taken back, while somebody writes
# through the gateway: no write fails, none is lost or doubled, and the tenant is on one side.
setup_file() {
	clusters_setup
	cluster_start old --set fsync=off
	home_setup
	switch_setup
	gateway_start
	export GATEWAY
	GATEWAY_URI=$(copyhold route resolve acme)
	export GATEWAY_URI
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to new --yes
	copyhold route switch acme --to old --yes
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

teardown() { rm -f "$TEST_DIR/go"; }

place() { catalogue "SELECT t.cluster, r.cluster, r.state FROM tenant t JOIN route r ON r.tenant = t.name"; }
other_side() { [ "$(place)" = "old|old|open" ] && echo new || echo old; }

# N SIDE: the tenant is there, open, and its login comes in; nothing is left to be done.
assert_there() {
	echo "killed at $1, $(name_of "$1")"
	assert_equal "$(place)" "$2|$2|open"
	assert_equal "$(su_psql old "SELECT rolcanlogin FROM pg_roles WHERE rolname = '$(role_of acme)'")" t
	assert_equal "$(catalogue "SELECT count(*) FROM step WHERE state NOT IN ('done','undone','abandoned')")" 0
	assert_equal "$(psql -X -q -At "$GATEWAY_URI" -c "SELECT 'in'")" in
}

@test "the undisturbed switch passes more than twenty boundaries of every kind" {
	local kind
	[ "$(boundaries)" -gt 20 ]
	for kind in run:recorded switch.park:done switch.drain:intent switch.fence.acted \
		switch.fence:acted switch.check:done switch.move:done switch.open:intent \
		switch.release:done switch.settle:done run:walked; do
		grep -q "^$kind\$" "$TEST_DIR/boundaries"
	done
}

@test "the intents of fence and check stand before the drain: no commit comes between them" {
	assert_equal "$(grep -E '^switch\.(drain|fence|check):(intent|acted)$' "$TEST_DIR/boundaries" | tr '\n' ' ')" \
		"switch.drain:intent switch.fence:intent switch.check:intent switch.drain:acted switch.fence:acted switch.check:acted "
}

@test "killed at any boundary and resumed, the tenant is on the new side and no write was lost" {
	local n to
	begin_writer old
	for ((n = 1; n <= $(boundaries); n++)); do
		to=$(other_side)
		kill_at "$n" "$to"
		resume_or_tell "$n"
		assert_there "$n" "$to"
	done
	end_writer old
}

@test "killed at any boundary and taken back, it is where it was; past the pivot it only goes on" {
	local n to from past=0 status
	begin_writer old
	for ((n = 1; n <= $(boundaries); n++)); do
		to=$(other_side)
		from=$([ "$to" = new ] && echo old || echo new)
		kill_at "$n" "$to"
		status=$(go_on undo)
		if [ "$status" = 0 ]; then
			[ "$past" = 0 ]
			assert_there "$n" "$from"
		else
			past=1
			resume_or_tell "$n"
			assert_there "$n" "$to"
		fi
	done
	[ "$past" = 1 ]
	end_writer old
}

@test "a server or all workers killed after any phase: the tenant is on one side, with its rows" {
	local n victim to side
	rows_of old acme "INSERT INTO app.note (n) SELECT generate_series(1, 10)"
	for n in $(grep -nE ':acted$|^switch\.(park|move|release):done$' "$TEST_DIR/boundaries" | cut -d: -f1); do
		for victim in workers old; do
			echo "$victim killed at $n, $(name_of "$n")"
			to=$(other_side)
			hold_at "$n" held route switch acme --to "$to" --yes
			killed "$victim"
			let_go "$HOLDER"
			ends
			side=$(catalogue "SELECT cluster FROM route")
			until_true comes_in 10
			assert_there "$n" "$side"
		done
	done
}
