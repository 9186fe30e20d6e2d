load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# A switch to a server that has nothing of the tenant is killed at each of its boundaries, then resumed
# or taken back, while somebody writes through the gateway: no write fails, none is lost or doubled, and
# the tenant is on one side, with nothing left on the other.
setup_file() {
	clusters_setup
	cluster_start old --set fsync=off
	cluster_start other --set fsync=off
	home_setup
	switch_setup
	switch_cluster other 127.0.0.1 "$(cluster_port other)" >"$MANIFESTS/other.yaml"
	copyhold cluster setup-script other -f "$MANIFESTS" | su_psql other -
	copyhold apply -f "$MANIFESTS" --yes
	gateway_start
	export GATEWAY SWITCH_BY=copy
	GATEWAY_URI=$(copyhold route resolve acme)
	export GATEWAY_URI
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to other --by copy --yes
	copyhold route switch acme --to old --by copy --yes
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
across() { [ "$1" = old ] && echo other || echo old; }

# SERVER: its databases and roles of the tenant.
left_on() {
	local id
	id=$(catalogue "SELECT id FROM tenant")
	su_psql "$1" "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 't\_$id%'),
		(SELECT count(*) FROM pg_roles WHERE rolname LIKE 't\_$id%')"
}

may_log_in() { su_psql "$1" "SELECT rolcanlogin FROM pg_roles WHERE rolname = '$(role_of acme)'"; }

# N: at no moment do both sides let the tenant in.
assert_one_side() {
	[ "$(may_log_in old) $(may_log_in other)" != "t t" ] || {
		echo "killed at $1, $(name_of "$1"): both sides are open"
		return 1
	}
}

# N SIDE: the tenant is there, open, and its login comes in; nothing is left to be done, nor on the
# other side.
assert_there() {
	echo "killed at $1, $(name_of "$1")"
	assert_equal "$(catalogue "SELECT t.cluster, r.cluster, r.state FROM tenant t, route r")" "$2|$2|open"
	assert_equal "$(catalogue "SELECT count(*) FROM step WHERE state NOT IN ('done','undone','abandoned')")" 0
	assert_equal "$(may_log_in "$2") $(left_on "$2") $(left_on "$(across "$2")")" "t 1|2 0|0"
	assert_equal "$(psql -X -q -At "$GATEWAY_URI" -c "SELECT 'in'")" in
}

@test "the undisturbed copy passes more than thirty boundaries of every kind" {
	local kind
	[ "$(boundaries)" -gt 30 ]
	for kind in run:recorded roles.create:done database.create.sent shape.create:done switch.park:done \
		switch.fence:acted switch.copy:intent switch.copy.acted switch.copy:acted switch.check:done \
		switch.move:done switch.open:intent switch.settle:done database.drop.sent roles.drop:acted \
		run:walked; do
		grep -q "^$kind\$" "$TEST_DIR/boundaries"
	done
}

@test "killed at any boundary and resumed, the tenant is on the new side and no write was lost" {
	local n to
	begin_writer "$(side)"
	for ((n = 1; n <= $(boundaries); n++)); do
		to=$(across "$(side)")
		kill_at "$n" "$to"
		assert_one_side "$n"
		resume_or_tell "$n"
		assert_there "$n" "$to"
	done
	end_writer "$(side)"
}

@test "killed at any boundary and taken back, it is where it was; past the pivot it only goes on" {
	local n to from past=0 status
	begin_writer "$(side)"
	for ((n = 1; n <= $(boundaries); n++)); do
		from=$(side)
		to=$(across "$from")
		kill_at "$n" "$to"
		assert_one_side "$n"
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
	end_writer "$(side)"
}

@test "the old or the new server or all workers killed after any phase: the tenant is on one side, with its rows" {
	local n victim to
	rows_of "$(side)" acme "INSERT INTO app.note (n) SELECT generate_series(1, 10)"
	for n in $(grep -nE ':acted$|^switch\.(park|move|release):done$' "$TEST_DIR/boundaries" | cut -d: -f1); do
		for victim in old other workers; do
			echo "$victim killed at $n, $(name_of "$n")"
			to=$(across "$(side)")
			hold_at "$n" held route switch acme --to "$to" --by copy --yes
			killed "$victim"
			assert_one_side "$n"
			let_go "$HOLDER"
			ends
			until_true comes_in 10
			assert_there "$n" "$(side)"
		done
	done
}

@test "a server that stays away: the old side is open while the new one is gone, and the other way round" {
	local at from to
	rows_of "$(side)" acme "INSERT INTO app.note (n) SELECT generate_series(1, 10)"
	from=$(side) to=$(across "$from")
	at=$(grep -n '^switch.fence:acted$' "$TEST_DIR/boundaries" | cut -d: -f1)
	hold_at "$at" held route switch acme --to "$to" --by copy --yes
	cluster_crash "$to"
	let_go "$HOLDER"
	assert_equal "$status $(may_log_in "$from")" "4 t"
	until_true comes_in 10
	cluster_start "$to" --set fsync=off
	go_on resume
	assert_there "$at" "$from"
	at=$(grep -n '^switch.settle:done$' "$TEST_DIR/boundaries" | cut -d: -f1)
	hold_at "$at" held route switch acme --to "$to" --by copy --yes
	cluster_crash "$from"
	let_go "$HOLDER"
	assert_equal "$status $(may_log_in "$to")" "4 t"
	until_true comes_in 10
	cluster_start "$from" --set fsync=off
	assert_equal "$(go_on resume)" 0
	assert_there "$at" "$to"
}
