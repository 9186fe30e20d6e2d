#!/usr/bin/env bats
# shellcheck disable=SC2154

# Releases that are stopped on their way: by a signal in the health gate and while the old service
# drains, by a host whose key is another when the run is resumed; and health that a command tells.
# The tests go on from each other's state.

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
	export DATABASE=false
	exclusive_setup
	cluster_on acme-pg h1
	PORT=$(free_port)
	export PORT
	: >"$TEST_DIR/gate-1.0.0"
	gated 1.0.0
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

# The asker of a failed test.
teardown() {
	[ -z "${TEST_DIR-}" ] || : >"$TEST_DIR/stop"
}

apply() { try apply -f "$MANIFESTS" --yes; }
last_run() { copyhold run list --limit 1 -o json | jq '.[0].id'; }

# VERSION: the bundle, healthy as soon as the file gate-VERSION is there.
gated() {
	bundle_shop "$1" "until $TEST_DIR/gate-$1"
	sed -i "s|drain: 2s|drain: 60s|" "$MANIFESTS/bundle-shop.yaml"
}

# VERSION WORDS: the bundle, whose health is told by that command.
told_by() {
	bundle_shop "$1"
	sed -i "s|health: {http: /health,|health: {command: [$2],|" "$MANIFESTS/bundle-shop.yaml"
}

# KIND: a step of it is at work.
is_at() {
	[ -n "$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT 1 FROM step WHERE kind = 'release.$1' AND state = 'intent'")" ]
}

# KIND: the apply is stopped by SIGINT while such a step is at work; what it said is in $stderr.
interrupted_at() {
	local pid
	"$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes >"$TEST_DIR/out" 2>"$TEST_DIR/err" 3>&- &
	pid=$!
	until_true is_at "$1"
	kill -INT "$pid"
	status=0
	wait "$pid" || status=$?
	output=$(cat "$TEST_DIR/out") stderr=$(cat "$TEST_DIR/err")
}

# What stands there and is put there by releases, the slot's letter aside.
standing() { host_state h1 | grep -v '/steps/\|/failed' | sed 's/web\.[ab]/web.S/g' | sort; }

