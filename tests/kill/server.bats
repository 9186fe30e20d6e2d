load ../lib/home
load ../lib/cluster
load ../lib/wait
load chain

# What goes on in the server when its client is dead.
setup_file() {
	chain_servers
	chain_begin 0
	COPYHOLD_FAULT=list:$TEST_DIR/provision.boundaries chain_do 0 provision
	chain_between 0 provision
	chain_state 0 >"$TEST_DIR/provision.state"
	chain_statements 0 >"$TEST_DIR/provision.statements"
}

teardown_file() {
	[ -z "${LOCKER-}" ] || kill "$LOCKER" || true
	clusters_remove
	home_teardown
}

setup() { chain_enter; }

# N: the same end as the undisturbed run's.
assert_same_end() {
	chain_between "$1" provision
	assert_equal "$(chain_state "$1")" "$(cat "$TEST_DIR/provision.state")"
	assert_equal "$(chain_statements "$1")" "$(cat "$TEST_DIR/provision.statements")"
}

# As long as it stands no database can be made: CREATE DATABASE waits in the server.
block_creation() {
	mkfifo "$TEST_DIR/hold"
	"$REPO/tools/cluster.sh" psql "$CLUSTERS" vendor <"$TEST_DIR/hold" >/dev/null 3>&- &
	LOCKER=$!
	exec 7>"$TEST_DIR/hold"
	echo "BEGIN; LOCK TABLE pg_catalog.pg_database IN SHARE MODE;" >&7
	until_true lock_stands
}

lock_stands() {
	[ "$(chain_psql vendor postgres "SELECT count(*) FROM pg_locks WHERE granted
		AND relation = 'pg_database'::regclass AND mode = 'ShareLock'")" = 1 ]
}

let_create() {
	exec 7>&-
	rm -f "$TEST_DIR/hold"
	wait "$LOCKER" || true
	LOCKER=
}

creation_waits() {
	[ "$(chain_psql vendor postgres "SELECT count(*) FROM pg_stat_activity
		WHERE query LIKE 'CREATE DATABASE%' AND wait_event_type = 'Lock'")" = "$1" ]
}

# N: in the background.
begin_provision() {
	"$COPYHOLD_BIN" apply -f "$TEST_DIR/chain/$1/1.yaml" -t "d-$1" -t "c-$1" --yes \
		>/dev/null 2>&1 3>&- 7>&- &
	PROVISION=$!
}

kill_provision() {
	kill -KILL "$PROVISION"
	wait "$PROVISION" || true
}

# N: provisioning, killed while the server waits to make the database.
kill_while_creating() {
	chain_begin "$1"
	block_creation
	begin_provision "$1"
	until_true creation_waits 1
	kill_provision
}

@test "a database that is still being made when its client was killed is waited for, and made once" {
	local run
	kill_while_creating 1
	run=$(chain_last_run)
	let_create
	try run resume "$run"
	assert_exit 0
	assert_same_end 1
}

terminations() { grep -c 'terminating connection due to administrator command' "$CLUSTERS/vendor/log" || true; }
more_terminations() { [ "$(terminations)" -gt "$1" ]; }

@test "a creation that does not end is ended by the one that takes over" {
	local resumed before
	kill_while_creating 2
	before=$(terminations)
	copyhold run resume "$(chain_last_run)" >"$TEST_DIR/resumed" 2>&1 3>&- 7>&- &
	resumed=$!
	# the first creation is ended, the second one waits in its place
	until_true more_terminations "$before"
	until_true creation_waits 1
	let_create
	wait "$resumed"
	chain_between 2 provision
	assert_equal "$(chain_state 2)" "$(cat "$TEST_DIR/provision.state")"
}

@test "killed some milliseconds after the creation began, and resumed at once" {
	local at n=10 ms
	at=$(grep -n 'database.create:intent' "$TEST_DIR/provision.boundaries" | cut -d: -f1)
	for ms in 1 5 20 60; do
		n=$((n + 1))
		chain_begin "$n"
		COPYHOLD_FAULT=kill-after:$at:$ms chain_do "$n" provision >/dev/null 2>&1 || true
		try run resume "$(chain_last_run)"
		assert_exit 0
		assert_same_end "$n"
		chain_end "$n"
	done
}

folders() { ls "$CLUSTERS/vendor/data/base" | grep -cE '^[0-9]+$'; }
has_more_folders() { [ "$(folders)" -gt "$1" ]; }

# The process that makes a database, in $TEST_DIR/creator.
creator() {
	chain_psql vendor postgres "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%'
		AND state = 'active'" >"$TEST_DIR/creator" && [ -s "$TEST_DIR/creator" ]
}

@test "a server killed in the middle of a creation leaves a folder, which doctor reports" {
	local before backend
	try doctor --cluster v-0
	assert_contains "leftovers on v-0"
	# a template that takes a while to copy
	chain_psql vendor postgres "ALTER DATABASE copyhold_template ALLOW_CONNECTIONS true CONNECTION LIMIT -1"
	chain_psql vendor copyhold_template "CREATE TABLE public.big AS
		SELECT repeat('x', 2000) FROM generate_series(1, 100000)"
	chain_psql vendor postgres "ALTER DATABASE copyhold_template ALLOW_CONNECTIONS false CONNECTION LIMIT 0"
	chain_begin 20
	before=$(folders)
	begin_provision 20
	until_true creator # who it is is asked before it is half done, for it may soon be over
	backend=$(cat "$TEST_DIR/creator")
	until_true has_more_folders "$before"
	kill -KILL "$backend"
	kill_provision
	until_true grep -q "PID $backend) was terminated by signal 9" "$CLUSTERS/vendor/log"
	until_true chain_psql vendor postgres "SELECT 1"
	[ "$(folders)" -gt "$before" ]
	try doctor --cluster v-0
	assert_exit 1
	assert_contains "a crash left folders that no database owns: base/"
	try run resume "$(chain_last_run)"
	assert_exit 0
}
