load ../lib/home
load ../lib/cluster
load chain
load chain_shared

# As tests/kill/matrix.bats, in mode shared.
setup_file() {
	chain_servers
	chain_undisturbed
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { chain_enter; }

@test "the undisturbed chain in mode shared passes more than three hundred boundaries" {
	[ "$(cat "$TEST_DIR"/*.boundaries | wc -l)" -gt 300 ]
}

# The last two follow its own end.
@test "the rows of a neighbour are the same after every command" {
	local command
	grep '^neighbour' "$TEST_DIR/provision.state" >"$TEST_DIR/neighbour"
	[ "$(wc -l <"$TEST_DIR/neighbour")" = 6 ]
	for command in "${chain_commands[@]:0:${#chain_commands[@]}-2}"; do
		grep '^neighbour' "$TEST_DIR/$command.state" | diff "$TEST_DIR/neighbour" -
	done
}

@test "in mode shared, killed at any of the first eight boundaries and resumed, the end is the same" {
	chains_killed 1 8
}

@test "in mode shared, killed at any of the next eight and resumed, the end is the same" {
	chains_killed 9 16
}

@test "in mode shared, killed at any later boundary and resumed, the end is the same" {
	chains_killed 17 "$(most_boundaries)"
}
