#!/usr/bin/env bats
# shellcheck disable=SC2154

# Releases of a bundle on a tenant's hosts: put there, healthy before anybody reaches them, switched
# to without a lost request, taken back.  The tests go on from each other's state.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	host_start h2 --owner acme
	home_setup
	export SHOP_KEY=$'first line of canary-7d1e\nsecond, with \'quotes\' and $HOME'
	exclusive_setup
	cluster_on acme-pg h1
	PORT=$(free_port) PORT2=$(free_port)
	export PORT PORT2 SERVER_PORT
	shop 1.0.0
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

# VERSION [BEHAVIOUR]
shop() {
	bundle_shop "$1" "${2:-healthy}" "- {name: SHOP_KEY, secret: {secretRef: \"env:SHOP_KEY\"}}"
}

apply() { try apply -f "$MANIFESTS" --yes; }
nothing_to_do() {
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	assert_contains "nothing to do"
}

@test "a first apply runs the bundle beside its database, and a second finds nothing to do" {
	assert_equal "$(ask "$PORT" /notes)" 0
	assert_contains "1.0.0 " "$(ask "$PORT")"
	try bundle releases acme -o json
	assert_exit 0
	assert_equal "$(jq -c '[.[] | [.host, .version, .state, .backSince]]' <<<"$output")" \
		'[["h1","1.0.0","current",0]]'
	nothing_to_do
}

@test "words of exec, values and secrets arrive as they are, newlines, quotes and dollars too" {
	local got
	got=$(ask "$PORT")
	assert_equal "$(cut -d ' ' -f 3- <<<"$got")" "serve a b'c port=$(cut -d ' ' -f 2 <<<"$got")"
	assert_equal "$(ask "$PORT" "/sha/SHOP_KEY")" "$(printf %s "$SHOP_KEY" | sha256sum | cut -c1-64)"
	assert_equal "$(ask "$PORT" "/sha/GREETING")" "$(printf %s "it's \$HOME" | sha256sum | cut -c1-64)"
}

@test "files of a release are root's and the tenant's alone to read; current names it" {
	local at
	at=$(tenant_home h1 acme)
	assert_equal "$(stat -c '%U:%G %a' "$at" "$at/releases/1.0.0" "$at/releases/1.0.0/bin/web" | tr '\n' ' ')" \
		"root:$(tenant_user h1 acme) 750 root:$(tenant_user h1 acme) 750 root:root 755 "
	assert_equal "$(readlink "$at/current")" releases/1.0.0
	assert_equal "$(stat -c '%U %a' "$at"/slots/web.*/env "$at"/slots/web.*/pass | sort -u)" \
		"$(tenant_user h1 acme) 400"
	assert_equal "$(ps -o user= -p "$(instance_pids h1 acme | head -n 1)")" "$(tenant_user h1 acme)"
}

@test "an upgrade loses no request" {
	asker_start
	shop 1.1.0
	apply
	assert_exit 0
	assert_contains "    ~ release shop: 1.0.0 -> 1.1.0"
	assert_equal "$(asker_stop)" "asked all answered 1.0.0 1.1.0"
	assert_contains "1.1.0 " "$(ask "$PORT")"
	assert_equal "$(readlink "$(tenant_home h1 acme)/current")" releases/1.1.0
	assert_equal "$(instance_pids h1 acme | wc -l)" 2
	nothing_to_do
}

