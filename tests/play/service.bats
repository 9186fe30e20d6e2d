#!/usr/bin/env bats
# shellcheck disable=SC2154

# Services of a tenant as people see them: listed, read, begun anew, suspended; from a commit, and
# over a border.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	hosts_region there DE
	host_start h1 --owner acme
	host_start v1 --region there
	home_setup
	exclusive_setup
	cluster_on acme-pg h1
	PORT=$(free_port) PORT2=$(free_port)
	export PORT PORT2 SERVER_PORT
	bundle_shop 1.0.0
	git init -q "$TEST_DIR/repo"
	mkdir "$TEST_DIR/repo/shop"
	cp -R "$TEST_DIR/shop/." "$TEST_DIR/repo/shop"
	git -C "$TEST_DIR/repo" add -A
	git -C "$TEST_DIR/repo" -c user.name=t -c user.email=t@t commit -qm first
	tenant_shop acme acme-pg "h1:$PORT"
	copyhold apply -f "$MANIFESTS" --yes
}

teardown_file() {
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
}

fits() { python3 "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"; }

@test "list shows each instance, and what is printed as JSON fits the schema" {
	try service list acme -o json
	assert_exit 0
	fits serviceList <<<"$output"
	assert_equal "$(jq -c '[.[] | [.host, .service, .instance, .release, .state, .health, .slot]]' <<<"$output")" \
		'[["h1","web",1,"1.0.0","running","ok","a"],["h1","web",2,"1.0.0","running","ok","a"]]'
	assert_equal "$(jq -r '.[].pid' <<<"$output" | sort)" "$(instance_pids h1 acme | sort)"
	assert_equal "$(jq -r '.[].frontPort' <<<"$output" | sort -u)" "$PORT"
	copyhold bundle releases acme -o json | fits bundleReleases
	copyhold bundle show shop -o json | fits bundleShow
	copyhold bundle show shop -f "$MANIFESTS" -o json | fits bundleShow
	copyhold plan -f "$MANIFESTS" -o json | fits plan
}

@test "a bundle is shown as recorded and as its manifest would have it" {
	local recorded
	recorded=$(copyhold bundle show shop)
	assert_equal "$(copyhold bundle show shop -f "$MANIFESTS")" "$recorded"
	assert_contains "bundle    shop
version   1.0.0
source    $TEST_DIR/shop
files     4, " "$recorded"
	assert_contains "service   web: 2 instances, with the database, healthy by /health" "$recorded"
	try bundle show shopp
	assert_exit 1
	assert_err "error[not-found]: there is no bundle \"shopp\"
  hint:  Did you mean \"shop\"?"
}

@test "logs show what the service said, reading them is an event of the tenant's log" {
	try service logs acme web --lines 1
	assert_exit 0
	assert_contains " begins 1.0.0 healthy"
	assert_equal "$(wc -l <<<"$output")" 1
	try audit list -o json --limit 1
	assert_contains "service.logs"
	try service logs acme wep
	assert_exit 1
	assert_err "error[not-found]: there is no service \"wep\"
  hint:  Did you mean \"web\"?"
}

