#!/usr/bin/env bats
# shellcheck disable=SC2154

# A release over the eight hosts of a tenant: canary, waves, budget; hosts that are off when the plan
# is made, and come back.  The tests go on from each other's state.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/exclusive
load ../lib/releases

HOSTS_ALL="h1 h2 h3 h4 h5 h6 h7 h8"

setup_file() {
	local name
	hosts_setup
	hosts_region here CN
	for name in $HOSTS_ALL; do
		if [ "$name" = h5 ]; then
			host_start h5 --owner acme --unprepared
		else
			host_start "$name" --owner acme
		fi
	done
	home_setup
	export DATABASE=false INSTANCES=1
	exclusive_setup
	cluster_on acme-pg h1
	for name in $HOSTS_ALL; do
		free_port >"$TEST_DIR/$name.port"
	done
}

teardown_file() {
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
}

# VERSION
shop() {
	bundle_shop "$1"
	sed -i 's/drain: 2s/drain: 0s/' "$MANIFESTS/bundle-shop.yaml"
}

apply() { try apply -f "$MANIFESTS" --yes; }
last_run() { copyhold run list --limit 1 -o json | jq '.[0].id'; }
port_of() { cat "$TEST_DIR/$1.port"; }

# ROLLOUT HOST...: the tenant, with the service on those.
acme_on() {
	local name
	local -a at=()
	for name in "${@:2}"; do at+=("$name:$(port_of "$name")"); done
	ROLLOUT=$1 tenant_shop acme acme-pg "${at[@]}"
}

# What answers on each host, as "h1=1.0.0 ...".
answers() {
	local name said
	for name in $HOSTS_ALL; do
		said=$(curl -fsS --max-time 10 "http://127.0.0.1:$(port_of "$name")/" 2>/dev/null) || said=none
		printf '%s=%s ' "$name" "${said%% *}"
	done
}

# VERSION [HOST=VERSION]...: that one answers everywhere, but for those hosts.
all_answer() {
	local name expected='' version other
	for name in $HOSTS_ALL; do
		version=$1
		for other in "${@:2}"; do [ "${other%=*}" != "$name" ] || version=${other#*=}; done
		expected+="$name=$version "
	done
	assert_equal "$(answers)" "$expected"
}

nothing_to_do() {
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	assert_contains "nothing to do"
}

# HOST: what is said of it when it is off.
is_off() { echo "error[host-unreachable]: no connection with host \"$1\" (127.0.0.1:$(host_port "$1")) (ECONNREFUSED)"; }

@test "at the very first apply one host of eight is off: it is named, seven are done, resume prepares it and does the rest" {
	shop 1.0.0
	# shellcheck disable=SC2086 # several words
	acme_on '{canary: 1, wave: 4, budget: 1}' $HOSTS_ALL
	host_stop h5
	try plan -f "$MANIFESTS"
	assert_exit 4
	assert_contains "+ release acme@h5: shop 1.0.0; the host is out of reach"
	assert_contains "$(is_off h5)" "$stderr"
	apply
	assert_exit 4
	assert_contains "$(is_off h5)" "$stderr"
	assert_contains "2 unreachable; go on with: copyhold run resume 1"
	all_answer 1.0.0 h5=none
	try run resume 1
	assert_exit 4
	host_again h5
	try run resume 1
	assert_exit 0
	assert_contains "run 1: 2 of 2 done"
	all_answer 1.0.0
	nothing_to_do
}

@test "at an upgrade one host of eight is off: it is named, seven are done, resume does the rest" {
	shop 1.1.0
	host_stop h3
	try plan -f "$MANIFESTS"
	assert_exit 4
	assert_contains "~ release acme@h3: shop 1.1.0; the host is out of reach
    ~ release shop: 1.0.0 -> 1.1.0"
	try plan -f "$MANIFESTS" -t acme
	assert_exit 4
	assert_contains "~ release acme@h3: shop 1.1.0; the host is out of reach"
	assert_contains "$(is_off h3)" "$stderr"
	try plan -f "$MANIFESTS" -t acme -o json
	assert_exit 4
	assert_equal "$(jq -c '.entries[] | select(.name == "acme@h3") | [.op, (.error | startswith("no connection"))]' <<<"$output")" '["change",true]'
	apply
	assert_exit 4
	assert_contains "$(is_off h3)" "$stderr"
	assert_contains "1 unreachable"
	all_answer 1.1.0 h3=1.0.0
	try run show "$(last_run)" -o json
	assert_equal "$(jq -c '[.[] | select(.scope == "release/acme/h3") | .state] | unique' <<<"$output")" '["waiting"]'
	host_again h3
	try run resume "$(last_run)"
	assert_exit 0
	all_answer 1.1.0
	nothing_to_do
}

@test "a canary that is off is no judgement of the release: the next host takes its place" {
	shop 1.2.0
	host_stop h1
	apply
	host_again h1
	assert_exit 4
	all_answer 1.2.0 h1=1.1.0
	try run resume "$(last_run)"
	assert_exit 0
	all_answer 1.2.0
}

@test "more hosts off at the plan than the budget allows end the waves, and the rest waits" {
	local name
	# shellcheck disable=SC2086
	acme_on '{canary: 1, wave: 2, budget: 1}' $HOSTS_ALL
	shop 1.3.0
	for name in h2 h3 h4 h5; do host_stop "$name"; done
	apply
	assert_exit 3
	for name in h2 h3; do assert_contains "$(is_off "$name")" "$stderr"; done
	assert_contains "error[stopped]: not begun: more hosts of acme are out of reach than rollout.budget allows (1)
  hint:  When they are back: copyhold run resume $(last_run)." "$stderr"
	all_answer 1.2.0 h1=1.3.0
	for name in h2 h3 h4 h5; do host_again "$name"; done
	try run resume "$(last_run)"
	assert_exit 0
	all_answer 1.3.0
	nothing_to_do
}

@test "a host that is off and has nothing to come is named, and no run is made for it" {
	local before
	before=$(last_run)
	host_stop h6
	apply
	host_again h6
	assert_exit 4
	assert_contains "$(is_off h6)" "$stderr"
	assert_equal "$(last_run)" "$before"
}

@test "a new host whose address was wrong is given up by an undo, and applied anew" {
	local right
	host_start h9 --owner acme
	free_port >"$TEST_DIR/h9.port"
	cp "$HOSTS/manifests/h9.yaml" "$MANIFESTS"
	right=$(host_port h9)
	sed -i "s/  port: $right/  port: 1/" "$MANIFESTS/h9.yaml"
	# shellcheck disable=SC2086
	acme_on '{canary: 1, wave: 2, budget: 1}' $HOSTS_ALL h9
	apply
	assert_exit 4
	assert_contains 'no connection with host "h9" (127.0.0.1:1)' "$stderr"
	sed -i "s/  port: 1$/  port: $right/" "$MANIFESTS/h9.yaml"
	apply
	assert_exit 1
	assert_contains "error[refused]: run $(last_run) has not finished with \"host/h9\"
  hint:  Finish it: copyhold run resume $(last_run), or take it back: copyhold run undo $(last_run)." "$stderr"
	try run undo "$(last_run)" --yes
	assert_exit 0
	apply
	assert_exit 0
	assert_contains "1.3.0 " "$(ask "$(port_of h9)")"
	nothing_to_do
}