@test "a release that is never healthy changes nothing, and its log can be read" {
	local before
	before=$(host_state h1)
	asker_start
	DEADLINE=6s shop 1.2.0 never
	apply
	assert_exit 5
	assert_contains "error[unhealthy]: service \"web\" of tenant \"acme\" did not become healthy on host \"h1\" in 6 s: instance 1 answered 503
  while: wait until service \"web\" 1.2.0 is healthy on host \"h1\"
  hint:  What it said: copyhold service logs acme web --host h1 --failed." "$stderr"
	assert_equal "$(asker_stop)" "asked all answered 1.1.0"
	assert_equal "$(host_state h1 | grep -v '/steps/\|/failed')" "$(grep -v '/steps/\|/failed' <<<"$before")"
	try service logs acme web --host h1 --failed
	assert_exit 0
	assert_contains "begins 1.2.0 never"
	try bundle releases acme -o json
	assert_equal "$(jq -c '[.[] | [.version, .state]]' <<<"$output")" '[["1.1.0","current"],["1.0.0","previous"]]'
}

@test "one that answers every second look, and one that begins anew, are not healthy" {
	DEADLINE=2s shop 1.2.0 flapping
	apply
	assert_exit 5
	assert_contains "did not become healthy on host \"h1\" in 2 s: " "$stderr"
	DEADLINE=2s shop 1.2.0 dies
	apply
	assert_exit 5
	assert_contains "did not become healthy on host \"h1\" in 2 s: instance 1 does" "$stderr"
	assert_contains "1.1.0 " "$(ask "$PORT")"
}

@test "a program of another architecture is a release that is not healthy" {
	DEADLINE=2s shop 1.2.0
	mv "$TEST_DIR/shop/bin/web" "$TEST_DIR/web"
	printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\267\000' >"$TEST_DIR/shop/bin/web"
	chmod 755 "$TEST_DIR/shop/bin/web"
	apply
	mv "$TEST_DIR/web" "$TEST_DIR/shop/bin/web"
	assert_exit 5
	assert_contains "did not become healthy on host \"h1\" in 2 s: instance 1 does" "$stderr"
	try service logs acme web --failed
	assert_contains "Exec format error"
}

@test "the same version with other files is refused at plan" {
	shop 1.1.0
	echo more >"$TEST_DIR/shop/more"
	try plan -f "$MANIFESTS"
	assert_exit 1
	assert_contains "error[refused]: the files of bundle \"shop\" have changed, but its version is still 1.1.0 (" \
		"$stderr$output"
	rm "$TEST_DIR/shop/more"
}

@test "rollback goes to a kept release the same way, and apply leaves it until the version is edited" {
	shop 1.1.0
	apply
	assert_exit 0
	asker_start
	try bundle rollback acme --to 1.0.0 --yes
	assert_exit 0
	assert_contains "run $(last_run): 1 of 1 done"
	assert_equal "$(asker_stop)" "asked all answered 1.0.0 1.1.0"
	local run
	run=$(last_run)
	apply
	assert_exit 0
	assert_contains "= release acme@h1: shop 1.0.0, release differs since run $run"
	assert_contains "1.0.0 " "$(ask "$PORT")"
	try bundle rollback acme --to 9.9 --yes
	assert_exit 1
	assert_err "error[not-found]: release 9.9 of tenant \"acme\" is not on host \"h1\"
  hint:  Kept there: 1.1.0."
	shop 1.3.0
	apply
	assert_exit 0
	assert_contains "    ~ release shop: 1.0.0 -> 1.3.0"
	assert_contains "1.3.0 " "$(ask "$PORT")"
	nothing_to_do
}

last_run() { copyhold run list --limit 1 -o json | jq '.[0].run // .[0].id'; }

@test "as many old releases stay as the manifest says, and the one before in any case" {
	KEEP=0 shop 1.4.0
	apply
	assert_exit 0
	assert_equal "$(ls "$(tenant_home h1 acme)/releases" | tr '\n' ' ')" "1.3.0 1.4.0 "
	try bundle releases acme -o json
	assert_equal "$(jq -c '[.[] | [.version, .state]]' <<<"$output")" '[["1.4.0","current"],["1.3.0","previous"]]'
}

