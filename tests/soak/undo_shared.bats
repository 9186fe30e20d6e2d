load ../lib/home
load ../lib/cluster
load ../kill/chain
load ../kill/chain_shared
load undo

# As tests/soak/undo.bats, in mode shared.
setup_file() {
	chain_servers
	undo_undisturbed
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { chain_enter; }

@test "in mode shared, killed at any boundary and undone, everything is as it was before" { chains_undone; }
