#!/usr/bin/env bats
# shellcheck disable=SC2154

# A release put on a host, others after it, everything removed again: each killed at every boundary
# and resumed or undone, and its SSH sessions cut at every step.  The end is the same, each effect
# there once.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	home_setup
	export KEEP=1 INSTANCES=1 DATABASE=false UPGRADES=$TEST_DIR/upgrades
	exclusive_setup
	cluster_on acme-pg h1
	PORT=$(free_port)
	export PORT
	without_services
	copyhold apply -f "$MANIFESTS" --yes
	echo 0 >"$UPGRADES"
	first
	away # what was kept of a first one is kept of every other
	ending >"$TEST_DIR/nothing.end"
	undisturbed first
	upgrade
	upgrade # both slots were used once: from here on one is as another
	undisturbed upgrade
	undisturbed away
}

teardown_file() {
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
}

without_services() {
	rm -f "$MANIFESTS/bundle-shop.yaml"
	printf 'apiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: acme}\n' >"$MANIFESTS/tenant-acme.yaml"
	printf 'spec: {model: notes, mode: exclusive, cluster: acme-pg}\n' >>"$MANIFESTS/tenant-acme.yaml"
}

# With $CUT the sessions are cut at that boundary.
apply() {
	if [ -n "${CUT-}" ]; then
		hold_at "$CUT" cut apply -f "$MANIFESTS" --yes
		host_drop h1
		let_go "$HOLDER"
		return "$status"
	fi
	copyhold apply -f "$MANIFESTS" --yes >/dev/null 2>&1
}

# The commands, to be said again by `apply`.
away() {
	without_services
	apply
}
first() {
	bundle_shop 1.0.0
	tenant_shop acme acme-pg "h1:$PORT"
	apply
}
upgrade() {
	echo $(($(cat "$UPGRADES") + 1)) >"$UPGRADES"
	bundle_shop "1.0.$(cat "$UPGRADES")"
	apply
}

# What stands there and what is recorded, without what tells one time from another.
ending() {
	{
		host_state h1 | grep '^tenants\|^service\|^state/tenant' | grep -v '/steps/\|/failed\|/guards'
		copyhold bundle releases acme -o json | jq -c '.[] | [.host, .version, .state]'
		if [ -e "$MANIFESTS/bundle-shop.yaml" ]; then
			copyhold service list acme -o json | jq -c '.[] | [.service, .instance, .release, .health]'
			ask "$PORT" | cut -d ' ' -f 1
		fi
		copyhold plan -f "$MANIFESTS" | tail -n 1
	} | sed 's/1\.0\.[0-9]*/V/g; s/web\.[ab]/web.S/g' | sort -u
}

undisturbed() {
	COPYHOLD_FAULT=list:$TEST_DIR/$1.boundaries "$1"
	ending >"$TEST_DIR/$1.end"
}

go_on() {
	local run
	run=$(copyhold run list --limit 1 -o json | jq -r '.[0] | select(.state != "done") | .id')
	[ -z "$run" ] || copyhold run resume "$run" >"$TEST_DIR/resumed" 2>&1
}

# COMMAND N: killed there and resumed.
killed() {
	COPYHOLD_FAULT=kill:$2 "$1" || true
	go_on
	ending >"$TEST_DIR/$1.$2"
	diff -u "$TEST_DIR/$1.end" "$TEST_DIR/$1.$2"
}

# COMMAND N: its sessions are cut there; it ends well by itself, or is resumed.
severed() {
	local code=0
	CUT=$2 "$1" || code=$?
	case $code in
	0) ;;
	3 | 4) go_on ;;
	*) echo "cut at boundary $2, it ended with $code" && cat "$TEST_DIR/cut.err" && return 1 ;;
	esac
	ending >"$TEST_DIR/$1.$2"
	diff -u "$TEST_DIR/$1.end" "$TEST_DIR/$1.$2" || { echo "cut at boundary $2, the end differs" && return 1; }
}

