load ../lib/home
load ../lib/cluster
load ../lib/shop

setup_file() {
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	copyhold apply -f "$MANIFESTS" --yes
}

teardown_file() {
	clusters_remove
	home_teardown
}

@test "a tenant of a shared database is not switched alone, and says what moves it" {
	local name
	export COPYHOLD_HOME=$TEST_DIR/home
	name=$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT shared FROM tenant WHERE name = 'acme'")
	try route switch acme --to vendor --yes
	assert_exit 1
	assert_err "error[refused]: tenant \"acme\" is in the shared database \"$name\", which moves as a whole, with all its tenants, when the address of its cluster changes
  hint:  Change the address of its cluster in the manifest, and apply it."
}
