# Many clients of many tenants on shared servers: nobody sees a row, a setting or a statement of another.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	estate_shared
	sed -i 's/^  mode: dedicated/&\n  gateway: {pool: transaction, connections: 3}/' "$MANIFESTS/tenants.yaml"
	sed -i 's/^  mode: shared/&\n  gateway: {pool: transaction, connections: 3}/' "$MANIFESTS/tenants-shared.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

@test "200,000 transactions of 48 clients each see what is theirs alone" {
	local tenant
	for tenant in globex initech acme hooli vandelay; do
		psql -X -q -d "$(gw "$tenant")" -c "INSERT INTO account (name, country) VALUES ('$tenant', 'CN')"
		printf '%s\t%s\n' "$(gw "$tenant")" "$tenant" >>"$TEST_DIR/logins"
	done
	run "$(dirname "$COPYHOLD_BIN")/tests/lib/storm" "$TEST_DIR/logins" "${STORM:-200000}" "${SEED:-1}" 48
	echo "$output"
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": 0 wrong; "* ]]
}
