load ../lib/home
load ../lib/cluster
load ../kill/chain
load undo

setup_file() {
	chain_servers
	undo_undisturbed
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { chain_enter; }

@test "killed at any boundary and undone, everything is as it was before" { chains_undone; }