# COMMAND N BACK: killed there and undone, all is as before it, whose manifests BACK puts back; past
# the switch the undo is refused, and a resume ends it.  Says which of the two it was.
undone() {
	local run
	COPYHOLD_FAULT=kill:$2 "$1" || true
	run=$(copyhold run list --limit 1 -o json | jq -r '.[0] | select(.state == "running") | .id')
	[ -n "$run" ] || { echo "not killed at boundary $2" && return 1; }
	try run undo "$run" --yes
	if [ "$status" = 0 ]; then
		"$3"
		ending >"$TEST_DIR/$1.$2"
		diff -u "$TEST_DIR/$3.end" "$TEST_DIR/$1.$2" || { echo "killed at boundary $2 and undone, it differs" && return 1; }
		assert_equal "$(copyhold run list --limit 1 -o json | jq -r '.[0].state')" undone
		echo back >>"$TEST_DIR/$1.ways"
		return
	fi
	[ "$status" = 3 ] || assert_exit 1
	assert_contains "error[refused]: " "$stderr"
	assert_contains "Go forward: copyhold run resume" "$stderr"
	go_on
	ending >"$TEST_DIR/$1.$2"
	diff -u "$TEST_DIR/$1.end" "$TEST_DIR/$1.$2" || { echo "killed at boundary $2 and resumed, it differs" && return 1; }
	echo on >>"$TEST_DIR/$1.ways"
}

# Manifests as before such a command.
nothing() { without_services; }
before_upgrade() {
	echo $(($(cat "$UPGRADES") - 1)) >"$UPGRADES"
	bundle_shop "1.0.$(cat "$UPGRADES")"
}

# COMMAND: the numbers of the boundaries where a cut is tried.
cuts() { grep -nE '^release\..*:(intent|acted)$' "$TEST_DIR/$1.boundaries" | cut -d : -f 1; }

# COMMAND: the numbers of the boundaries that are of a release; what comes before them is tried elsewhere.
boundaries() { awk '/^release\./ { print NR }' "$TEST_DIR/$1.boundaries"; }

@test "each command passes the boundaries of its steps" {
	local kind
	for kind in begin unpack start healthy switch record; do
		grep -q "^release.$kind:" "$TEST_DIR/first.boundaries"
	done
	for kind in unpack start healthy switch retire prune record; do
		grep -q "^release.$kind:" "$TEST_DIR/upgrade.boundaries"
	done
	grep -q "^release.leave:acted" "$TEST_DIR/away.boundaries"
	[ "$(grep -h '^release\.' "$TEST_DIR"/{first,upgrade,away}.boundaries | wc -l)" -gt 30 ]
}

@test "an upgrade, killed at any boundary and resumed, ends the same" {
	local n
	first
	upgrade
	upgrade
	for n in $(boundaries upgrade); do
		killed upgrade "$n"
	done
	away
}

@test "a first release, killed at any boundary and resumed, ends the same" {
	local n
	for n in $(boundaries first); do
		killed first "$n"
		away
	done
}

@test "the removal of everything, killed at any boundary and resumed, ends the same" {
	local n
	for n in $(boundaries away); do
		first
		killed away "$n"
	done
}

@test "a first release, killed at any boundary and undone, leaves nothing, or goes on past its switch" {
	local n failed=0
	for n in $(boundaries first); do
		undone first "$n" nothing || failed=1
		[ "$(tail -n 1 "$TEST_DIR/first.ways")" = back ] || away
	done
	assert_equal "$(sort -u "$TEST_DIR/first.ways" | tr '\n' ' ')" "back on "
	return "$failed"
}

@test "an upgrade, killed at any boundary and undone, is as before, or goes on past its switch" {
	local n failed=0
	first
	upgrade
	upgrade
	cp "$TEST_DIR/upgrade.end" "$TEST_DIR/before_upgrade.end"
	for n in $(boundaries upgrade); do
		undone upgrade "$n" before_upgrade || failed=1
	done
	assert_equal "$(sort -u "$TEST_DIR/upgrade.ways" | tr '\n' ' ')" "back on "
	away
	return "$failed"
}

@test "its sessions cut before and after each step, a first release and its removal end the same" {
	local n failed=0
	for n in $(cuts first); do
		severed first "$n" || failed=1
		away
	done
	for n in $(cuts away); do
		first
		severed away "$n" || failed=1
	done
	return "$failed"
}

@test "its sessions cut before and after each step, an upgrade ends the same" {
	local n failed=0
	first
	upgrade
	upgrade
	for n in $(cuts upgrade); do
		severed upgrade "$n" || failed=1
	done
	away
	return "$failed"
}
