load ../lib/home
load ../lib/cluster
load chain

# The undisturbed chain is number 0; chain N has each of its commands killed at the command's N-th
# boundary, and resumed.
setup_file() {
	local command
	chain_servers
	chain_begin 0
	for command in "${chain_commands[@]}"; do
		COPYHOLD_FAULT=list:$TEST_DIR/$command.boundaries chain_do 0 "$command"
		chain_between 0 "$command"
		chain_state 0 >"$TEST_DIR/$command.state"
		chain_statements 0 >"$TEST_DIR/$command.statements"
	done
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { chain_enter; }

boundaries() { wc -l <"$TEST_DIR/$1.boundaries"; }

# N COMMAND: killed there and resumed, it leaves what the undisturbed one leaves.
kill_and_resume() {
	local status=0 log=$TEST_DIR/chain/$1/$2
	COPYHOLD_FAULT=kill:$1 chain_do "$1" "$2" >"$log.out" 2>&1 || status=$?
	if [ "$status" != 137 ]; then
		echo "$2: not killed at boundary $1 but ended with $status" && cat "$log.out"
		return 1
	fi
	copyhold run resume "$(chain_last_run)" >"$log.out" 2>&1 || {
		echo "$2: killed at boundary $1, not resumed: $?" && cat "$log.out"
		return 1
	}
	chain_between "$1" "$2"
	chain_state "$1" >"$log.state"
	chain_statements "$1" >"$log.statements"
	diff -u "$TEST_DIR/$2.state" "$log.state" >"$log.diff" &&
		diff -u "$TEST_DIR/$2.statements" "$log.statements" >>"$log.diff" || {
		echo "$2: killed at boundary $1 and resumed, the end differs:" && cat "$log.diff"
		return 1
	}
}

# N: no command after the last one that has so many boundaries.
chain_killed() {
	local command last=
	for command in "${chain_commands[@]}"; do
		[ "$(boundaries "$command")" -lt "$1" ] || last=$command
	done
	chain_begin "$1"
	for command in "${chain_commands[@]}"; do
		if [ "$(boundaries "$command")" -ge "$1" ]; then
			kill_and_resume "$1" "$command" || return
		else
			chain_do "$1" "$command" >/dev/null 2>&1 || return
			chain_between "$1" "$command"
		fi
		[ "$command" != "$last" ] || break
	done
	chain_end "$1"
}

# FROM TO: the numbers of the chains; says which failed, and why.
chains_killed() {
	local n failed=0
	for ((n = $1; n <= $2; n++)); do
		chain_killed "$n" >"$TEST_DIR/said" || {
			failed=$((failed + 1))
			echo "-- chain $n" && head -n 60 "$TEST_DIR/said"
		}
	done
	[ "$failed" = 0 ]
}

most_boundaries() {
	local command most=0
	for command in "${chain_commands[@]}"; do
		[ "$(boundaries "$command")" -le "$most" ] || most=$(boundaries "$command")
	done
	echo "$most"
}

@test "the undisturbed chain passes more than two hundred boundaries of every kind" {
	local kind
	[ "$(cat "$TEST_DIR"/*.boundaries | wc -l)" -gt 200 ]
	for kind in run:recorded intent acted done; do
		grep -q "$kind\$" "$TEST_DIR"/*.boundaries
	done
}

@test "killed at any of the first ten boundaries of each command and resumed, the end is the same" {
	chains_killed 1 10
}

@test "killed at any of the next ten and resumed, the end is the same" {
	chains_killed 11 20
}

@test "killed at any later boundary and resumed, the end is the same" {
	chains_killed 21 "$(most_boundaries)"
}
