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

# Workers and servers' backends die under it: connections may be lost, and nobody sees what is another's.
@test "clients whose workers and server connections are killed lose those, and see nothing else" {
	local pid n=0
	"$(dirname "$COPYHOLD_BIN")/tests/lib/storm" "$TEST_DIR/logins" "${STORM_KILLS:-8000}" "${SEED:-1}" 48 15 kills \
		>"$TEST_DIR/killed" 2>&1 3>&- &
	pid=$!
	while [ "$n" -lt 24 ] && kill -0 "$pid" 2>/dev/null; do
		n=$((n + 1))
		nap 0.1
		su_psql bj-1 "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2) a" >/dev/null
		[ $((n % 8)) != 0 ] || pkill -KILL -o -P "$(gateway_pid gw)" || true
	done
	wait "$pid" || {
		cat "$TEST_DIR/killed"
		return 1
	}
	cat "$TEST_DIR/killed"
	grep -q ": 0 wrong; " "$TEST_DIR/killed"
	[ "$(sed -n 's/.*; \([0-9]*\) lost$/\1/p' "$TEST_DIR/killed")" -gt 0 ]
}

@test "when all have left nothing is counted any more" {
	until_true nobody_there
}

nobody_there() {
	[ "$(copyhold gateway status -o json | jq -c '[map(.clients), map(.active), map(.waiting)] | map(add)')" = "[0,0,0]" ]
}
