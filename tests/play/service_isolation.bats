#!/usr/bin/env bats
# shellcheck disable=SC2154

# Two customers' services on one machine of the vendor's: neither reads the other's files,
# environment, sockets or passwords, and `tenant verify` proves it.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start a1 --owner acme
	host_start b1 --owner beta
	host_start v1
	home_setup
	exclusive_setup
	cluster_on acme-pg a1
	SERVER_PORT=$(free_port)
	cluster_on beta-pg b1
	PORT=$(free_port) PORT2=$(free_port)
	export PORT PORT2
	INSTANCES=1 bundle_shop 1.0.0 healthy '- {name: SHOP_KEY, value: canary-33c1}'
	MODE=hybrid tenant_shop acme acme-pg "v1:$PORT"
	MODE=hybrid tenant_shop beta beta-pg "v1:$PORT2"
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

# COMMAND...: as beta's user on the machine.
as_beta() {
	(cd / && setpriv --reuid="$(tenant_user v1 beta)" --regid="$(tenant_user v1 beta)" --init-groups "$@")
}

@test "both answer from their own databases, on the same machine" {
	assert_equal "$(ask "$PORT" /notes) $(ask "$PORT2" /notes)" "0 0"
	assert_equal "$(ps -o user= -p "$(instance_pids v1 acme)") $(ps -o user= -p "$(instance_pids v1 beta)")" \
		"$(tenant_user v1 acme) $(tenant_user v1 beta)"
}

@test "one tenant's user reads nothing of the other's" {
	local at pid
	at=$(tenant_home v1 acme)
	pid=$(instance_pids v1 acme)
	for what in "$at" "$at/releases" "$at/current/bin/web" "$at/slots/web.a/env" "$at/slots/web.a/pass" \
		"$at/front/haproxy.cfg" "$at/front/run/admin.sock" "/proc/$pid/environ"; do
		run as_beta cat "$what"
		[ "$status" -ne 0 ]
		assert_lacks canary-33c1
	done
	run as_beta kill -0 "$pid"
	[ "$status" -ne 0 ]
	assert_contains canary-33c1 "$(tr '\0' '\n' <"/proc/$pid/environ")$(cat "$at/slots/web.a/env")"
}

@test "verify tries it as the other tenant's user and as nobody" {
	local user
	user=$(tenant_user v1 beta)
	try tenant verify acme
	assert_exit 0
	for line in "list the releases as $user on v1" "read the passfile of web as $user on v1" \
		"read the environment of a process of web as $user on v1" \
		"connect to the front's control socket as $user on v1" "read the environment file of web as nobody on v1"; do
		assert_contains "  refused           $line"
	done
	assert_contains "  healthy           service web, instance 1, on v1"
}

@test "verify finds a folder that was opened by hand" {
	local at user
	at=$(tenant_home v1 acme)
	user=$(tenant_user v1 beta)
	chmod o+rx "$at" "$at/slots" "$at/slots/web.a"
	chmod o+r "$at/slots/web.a/env"
	try tenant verify acme
	assert_exit 1
	assert_contains "  got through       read the environment file of web as $user on v1"
	assert_contains "  got through       read the environment file of web as nobody on v1"
	chmod 0750 "$at" "$at/slots" "$at/slots/web.a"
	chmod 0400 "$at/slots/web.a/env"
	try tenant verify acme
	assert_exit 0
}

# COMMAND...: as beta's user, in the background, until beta_ends; its id is in $TAKER.
beta_runs() {
	local user
	user=$(tenant_user v1 beta)
	(cd / && exec setpriv --reuid="$user" --regid="$user" --init-groups "$@") >/dev/null 2>&1 3>&- &
	TAKER=$!
}
beta_ends() {
	kill -KILL "$TAKER"
	wait "$TAKER" || true
}
# PORT: beta's user answers there, as if it were acme.
beta_takes() {
	# shellcheck disable=SC2016 # python
	beta_runs /usr/bin/python3 -c 'import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"stolen")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()' "$1"
	until_true listened "$1"
}
listened() { ss -Htln "sport = :$1" | grep -q LISTEN; }
unlistened() { ! listened "$1"; }

@test "a neighbour that stops what verify tries does not count as refused, and does not hold it" {
	beta_runs /usr/bin/python3 -c 'import os
while True: os.kill(-1, 19)'
	until_true is_stopped "$(instance_pids v1 beta)"
	try tenant verify acme
	beta_ends
	as_beta /usr/bin/python3 -c 'import os; os.kill(-1, 18)'
	assert_exit 1
	assert_contains "  could not be tried"
	assert_contains " as $(tenant_user v1 beta) on v1"
	try tenant verify acme
	assert_exit 0
	assert_lacks "could not be tried"
}

@test "what is open on a machine that tenants share is said" {
	try tenant verify acme
	assert_contains "open without gateway"
	assert_contains "open to every user of the machine, found as unhealthy  listen on the port of an instance of web that does not run, on v1"
}

