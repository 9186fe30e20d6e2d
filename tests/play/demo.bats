load ../lib/home

setup_file() {
	home_setup
	export COPYHOLD_DEMO=$TEST_DIR/demo
}

teardown_file() {
	"$REPO/tools/demo.sh" stop
	home_teardown
}

demo() { "$REPO/tools/demo.sh" "$@"; }

as_root() { [ "$(id -u)" = 0 ] || skip "machines are pretended by root"; }

@test "the demo takes tenants of every mode on, loads and verifies them" {
	run --separate-stderr demo start
	assert_exit 0
	assert_contains "copyhold tenant verify globex"
	assert_contains "copyhold tenant verify initech"
	assert_contains "copyhold tenant verify acme"
	assert_contains "copyhold tenant verify hooli"
	assert_contains "copyhold tenant verify vandelay"
	assert_contains "everything is left running"
}

@test "services answer from their tenants' databases on pretended machines, in the newer release" {
	as_root
	eval "$(demo env)"
	try service list stark -o json
	assert_exit 0
	assert_equal "$(jq -c '[.[] | [.host, .service, .release, .state]] | unique' <<<"$output")" \
		'[["stark-1","web","1.0.1","running"],["stark-2","web","1.0.1","running"]]'
	try service list wayne -o json
	for port in $(jq '.[].frontPort' <<<"$output" | sort -u); do
		assert_equal "$(curl -sS "http://127.0.0.1:$port/" | jq -c '[.release, .accounts]')" '["1.0.1",0]'
	done
	try plan -f "$MANIFESTS"
	assert_exit 0
	assert_out "nothing to do: 24 as they should be"
}

@test "its environment leads to a tenant's data" {
	eval "$(demo env)"
	try route resolve acme --direct
	assert_exit 0
	assert_lacks "$ACME_DB_PASSWORD"
	assert_equal "$(psql -X -At "$output" -c "SELECT count(*) FROM contact")" 600
	try route resolve globex --direct
	assert_exit 0
	assert_equal "$(psql -X -At "$output" -c "SELECT count(*) FROM activity")" 1500
}

@test "two tenants of one shared database see their own rows alone" {
	eval "$(demo env)"
	try route resolve hooli --direct
	assert_exit 0
	assert_equal "$(psql -X -At "$output" -c "SELECT count(*) FROM contact")" 0
	try route resolve vandelay --direct
	assert_exit 0
	assert_equal "$(psql -X -At "$output" -c "SELECT count(*) FROM contact")" 600
	assert_equal "$(psql -X -At "$output" -c "SELECT DISTINCT x_segment FROM account")" new
}

@test "a second run has nothing to do" {
	run --separate-stderr demo start
	assert_exit 0
	assert_contains "bj-1: nothing to do, it runs on port"
	assert_contains "acme-db: nothing to do, it is set up"
	assert_contains "globex: nothing to do, its data is loaded"
}

@test "a run after the servers were stopped brings them back with their data" {
	"$REPO/tools/cluster.sh" stop "$COPYHOLD_DEMO" bj-1
	"$REPO/tools/cluster.sh" stop "$COPYHOLD_DEMO" acme-db --immediate
	run --separate-stderr demo start
	assert_exit 0
	assert_contains "acme: nothing to do, its data is loaded"
	eval "$(demo env)"
	try route resolve acme --direct
	assert_equal "$(psql -X -At "$output" -c "SELECT count(*) FROM contact")" 600
}

@test "a folder that is a link is refused" {
	ln -s "$TEST_DIR" "$TEST_DIR/link"
	COPYHOLD_DEMO=$TEST_DIR/link run --separate-stderr demo start
	assert_exit 1
	assert_err "demo: $TEST_DIR/link is not a folder of yours: remove it, or choose another by\
 COPYHOLD_DEMO"
}

@test "stop leaves nothing" {
	socket=$(cat "$COPYHOLD_DEMO/bj-1/socket")
	[ -d "$socket" ]
	run --separate-stderr demo stop
	assert_exit 0
	assert_out "demo: everything is stopped and removed"
	[ ! -e "$COPYHOLD_DEMO" ]
	[ ! -e "$socket" ]
}