@test "logs that are followed go on with what comes" {
	local follower
	"$COPYHOLD_BIN" service logs acme web --follow >"$TEST_DIR/followed" 2>&1 3>&- &
	follower=$!
	until_true grep -q "begins 1.0.0" "$TEST_DIR/followed"
	for unit in "$(host_root h1)"/service/*tenant.acme.web.*.1; do sv -w 60 restart "$unit"; done
	until_true three_lines
	kill -TERM "$follower"
	wait "$follower"
	assert_equal "$(grep -c "begins 1.0.0 healthy" "$TEST_DIR/followed")" 3
}
three_lines() { [ "$(grep -c "begins" "$TEST_DIR/followed")" -ge 3 ]; }

@test "restart begins the instances anew, is a run, and loses no request" {
	local before
	before=$(instance_pids h1 acme)
	asker_start
	try service restart acme web
	assert_exit 0
	assert_contains ": 1 of 1 done"
	assert_equal "$(asker_stop)" "asked all answered 1.0.0"
	assert_equal "$(instance_pids h1 acme | wc -l)" 2
	assert_equal "$(sort <<<"$before" | comm -12 - <(instance_pids h1 acme | sort))" ""
	assert_equal "$(copyhold run list --limit 1 -o json | jq -r '.[0].verb')" "service restart"
	try service restart acme web --host h9
	assert_exit 1
	assert_err "error[not-found]: nothing runs for tenant \"acme\" on host \"h9\"
  hint:  See: copyhold bundle releases acme."
}

@test "a suspended tenant's services stand still, and come back with it" {
	try tenant suspend acme --yes
	assert_exit 0
	run ask "$PORT"
	assert_exit 7
	assert_equal "$(copyhold service list acme -o json | jq -r '.[].state' | sort -u)" stopped
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	try tenant resume acme
	assert_exit 0
	until_true ask "$PORT" /notes
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "a resume that failed on a host is done by the next one" {
	local taker
	copyhold tenant suspend acme --yes
	python3 -c '
import signal, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen()
print("listening", flush=True)
signal.alarm(120); signal.pause()' "$PORT" >"$TEST_DIR/taken" 3>&- &
	taker=$!
	until_true grep -q listening "$TEST_DIR/taken"
	try tenant resume acme
	kill "$taker"
	wait "$taker" || true
	assert_exit 1
	assert_contains "port $PORT is taken by another program on the host" "$stderr"
	assert_equal "$(copyhold tenant show acme -o json | jq -r .state)" active
	try tenant resume acme
	assert_exit 0
	until_true ask "$PORT" /notes
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "a commit gives the same release as the folder that it was made of" {
	local commit digest
	commit=$(git -C "$TEST_DIR/repo" rev-parse HEAD)
	digest=$(copyhold bundle show shop -o json | jq -r .digest)
	sed -i "s|source: .*|source: {git: $TEST_DIR/repo, commit: \"$commit\", path: shop}|" "$MANIFESTS/bundle-shop.yaml"
	echo "not committed" >"$TEST_DIR/repo/shop/bin/web"
	assert_equal "$(copyhold bundle show shop -f "$MANIFESTS" -o json | jq -r .digest)" "$digest"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_contains "~ bundle shop"
	assert_lacks "service web"
	sed -i "s|commit: \"[0-9a-f]*\"|commit: \"1234567890123456789012345678901234567890\"|" "$MANIFESTS/bundle-shop.yaml"
	try plan -f "$MANIFESTS"
	assert_exit 1
	assert_contains "error[not-found]: there is no commit 1234567890123456789012345678901234567890 in \"$TEST_DIR/repo\"" \
		"$stderr$output"
	bundle_shop 1.0.0
	copyhold apply -f "$MANIFESTS" --yes
}

@test "a port below 1024 is refused at plan, with what to do" {
	tenant_shop acme acme-pg "h1:443"
	try plan -f "$MANIFESTS"
	assert_exit 1
	assert_contains "error[refused]: port 443 of service \"web\" on host \"h1\" is one that only root may take" \
		"$stderr$output"
	tenant_shop acme acme-pg "h1:$PORT"
}

@test "a service in another country is refused until it is accepted, and the plan says what crosses" {
	MODE=hybrid tenant_shop acme acme-pg "h1:$PORT" "v1:$PORT2"
	sed -i 's/name: acme}/name: beta}/; s/cluster: acme-pg/cluster: acme-pg/' "$MANIFESTS/tenant-acme.yaml"
	sed -i 's/  owner: acme/  owner: beta/' "$MANIFESTS/h1.yaml"
	try plan -f "$MANIFESTS" -t beta
	assert_exit 64
	assert_contains "service \"web\" of tenant \"beta\" on host \"v1\" would take its data across the border, from CN to DE" \
		"$stderr"
	echo "  acceptCrossings: [DE]" >>"$MANIFESTS/tenant-acme.yaml"
	try plan -f "$MANIFESTS" -t beta
	assert_exit 0
	assert_contains "+ release beta@v1: shop 1.0.0; crosses CN -> DE: objects note"
	assert_contains "+ release beta@h1: shop 1.0.0
"
	sed -i 's/  owner: beta/  owner: acme/' "$MANIFESTS/h1.yaml"
	tenant_shop acme acme-pg "h1:$PORT"
}

# WORD... COMMAND...: the command tells of WORD.
tells() {
	local verb=$1 before
	shift
	before=$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT max(seq) FROM event")
	copyhold "$@"
	assert_equal "$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" \
		"SELECT count(*) > 0 FROM event WHERE verb = '$verb' AND seq > $before")" 1
}

@test "what is done to hosts and services is told in the logs" {
	tells service.logs service logs acme web --lines 1
	tells release.switch service restart acme web --yes
	rm "$(host_root h1)/bin/copyhold-host"
	tells host.prepare host check h1 --fix --yes
	bundle_shop 9.0.0
	tells release.unpack apply -f "$MANIFESTS" --yes
	previous=$(copyhold bundle releases acme -o json | jq -r '[.[] | select(.state == "previous")][0].version')
	tells release.record bundle rollback acme --to "$previous" --yes
}
