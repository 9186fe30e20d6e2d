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
	sed -i 's/^  mode: dedicated/&\n  gateway: {pool: transaction, connections: 5}/' "$MANIFESTS/tenants.yaml"
	sed -i 's/^  mode: shared/&\n  gateway: {pool: transaction, connections: 5}/' "$MANIFESTS/tenants-shared.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw
	for tenant in globex initech acme hooli vandelay; do
		psql -X -q -d "$(gw "$tenant")" -c "INSERT INTO account (name, country) VALUES ('$tenant', 'CN')"
		printf '%s\t%s\n' "$(gw "$tenant")" "$tenant" >>"$TEST_DIR/logins"
	done
	gateway_warm globex acme
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# TRANSACTIONS CLIENTS [CANCELS]: the storm, which says itself what was wrong.
storm() {
	run "$(dirname "$COPYHOLD_BIN")/tests/lib/storm" "$TEST_DIR/logins" "$1" "${SEED:-1}" "${@:2}"
	echo "$output"
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": 0 wrong; "* ]]
}

@test "200,000 transactions of 48 clients each see what is theirs alone" {
	storm "${STORM:-200000}" 48
}

# Requests come through whichever worker, too late or in time; what comes after them is never hit.
@test "20,000 cancel requests reach the query that they are for, or nothing" {
	storm "${STORM_CANCELS:-29000}" 48 700
	[ "${STORM_CANCELS-}" ] || [ "$(sed -n 's/.* wrong; \([0-9]*\) cancel requests.*/\1/p' <<<"${lines[0]}")" -ge 20000 ]
}

@test "when all have left nothing is counted any more" {
	until_true nobody_there
}

nobody_there() {
	[ "$(copyhold gateway status -o json | jq -c '[map(.clients), map(.active), map(.waiting)] | map(add)')" = "[0,0,0]" ]
}
