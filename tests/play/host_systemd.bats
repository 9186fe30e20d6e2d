# shellcheck shell=bash disable=SC2154

# A machine whose process 1 is systemd: the units that the helper makes, run by it.  The tests go on from each
# other's machine.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/machine
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	machine_start m1 systemd '' --owner acme
	home_setup
	exclusive_setup
	PORT=$(free_port)
	export PORT
	cluster_on acme-pg m1
	bundle_shop 1.0.0
	tenant_shop acme acme-pg "m1:$PORT"
	machine_do m1 "getent passwd" >"$TEST_DIR/passwd"
	machine_do m1 "ls /etc/systemd/system" >"$TEST_DIR/units"
}

teardown_file() {
	[ -z "${TEST_DIR-}" ] || : >"$TEST_DIR/stop"
	[ -z "${HOSTS-}" ] || machine_remove m1
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
	PREFIX=$(host_prefix m1)
}

# The units of ours, and how they are.
units() { machine_do m1 "systemctl list-units --all --plain --no-legend --no-pager '$PREFIX*' | sed 's/  */ /g'" | cut -d ' ' -f 1-4; }
unit() { echo "${PREFIX}$1.service loaded active running"; }

# SLOT: the server, the front and both instances run.
all_run() {
	assert_equal "$(units)" "$(unit cluster.acme-pg.pg)
$(unit tenant.acme.front)
$(unit "tenant.acme.web.$1.1")
$(unit "tenant.acme.web.$1.2")"
}

# SLOT: after a start of the machine, which begins them one after the other.
all_come_up() {
	until_true eval '[[ "$(ask "$PORT" 2>/dev/null)" == "1.1.0 "* ]]'
	until_true eval '[ "$(ask "$PORT" /notes 2>/dev/null)" = 0 ]'
	until_true all_run "$1"
	all_run "$1"
}

@test "one apply makes a server and services, each a unit that systemd runs" {
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	all_run a
	assert_contains "1.0.0 " "$(ask "$PORT")"
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	try service list acme -o json
	assert_equal "$(jq -r '.[] | "\(.instance) \(.release) \(.state) \(.health)"' <<<"$output")" "1 1.0.0 running ok
2 1.0.0 running ok"
	try service logs acme web
	assert_contains "begins 1.0.0 healthy"
}

@test "a setting that needs it restarts the server, under systemd" {
	sed -i 's/max_connections, value: 30/max_connections, value: 31/' "$MANIFESTS/cluster-acme-pg.yaml"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(machine_do m1 "cd / && setpriv --reuid=${PREFIX}pg-acme-pg --regid=${PREFIX}pg-acme-pg --clear-groups \
		psql -XAtq -h /var/lib/copyhold/clusters/acme-pg/run -p $SERVER_PORT -U postgres -c 'SHOW max_connections'")" 31
	all_run a
}

@test "an upgrade under systemd loses no request" {
	bundle_shop 1.1.0
	asker_start
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(asker_stop)" "asked all answered 1.0.0 1.1.0"
	all_run b
}

@test "a unit that somebody stopped is found and started again" {
	machine_do m1 "systemctl stop ${PREFIX}tenant.acme.web.b.1 ${PREFIX}cluster.acme-pg.pg"
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 2
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_contains "1.1.0 " "$(ask "$PORT")"
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "a machine that was started anew runs all of it again" {
	all_run a
	machine_stop m1
	[ -z "$(ask "$PORT" 2>/dev/null)" ]
	machine_again m1
	all_come_up a
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "deleted and left, the machine is as it was before" {
	# A unit that ends badly is no more remembered than the others.
	machine_do m1 "printf '#!/bin/sh\ntrap \"exit 1\" USR1\nwhile :; do sleep 0.1; done\n' \
		>/var/lib/copyhold/tenants/acme/front/start && systemctl restart ${PREFIX}tenant.acme.front"
	try tenant delete acme --now --no-backup --confirm acme --yes
	assert_exit 0
	mkdir "$TEST_DIR/empty"
	cp "$MANIFESTS/region-here.yaml" "$TEST_DIR/empty"
	copyhold apply -f "$TEST_DIR/empty" --prune --yes --confirm-removal >/dev/null 2>&1
	try apply -f "$TEST_DIR/empty" --prune --yes --confirm-removal
	assert_exit 0
	try host list -o json
	assert_out "[]"
	assert_equal "$(units)" ""
	assert_equal "$(machine_do m1 'ls -A /var/lib/copyhold 2>&1')" \
		"ls: cannot access '/var/lib/copyhold': No such file or directory"
	machine_do m1 'getent passwd' | diff "$TEST_DIR/passwd" -
	machine_do m1 'ls /etc/systemd/system' | diff "$TEST_DIR/units" -
}

@test "what was handed over runs on when the host is left, and after a restart of the machine" {
	copyhold apply -f "$MANIFESTS" --yes >/dev/null 2>&1
	try tenant delete acme --now --no-backup --hand-back --confirm acme --yes
	assert_exit 0
	copyhold apply -f "$TEST_DIR/empty" --prune --yes --confirm-removal >/dev/null 2>&1
	try apply -f "$TEST_DIR/empty" --prune --yes --confirm-removal
	assert_exit 0
	assert_contains 'host "m1": what was handed over runs on below "/var/lib/copyhold"' "$stderr"
	assert_equal "$(machine_do m1 'ls /var/lib/copyhold')" "clusters
log
tenants"
	all_run a
	machine_stop m1
	machine_again m1
	all_come_up a
}
