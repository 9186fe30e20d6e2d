load ../lib/home
load ../lib/cluster
load chain

# The undisturbed chain is number 0; chain N has each of its commands killed at the command's N-th
# boundary, and resumed.
setup_file() {
	chain_servers
	chain_undisturbed
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { chain_enter; }

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
