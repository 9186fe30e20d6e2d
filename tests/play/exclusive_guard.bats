# shellcheck shell=bash disable=SC2154

# What may cut us off from a server on a host, its rules and where it listens: the host takes it back
# by itself.  The tests go on from each other's machine.

load ../lib/home
load ../lib/hosts
load ../lib/wait
load ../lib/exclusive

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	home_setup
	exclusive_setup
	cluster_on acme-pg h1 "allow: [10.1.0.0/16]" "address: 127.0.0.1"
	tenant_on acme acme-pg
	copyhold apply -f "$MANIFESTS" --yes --quiet
}

teardown_file() {
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
	FILE=$MANIFESTS/cluster-acme-pg.yaml STATE=$(host_root h1)/state/cluster/acme-pg
	HBA=$(cluster_home h1 acme-pg)/data/pg_hba.conf
}

allow() { sed -i "s|allow: .*|allow: [$1]|" "$FILE"; }
allowed() { sed -n 's/^hostssl all all \([0-9].*\) scram-sha-256$/\1/p' "$HBA"; }
loaded() { on_psql h1 acme-pg "SELECT extract(epoch FROM pg_conf_load_time())"; }
guards() { ls "$STATE/guards"; }
unguarded() { [ -z "$(guards)" ]; }

# An apply dies when what it changed is in force and not confirmed; its run is $RUN.
dies_unconfirmed() {
	RUN=$(($(copyhold run list --output json | jq 'map(.id) | max') + 1))
	COPYHOLD_FAULT=kill:$1 run -137 copyhold apply -f "$MANIFESTS" --yes --quiet
	[ -n "$(guards)" ]
}

# N of the boundary at which the next change of that kind is not confirmed; that one is made.
boundary() {
	rm -f "$TEST_DIR/boundaries"
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold apply -f "$MANIFESTS" --yes --quiet >/dev/null
	grep -nx host.guarded "$TEST_DIR/boundaries" | cut -d : -f 1
}

tried_in_vain() { grep -qx "1 - -" "$STATE"/steps/*.pg-hba.undone; }

# Its minute is over.
expire() {
	local guard
	guard=$STATE/guards/$(guards)
	sed "1s/^\([^ ]*\) [0-9]*/\1 0/" "$guard" >"$STATE/expired"
	mv "$STATE/expired" "$guard"
}

nothing_to_do() {
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "new rules that nobody confirms are taken back by the host, on the real server, and a resume puts them in force" {
	local before
	allow 10.2.0.0/16
	boundary >"$TEST_DIR/hba.boundary"
	assert_equal "$(allowed)" 10.2.0.0/16
	unguarded
	allow 10.3.0.0/16
	dies_unconfirmed "$(cat "$TEST_DIR/hba.boundary")"
	assert_equal "$(allowed)" 10.3.0.0/16
	before=$(loaded)
	expire
	until_true unguarded
	assert_equal "$(allowed)" 10.2.0.0/16
	[ "$(loaded)" != "$before" ]
	try run resume "$RUN" --yes --quiet
	assert_exit 0
	assert_equal "$(allowed)" 10.3.0.0/16
	unguarded
	nothing_to_do
}

@test "a machine that dies between the undo and its note takes the rules back once more, not the old ones away" {
	local guard
	allow 10.4.0.0/16
	dies_unconfirmed "$(cat "$TEST_DIR/hba.boundary")"
	guard=$STATE/guards/$(guards)
	cp "$guard" "$STATE/guard"
	expire
	until_true unguarded
	sed -i 's/^[^ ]*/another-boot/' "$STATE/guard"
	mv "$STATE/guard" "$guard"
	try plan -f "$MANIFESTS"
	assert_equal "$(allowed)" 10.3.0.0/16
	unguarded
	try run resume "$RUN" --yes --quiet
	assert_exit 0
	assert_equal "$(allowed)" 10.4.0.0/16
}

@test "an undo that fails is kept and tried again until the old rules are there" {
	allow 10.5.0.0/16
	dies_unconfirmed "$(cat "$TEST_DIR/hba.boundary")"
	mkdir "$HBA.new"
	expire
	until_true tried_in_vain
	grep -q "cannot write \"$HBA\"" "$STATE"/steps/*.pg-hba.undone
	[ -n "$(guards)" ]
	assert_equal "$(allowed)" 10.5.0.0/16
	rmdir "$HBA.new"
	until_true unguarded
	assert_equal "$(allowed)" 10.4.0.0/16
	try run resume "$RUN" --yes --quiet
	assert_exit 0
	assert_equal "$(allowed)" 10.5.0.0/16
	nothing_to_do
}

@test "another port is confirmed by a session there, and taken back by the host where nobody does" {
	local old=$SERVER_PORT
	SERVER_PORT=$(free_port)
	sed -i "s/port: .*/port: $SERVER_PORT/" "$FILE"
	boundary >"$TEST_DIR/port.boundary"
	[ -s "$TEST_DIR/port.boundary" ]
	unguarded
	assert_equal "$(on_psql h1 acme-pg "SHOW port")" "$SERVER_PORT"
	nothing_to_do
	sed -i "s/port: .*/port: $old/" "$FILE"
	dies_unconfirmed "$(cat "$TEST_DIR/port.boundary")"
	assert_equal "$(SERVER_PORT=$old on_psql h1 acme-pg "SHOW port")" "$old"
	expire
	until_true unguarded
	assert_equal "$(on_psql h1 acme-pg "SHOW port")" "$SERVER_PORT"
	try run resume "$RUN" --yes --quiet
	assert_exit 0
	assert_equal "$(SERVER_PORT=$old on_psql h1 acme-pg "SHOW port")" "$old"
	echo "$old" >"$TEST_DIR/port"
	nothing_to_do
}

@test "another address is confirmed by a session there" {
	SERVER_PORT=$(cat "$TEST_DIR/port")
	sed -i "s/address: .*/address: 127.0.0.2/" "$FILE"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	unguarded
	assert_equal "$(on_psql h1 acme-pg "SHOW listen_addresses")" "127.0.0.1,127.0.0.2"
	assert_equal "$(psql -XAtq "$(copyhold route resolve acme --direct)" -c "SELECT inet_server_addr()")" 127.0.0.2
	nothing_to_do
}

@test "an address at which nobody finds the server is taken back, and the tenant is served at the old one" {
	SERVER_PORT=$(cat "$TEST_DIR/port")
	cp "$FILE" "$TEST_DIR/kept.yaml"
	# An address that no machine has.
	sed -i "s/address: .*/address: 240.0.0.1/" "$FILE"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 5
	assert_contains "looking whether \"pg-config\" has cut us off; host \"h1\" takes it back by itself 60 s after it was done" "$stderr"
	unguarded
	assert_equal "$(on_psql h1 acme-pg "SHOW listen_addresses")" "127.0.0.1,127.0.0.2"
	assert_equal "$(psql -XAtq "$(copyhold route resolve acme --direct)" -c "SELECT inet_server_addr()")" 127.0.0.2
	cp "$TEST_DIR/kept.yaml" "$FILE"
	nothing_to_do
}