@test "what was stopped, edited or added by hand on the host is found and mended" {
	local unit at
	at=$(tenant_home h1 acme)
	for unit in "$(host_root h1)"/service/*tenant.acme.web.*.2; do sv -w 60 stop "$unit"; done
	echo "# by hand" >>"$at/releases/1.4.0/bin/web"
	echo "# by hand" >>"$at/front/haproxy.cfg"
	mkdir "$at/releases/2.0.0-beta"
	KEEP=0 shop 1.4.0
	try plan -f "$MANIFESTS"
	assert_contains "~ release acme@h1: shop 1.4.0
    ~ files 1.4.0: edited by hand -> as packed (changed by hand)
    ~ service web: instance 2 stopped -> healthy (changed by hand)
    - foreign release 2.0.0-beta (changed by hand) (kept)
    ~ front acme: edited -> running (changed by hand)"
	apply
	assert_exit 0
	assert_lacks "by hand" "$(cat "$at/releases/1.4.0/bin/web" "$at/front/haproxy.cfg")"
	[ -d "$at/releases/2.0.0-beta" ]
	rmdir "$at/releases/2.0.0-beta"
	nothing_to_do
}

@test "another secret and another password are found by a keyed digest, and the service is begun anew" {
	copyhold login rotate acme app
	try plan -f "$MANIFESTS"
	assert_contains "    ~ service web: settings or secrets differ -> healthy"
	apply
	assert_exit 0
	assert_equal "$(ask "$PORT" /notes)" 0
	SHOP_KEY="another canary-7d1e"
	try plan -f "$MANIFESTS"
	assert_contains "    ~ service web: settings or secrets differ -> healthy"
	apply
	assert_exit 0
	assert_equal "$(ask "$PORT" /sha/SHOP_KEY)" "$(printf %s "$SHOP_KEY" | sha256sum | cut -c1-64)"
	SHOP_KEY=$'first line of canary-7d1e\nsecond, with \'quotes\' and $HOME'
	apply
	assert_exit 0
}

@test "no secret and no password is in the catalogue, a plan, an output, an argument or a file that others read" {
	local found password
	password=$(cut -d : -f 5 "$(tenant_home h1 acme)"/slots/web.?/pass)
	[ "${#password}" -gt 20 ]
	copyhold plan -f "$MANIFESTS" -o json >"$TEST_DIR/plan.json"
	copyhold run show "$(last_run)" -o json >"$TEST_DIR/run.json"
	try apply -f "$MANIFESTS" --yes --debug
	for found in "canary-7d1e" "$password"; do
		assert_lacks "$found" "$output$stderr$(cat "$TEST_DIR"/*.json)"
		assert_equal "$(grep -rlF "$found" "$COPYHOLD_HOME" || true)" ""
		assert_equal "$(grep -rlF "$found" "$(host_root h1)" | grep -v '/slots/web\.[ab]/\(env\|pass\)$' || true)" ""
		assert_lacks "$found" "$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ')"
	done
}

@test "a port that another program has is told before anything is done" {
	local other
	tenant_shop acme acme-pg "h1:$PORT" "h2:$PORT2"
	python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen()
open(sys.argv[2], "w").close(); time.sleep(600)' "$PORT2" "$TEST_DIR/taken" 3>&- &
	other=$!
	until_true test -e "$TEST_DIR/taken"
	apply
	kill "$other"
	wait "$other" || true
	assert_exit 1
	assert_contains "error[exists]: port $PORT2 of host \"h2\" is taken by another program
  while: checking before \"start service \"web\" 1.4.0 on host \"h2\"\"
  hint:  Stop it, or give the service another port." "$stderr"
	[ ! -e "$(tenant_home h2 acme)" ]
	! id "$(tenant_user h2 acme)" 2>/dev/null
}

@test "a first release that is not healthy leaves nothing on its host" {
	DEADLINE=2s shop 1.5.0 never
	tenant_shop acme acme-pg "h1:$PORT" "h2:$PORT2"
	ROLLOUT='{canary: 0, wave: 2}' tenant_shop acme acme-pg "h1:$PORT" "h2:$PORT2"
	apply
	assert_exit 5
	[ ! -e "$(tenant_home h2 acme)" ]
	! id "$(tenant_user h2 acme)" 2>/dev/null
	assert_equal "$(find "$(host_root h2)/service" "$(host_root h2)/tenants" -mindepth 1)" ""
	assert_equal "$(cat "$(host_root h2)/state/tenant/acme/items")" ""
	assert_contains "1.4.0 " "$(ask "$PORT")"
}

@test "a second host gets the release, and a canary that fails keeps it from the others" {
	KEEP=3 shop 1.5.0
	tenant_shop acme acme-pg "h1:$PORT" "h2:$PORT2"
	apply
	assert_exit 0
	assert_contains "1.5.0 " "$(ask "$PORT2")"
	DEADLINE=2s shop 1.6.0 never
	apply
	assert_exit 5
	assert_contains "error[rolled-back]: not begun: acme on host \"h1\" has failed" "$stderr"
	assert_contains "1.5.0 " "$(ask "$PORT")"
	assert_contains "1.5.0 " "$(ask "$PORT2")"
	shop 1.5.0
	apply
	assert_exit 0
	nothing_to_do
}

@test "a host that is out of reach is told with its name, the others are done, resume does the rest" {
	host_stop h2
	shop 1.6.0
	try apply -f "$MANIFESTS" --yes --no-refresh
	assert_exit 4
	assert_contains "error[host-unreachable]: no connection with host \"h2\"" "$stderr"
	assert_contains "1.6.0 " "$(ask "$PORT")"
	assert_contains "1.5.0 " "$(ask "$PORT2")"
	host_again h2
	try run resume "$(last_run)"
	assert_exit 0
	assert_contains "1.6.0 " "$(ask "$PORT2")"
	nothing_to_do
}

@test "a host without services any more is cleared, and the database stays" {
	tenant_shop acme acme-pg "h1:$PORT"
	apply
	assert_exit 0
	assert_contains "release acme@h2: no service of the tenant is placed there any more
    - release 1.6.0"
	! id "$(tenant_user h2 acme)" 2>/dev/null
	assert_equal "$(find "$(host_root h2)/service" "$(host_root h2)/tenants" "$(host_root h2)/log" -mindepth 1)" ""
	assert_equal "$(ask "$PORT" /notes)" 0
}

@test "an archive that is damaged on its way is refused by the host" {
	local file held
	shop 1.7.0
	try plan -f "$MANIFESTS" --out "$TEST_DIR/saved"
	try bundle show shop -f "$MANIFESTS" -o json
	file=$COPYHOLD_HOME/bundles/$(jq -r .digest <<<"$output").tar.gz
	COPYHOLD_FAULT=stop:1 "$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes >"$TEST_DIR/out" 2>"$TEST_DIR/err" 3>&- &
	held=$!
	until_true is_stopped "$held"
	echo damage >>"$file"
	let_go "$held"
	assert_equal "$status" 1
	assert_contains "error[host-step]: \"release-unpack\" on host \"h1\": the archive is damaged (exit code 1)" "$(cat "$TEST_DIR/err")"
	rm "$file"
	apply
	assert_exit 0
	assert_contains "1.7.0 " "$(ask "$PORT")"
}

@test "leaving removes exactly what was put on the host" {
	local root
	root=$(host_root h1)
	try tenant delete acme --now --no-backup --confirm acme
	assert_exit 0
	assert_equal "$(find "$root/tenants" -mindepth 1)" ""
	assert_equal "$(find "$root/service" "$root/log" -mindepth 1 -maxdepth 1 -name '*tenant.acme*')" ""
	! id "$(tenant_user h1 acme)" 2>/dev/null
	assert_equal "$(cat "$root/state/tenant/acme/items")" ""
	assert_equal "$(ls -A "$root/incoming")" ""
	[ -d "$root/clusters/acme-pg" ]
}