@test "a signal in the health gate stops the run, which a resume finishes, and no request is lost" {
	local run
	asker_start
	gated 1.1.0
	interrupted_at healthy
	run=$(last_run)
	assert_exit 3
	assert_contains "error[stopped]: stopped by a signal while service \"web\" was not healthy yet
  while: wait until service \"web\" 1.1.0 is healthy on host \"h1\"
  hint:  Go on with: copyhold run resume $run." "$stderr"
	assert_contains "run $run: " "$output"
	assert_equal "$(copyhold run list --limit 1 -o json | jq -r '.[0].state')" stopped
	assert_contains "1.0.0 " "$(ask "$PORT")"
	apply
	assert_exit 1
	assert_contains "error[refused]: run $run has not finished with release \"acme@h1\"
  hint:  Finish it: copyhold run resume $run, or take it back: copyhold run undo $run." "$stderr"
	: >"$TEST_DIR/gate-1.1.0"
	try run resume "$run"
	assert_exit 0
	assert_equal "$(asker_stop)" "asked all answered 1.0.0 1.1.0"
	assert_contains "1.1.0 " "$(ask "$PORT")"
	assert_equal "$(instance_pids h1 acme | wc -l)" 2
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "stopped in the health gate, a run can be undone as well, and leaves nothing" {
	local before
	before=$(standing)
	asker_start
	gated 1.2.0
	interrupted_at healthy
	assert_exit 3
	try run undo "$(last_run)" --yes
	assert_exit 0
	assert_equal "$(asker_stop)" "asked all answered 1.1.0"
	assert_equal "$(standing)" "$before"
	gated 1.1.0
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "a signal while the old service drains cuts no request, and a resume ends the old service" {
	local run open
	asker_start
	curl -sSv --max-time 120 "http://127.0.0.1:$PORT/until/$TEST_DIR/answer" >"$TEST_DIR/open" 2>&1 3>&- &
	open=$!
	until_true grep -q "^> GET " "$TEST_DIR/open"
	: >"$TEST_DIR/gate-1.2.0"
	gated 1.2.0
	interrupted_at retire
	run=$(last_run)
	assert_exit 3
	assert_contains "error[stopped]: stopped by a signal while the old service was draining
  while: drain and stop the old service \"web\" on host \"h1\"
  hint:  Go on with: copyhold run resume $run." "$stderr"
	assert_equal "$(instance_pids h1 acme | wc -l)" 4
	: >"$TEST_DIR/answer"
	wait "$open"
	assert_contains "1.1.0 " "$(cat "$TEST_DIR/open")"
	try run resume "$run"
	assert_exit 0
	assert_equal "$(asker_stop)" "asked all answered 1.1.0 1.2.0"
	assert_equal "$(instance_pids h1 acme | wc -l)" 2
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "a health command of the release sees the instance's own environment" {
	printf '#!/bin/sh\n[ "$1" = "it is" ] && [ "$COPYHOLD_RELEASE" = 1.3.0 ] && exec curl -fsS "http://127.0.0.1:$PORT/health"\n' \
		>"$TEST_DIR/shop/bin/check"
	chmod 755 "$TEST_DIR/shop/bin/check"
	told_by 1.3.0 'bin/check, "it is"'
	apply
	assert_exit 0
	try service list acme -o json
	assert_equal "$(jq -c '[.[] | [.instance, .health]]' <<<"$output")" '[[1,"ok"],[2,"ok"]]'
	assert_contains "1.3.0 " "$(ask "$PORT")"
}

@test "a health command that fails, that is not there or that hangs keeps the release off" {
	local before
	before=$(standing)
	DEADLINE=1s told_by 1.4.0 'sh, -c, "exit 7"'
	apply
	assert_exit 5
	assert_contains "did not become healthy on host \"h1\" in 1 s: instance 1 command ended with 7" "$stderr"
	DEADLINE=1s told_by 1.4.0 'no-such-program'
	apply
	assert_exit 5
	assert_contains "did not become healthy on host \"h1\" in 1 s: instance 1 command ended with 127" "$stderr"
	DEADLINE=1s told_by 1.4.0 'sleep, "60"'
	apply
	assert_exit 5
	assert_contains "did not become healthy on host \"h1\" in 1 s: instance 1 command gave no answer in 10 s" "$stderr"
	assert_equal "$(standing)" "$before"
	assert_contains "1.3.0 " "$(ask "$PORT")"
}

# The sshd has other keys, and what was pinned is in $TEST_DIR/pinned*.
rekey() {
	host_stop h1
	cp "$HOSTS/h1/host_ed25519" "$TEST_DIR/pinned"
	cp "$HOSTS/h1/host_ed25519.pub" "$TEST_DIR/pinned.pub"
	rm "$HOSTS/h1/host_ed25519"
	ssh-keygen -q -t ed25519 -N '' -f "$HOSTS/h1/host_ed25519"
	host_again h1
}

print_of() { ssh-keygen -lf "$1" | cut -d ' ' -f 2; }

@test "a host whose key is another at the resume is sent nothing until the new one is pinned" {
	local run before
	gated 1.4.0
	interrupted_at healthy
	assert_exit 3
	run=$(last_run)
	: >"$TEST_DIR/gate-1.4.0"
	before=$(host_state h1)
	rekey
	try run resume "$run"
	assert_exit 3
	assert_contains "error[host-key]: host \"h1\" (127.0.0.1:$(host_port h1)) shows the key $(print_of "$HOSTS/h1/host_ed25519.pub") (ssh-ed25519), but $(print_of "$TEST_DIR/pinned.pub") (ssh-ed25519) is pinned" "$stderr"
	assert_contains "If the new key is right, write hostKeys: [\"$(cut -d ' ' -f 1,2 "$HOSTS/h1/host_ed25519.pub")\"] in the manifest of the host." "$stderr"
	assert_equal "$(host_state h1)" "$before"
	sed -i "s|hostKeys: .*|hostKeys: [\"$(cut -d ' ' -f 1,2 "$HOSTS/h1/host_ed25519.pub")\"]|" "$MANIFESTS/h1.yaml"
	apply
	assert_exit 1
	assert_contains "error[refused]: run $run has not finished with release \"acme@h1\"" "$stderr"
	try run resume "$run"
	assert_exit 0
	assert_contains "1.4.0 " "$(ask "$PORT")"
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}