@test "an instance whose port a neighbour took is told, and apply moves it to another" {
	local port unit lost
	port=$(copyhold service list acme -o json | jq '.[0].port')
	unit=$(echo "$(host_root v1)"/service/*tenant.acme.web.*.1)
	sv -w 20 down "$unit"
	until_true unlistened "$port"
	beta_takes "$port"
	sv start "$unit" || true
	lost="has lost its port $port to user \"$(tenant_user v1 beta)\""
	assert_equal "$(copyhold service list acme -o json | jq -c '.[] | [.state, .health]')" \
		"$(jq -nc --arg lost "$lost" '["stopped", $lost]')"
	try tenant verify acme
	assert_exit 1
	assert_contains "$lost"
	try plan -f "$MANIFESTS"
	assert_contains "    ~ service web: instance 1 lost its port -> healthy (changed by hand)"
	try apply -f "$MANIFESTS" --yes
	beta_ends
	assert_exit 0
	assert_equal "$(ask "$PORT" /notes)" 0
	assert_equal "$(copyhold service list acme -o json | jq -c --argjson port "$port" '.[] | [.health, .port == $port]')" \
		'["ok",false]'
}

@test "a new release that a neighbour answers for is not healthy, and the front stays with the old one" {
	local ports=$BATS_TEST_TMPDIR/ports held code=0
	cp "$MANIFESTS/bundle-shop.yaml" "$BATS_TEST_TMPDIR/bundle"
	INSTANCES=1 DEADLINE=10s bundle_shop 1.1.0
	sed -i 's/exec: .*/exec: [sleep, "600"]/' "$MANIFESTS/bundle-shop.yaml"
	"$COPYHOLD_BIN" apply -f "$MANIFESTS" -t acme --yes >/dev/null 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	held=$!
	until_true next_ports "$ports"
	beta_takes "$(cat "$ports")"
	wait "$held" || code=$?
	beta_ends
	assert_equal "$code" 5
	assert_contains "instance 1 has lost its port $(cat "$ports") to user \"$(tenant_user v1 beta)\"" \
		"$(cat "$BATS_TEST_TMPDIR/err")"
	assert_equal "$(ask "$PORT" /notes)" 0
	cp "$BATS_TEST_TMPDIR/bundle" "$MANIFESTS/bundle-shop.yaml"
	echo 1.0.0 >"$TEST_DIR/shop/version"
}
# FILE: the ports of the slot that is being started.
next_ports() {
	local slot
	read -r slot <"$(host_root v1)/state/tenant/acme/services/web/next" &&
		sed -n 's/^ports //p' "$(host_root v1)/state/tenant/acme/slots/web.$slot" >"$1" && [ -s "$1" ]
}

@test "a service on a socket cannot be answered for, nor be reached past its front" {
	local at
	at=$(tenant_home v1 acme)
	INSTANCES=1 bundle_shop 1.2.0
	sed -i 's|exec: .*|exec: [bin/web, "at=$SOCKET"]\n      listen: socket|' "$MANIFESTS/bundle-shop.yaml"
	try apply -f "$MANIFESTS" -t acme --yes
	assert_exit 0
	assert_equal "$(ask "$PORT" /notes)" 0
	assert_contains "1.2.0 $at/sock/" "$(ask "$PORT")"
	assert_contains " at=$at/sock/" "$(ask "$PORT")"
	assert_equal "$(stat -c '%U %a' "$at/sock")" "$(tenant_user v1 acme) 710"
	assert_equal "$(find "$at/sock" -type s | wc -l)" 1
	try tenant verify acme
	assert_exit 0
	assert_contains "  refused           connect to an instance of web as $(tenant_user v1 beta) on v1"
	assert_lacks "listen on the port"
	try service restart acme web --yes
	assert_exit 0
	assert_equal "$(ask "$PORT" /notes)" 0
	assert_equal "$(find "$at/sock" -type s | wc -l)" 1
	try plan -f "$MANIFESTS" -t acme --detailed-exitcode
	assert_exit 0
}

@test "one tenant's duty cannot be asked for what is the other's" {
	local root
	root=$(host_root v1)
	run bash -c 'printf "hello %032d\n1 act aabb %s 0 service-drop ../../acme/services/web old\n" 0 "$2" |
		"$1/bin/copyhold-host" serve tenant/beta' - "$root" "$(cat "$root/state/tenant/beta/fence")"
	assert_contains "is no service's name"
	assert_equal "$(ask "$PORT" /notes)" 0
}

@test "when one leaves, the other goes on" {
	try tenant delete beta --now --no-backup --confirm beta
	assert_exit 0
	! id "$(tenant_user v1 beta)" 2>/dev/null
	[ ! -e "$(tenant_home v1 beta)" ]
	assert_equal "$(ls -A "$(host_root v1)/incoming")" "$(tail -n 1 "$(host_root v1)/state/tenant/acme/taken")"
	assert_equal "$(ask "$PORT" /notes)" 0
	try tenant verify acme
	assert_exit 0
	assert_lacks "$(host_prefix v1)beta"
}

@test "handed back, services and database go on without us, with a list of what is there" {
	local pid
	pid=$(instance_pids v1 acme)
	try tenant delete acme --hand-back --confirm acme
	assert_exit 0
	assert_equal "$(ask "$PORT" /notes)" 0
	assert_equal "$(instance_pids v1 acme)" "$pid"
	assert_equal "$(cat "$(host_root v1)/state/tenant/acme/handed-over")" \
		"$(cat "$(host_root v1)/state/tenant/acme/items")"
	assert_contains "user $(tenant_user v1 acme)
path $(tenant_home v1 acme)" "$(cat "$(host_root v1)/state/tenant/acme/handed-over")"
	assert_equal "$(ls -A "$(host_root v1)/incoming")" ""
	try bundle releases acme
	assert_exit 1
}
