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
	chmod 0750 "$at" "$at/slots" "$at/slots/web.a"
	chmod 0400 "$at/slots/web.a/env"
	try tenant verify acme
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
	try bundle releases acme
	assert_exit 1
}
