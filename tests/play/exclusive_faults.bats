# shellcheck shell=bash disable=SC2154

# Mode exclusive where it goes wrong, and how everything of it goes away: each test begins on an empty
# machine.

load ../lib/home
load ../lib/hosts
load ../lib/wait
load ../lib/exclusive

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	setup
	COPYHOLD_FAULT=list:$HOSTS/boundaries copyhold apply -f "$MANIFESTS" --yes --quiet
	teardown
}

# BOUNDARY: a first apply dies there.
dies_at() {
	local n
	n=$(grep -nx "$1" "$HOSTS/boundaries" | head -n 1 | cut -d : -f 1)
	COPYHOLD_FAULT=kill:$n run -137 copyhold apply -f "$MANIFESTS" --yes --quiet
}

teardown_file() { hosts_remove; }

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	home_setup
	exclusive_setup
	cluster_on acme-pg h1
	tenant_on acme acme-pg
}

teardown() {
	! mountpoint -q "$(host_root h1)/clusters" || umount "$(host_root h1)/clusters"
	[ -z "${LISTENER-}" ] || kill "$LISTENER" 2>/dev/null || true
	[ -z "${OPS-}" ] || forget_user
	exclusive_clear h1
	home_teardown
}

# TEXT: what the first apply says, when the server cannot be made; nothing of it is left on the host.
refused() {
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit "${2-1}"
	assert_contains "$1" "$stderr"
	[ -z "$(ls "$(host_root h1)/clusters" 2>/dev/null)" ]
	! getent passwd "$(cluster_user h1 acme-pg)" >/dev/null
	[ -z "$(ls -A "$(host_root h1)/service" 2>/dev/null | grep acme-pg)" ]
}

@test "a port that another program has is found before anything is made" {
	python3 -c 'import socket, sys, time; s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); time.sleep(600)' \
		"$SERVER_PORT" 3>&- &
	LISTENER=$!
	until_true eval 'ss -Htln "sport = :$SERVER_PORT" | grep -q LISTEN'
	refused "error[host-step]: \"pg-create\" on host \"h1\": port $SERVER_PORT is taken on this host by another program (exit code 1)
  while: make user, data folder and certificate of cluster acme-pg on host h1"
}

@test "a version that is not installed is named with the command that installs it" {
	sed -i "s/^    host: h1/    host: h1\n    version: 98/" "$MANIFESTS/cluster-acme-pg.yaml"
	refused "\"pg-create\" on host \"h1\": PostgreSQL 98 is not installed: apt-get install -y postgresql-98 (exit code 1)"
}

@test "a disk without room is told before, and nothing is left" {
	mkdir -p "$(host_root h1)/clusters"
	mount -t tmpfs -o size=16m,mode=0711 tmpfs "$(host_root h1)/clusters" || skip "nothing can be mounted here"
	refused "error[disk-full]: "
	assert_contains "no space left on device: $(host_root h1)/clusters has 16 MB, a cluster begins with 128" "$stderr"
}

@test "a folder that is there already, and not of ours, is left alone" {
	mkdir -p "$(cluster_home h1 acme-pg)/data"
	echo 14 >"$(cluster_home h1 acme-pg)/data/PG_VERSION"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 1
	assert_contains "\"$(cluster_home h1 acme-pg)\" is there already, and not of duty \"cluster/acme-pg\"" "$stderr"
	assert_equal "$(cat "$(cluster_home h1 acme-pg)/data/PG_VERSION")" 14
}

@test "a server that was handed back, and stopped by its customer, is not taken nor removed by a cluster of that name" {
	local data home
	home=$(cluster_home h1 acme-pg) data=$home/data
	copyhold apply -f "$MANIFESTS" --yes --quiet
	copyhold tenant delete acme --now --hand-back --confirm acme --yes --quiet
	cp -r "$MANIFESTS" "$TEST_DIR/without"
	rm "$TEST_DIR"/without/tenant-* "$TEST_DIR"/without/cluster-*
	sed -i /owner/d "$TEST_DIR/without/h1.yaml"
	copyhold apply -f "$TEST_DIR/without" --prune --yes --confirm-removal --quiet
	for stopped in "" yes; do
		[ -z "$stopped" ] || sv -w 60 stop "$(host_root h1)"/service/*acme-pg.pg
		find "$data/base" -name '1*' | sort >"$TEST_DIR/before"
		try apply -f "$MANIFESTS" --yes --quiet
		assert_exit 1
		assert_contains "\"$home\" is there already, and not of duty \"cluster/acme-pg\"" "$stderr"
		find "$data/base" -name '1*' | sort >"$TEST_DIR/after"
		diff "$TEST_DIR/before" "$TEST_DIR/after"
	done
	sv -w 60 start "$(host_root h1)"/service/*acme-pg.pg
	until_true on_psql h1 acme-pg "SELECT 1" t_acme
}

@test "a stopped server is started to tell what it holds before it is removed" {
	local service
	copyhold apply -f "$MANIFESTS" --yes --quiet
	copyhold tenant delete acme --now --no-backup --confirm acme --yes --quiet
	rm "$MANIFESTS"/tenant-* "$MANIFESTS"/cluster-*
	sed -i /owner/d "$MANIFESTS/h1.yaml"
	on_psql h1 acme-pg "ALTER DATABASE copyhold_template IS_TEMPLATE false"
	on_psql h1 acme-pg "DROP DATABASE copyhold_template"
	on_psql h1 acme-pg "CREATE DATABASE ledger"
	service=$(echo "$(host_root h1)"/service/*acme-pg.pg)
	sv -w 60 stop "$service"
	try apply -f "$MANIFESTS" --prune --yes --confirm-removal --quiet
	assert_contains "the server holds data: database ledger" "$stderr"
	assert_equal "$(on_psql h1 acme-pg "SELECT 1" ledger)" 1
}

# What the server's user may put into its own folders.  FILE KIND
planted() {
	rm -rf -- "$1"
	case $2 in
	pipe) mkfifo "$1" ;;
	endless) ln -s /dev/zero "$1" ;;
	secret) ln -s "$HOSTS/secret" "$1" ;;
	esac
	[ "$2" != pipe ] || chown "$(cluster_user h1 acme-pg):" "$1"
}

@test "links and pipes that the server's user puts into its folders lead root nowhere, and are put back" {
	local data home file kind
	home=$(cluster_home h1 acme-pg) data=$home/data
	copyhold apply -f "$MANIFESTS" --yes --quiet
	(umask 077 && printf 'port = 7\nwords = root_only\n' >"$HOSTS/secret")
	for kind in pipe endless secret; do
		for file in "$data/copyhold.conf" "$data/pg_hba.conf" "$data/postgresql.auto.conf" "$home/tls/server.pem"; do
			planted "$file" "$kind"
		done
		# Opened by root these are read for ever, or tell what is root's.
		try plan -f "$MANIFESTS"
		assert_exit 0
		assert_contains "~ file copyhold.conf: edited -> as it was written (changed by hand)"
		assert_contains "~ certificate acme-pg: none -> a new one (changed by hand)"
		assert_lacks words "$output$stderr"
		try apply -f "$MANIFESTS" --yes --quiet
		assert_exit 0
		try plan -f "$MANIFESTS" --detailed-exitcode
		assert_exit 0
		assert_equal "$(cat "$HOSTS/secret")" "port = 7
words = root_only"
	done
	planted "$data/PG_VERSION" secret
	try plan -f "$MANIFESTS"
	assert_lacks words "$output$stderr"
	planted "$data/PG_VERSION" pipe
	try plan -f "$MANIFESTS"
	assert_lacks words "$output$stderr"
}

@test "a bad setting stops a first apply, and nothing of the cluster stays" {
	echo "      - {name: wurk_mem, value: 5MB}" >>"$MANIFESTS/cluster-acme-pg.yaml"
	refused "\"pg-config\" on host \"h1\": PostgreSQL refuses the settings: unrecognized configuration parameter \"wurk_mem\" (exit code 1)
  while: write the settings of cluster acme-pg on host h1"
	try secret list --output json
	assert_out "[]"
}

@test "a host that goes away in the middle is exit 4, and run resume does the rest" {
	dies_at pg.create:acted
	host_stop h1
	try run resume 1 --yes --quiet
	assert_exit 4
	assert_contains 'error[host-unreachable]' "$stderr"
	assert_contains '"h1"' "$stderr"
	host_again h1
	try run resume 1 --yes --quiet
	assert_exit 0
	try tenant verify acme --output json
	assert_exit 0
}

@test "of two hosts one is off: the other is done, exit is 4 with its name, and the next apply does the rest" {
	host_start h2 --owner beta
	cp "$HOSTS/manifests/h2.yaml" "$MANIFESTS"
	SERVER_PORT=$(free_port) cluster_on beta-pg h2
	tenant_on beta beta-pg hybrid
	host_stop h2
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 4
	assert_contains "error[host-unreachable]: no connection with host \"h2\" (127.0.0.1:$(host_port h2)) (ECONNREFUSED)
  while: looking at host \"h2\"
  while: making cluster \"beta-pg\"" "$stderr"
	try tenant verify acme --output json
	assert_exit 0
	host_again h2
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	try tenant verify beta --output json
	assert_exit 0
	exclusive_clear h2
	rm "$HOSTS/manifests/h2.yaml"
}

# Everything on the machine that a cluster can have touched.
machine() {
	getent passwd | cut -d : -f 1 | grep "^$(host_prefix h1)" || true
	(cd "$(host_root h1)" && find . -path ./state -prune -o -path ./run -prune -o -print | sort)
	pgrep -U "$(cluster_user h1 acme-pg)" 2>/dev/null || true
}

@test "what a manifest no longer names is kept while tenants are on it, and goes without a trace after that" {
	mkdir -p "$(host_root h1)"/{clusters,tenants,log,service}
	machine >"$TEST_DIR/before"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	rm "$MANIFESTS"/tenant-* "$MANIFESTS"/cluster-*
	sed -i /owner/d "$MANIFESTS/h1.yaml"
	try plan -f "$MANIFESTS" --prune
	assert_exit 0
	assert_contains "= cluster acme-pg: no manifest names it; it is in use and stays recorded"
	copyhold apply -f "$MANIFESTS" --prune --yes --confirm-removal --quiet
	assert_equal "$(on_psql h1 acme-pg "SELECT 1" t_acme)" 1
	copyhold tenant delete acme --now --no-backup --confirm acme --yes --quiet
	try apply -f "$MANIFESTS" --prune --yes --quiet
	assert_exit 1
	assert_contains "Say --confirm-removal if you mean it." "$stderr"
	assert_contains "- cluster acme-pg: removed from host h1, with its data folder"
	try apply -f "$MANIFESTS" --prune --yes --confirm-removal --quiet
	assert_exit 0
	machine >"$TEST_DIR/after"
	diff -u "$TEST_DIR/before" "$TEST_DIR/after"
	try secret list --output json
	assert_out "[]"
}

@test "an undo never takes a cluster away that holds a database of somebody's" {
	dies_at pg.trust:done
	on_psql h1 acme-pg "CREATE DATABASE ledger"
	try run undo 1 --yes --quiet
	assert_exit 6
	assert_contains "the server holds data: database ledger" "$stderr"
	assert_equal "$(on_psql h1 acme-pg "SELECT 1" ledger)" 1
}

@test "a certificate of a host whose clock is ahead is waited for, and refused where it is more than a minute" {
	copyhold apply -f "$MANIFESTS" --yes --quiet
	rm "$(cluster_home h1 acme-pg)/tls/server.pem"
	COPYHOLD_NOW=$(($(date +%s) - 600))000 try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 1
	assert_contains "the clock of host \"h1\" is ahead of ours: the certificate of cluster \"acme-pg\" begins in 10 min" "$stderr"
	assert_contains "Set the clock that is wrong, there or here; copyhold host check compares them." "$stderr"
	[ ! -e "$(cluster_home h1 acme-pg)/tls/server.pem" ]
	COPYHOLD_NOW=$(($(date +%s) - 2))000 try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	try tenant verify acme --output json
	assert_exit 0
}

# --- the least rights --------------------------------------------------------------------------------

# An ordinary user of the machine, with these lines of sudoers.
ordinary_user() {
	OPS=$(host_prefix h1)ops
	until_true useradd --no-create-home --home-dir / --shell /bin/sh --password '*' "$OPS"
	chmod 0644 "$HOSTS/h1/authorized_keys"
	sed -i "s/^  user: .*/  user: $OPS\n  sudo: true/" "$MANIFESTS/h1.yaml"
}

forget_user() {
	rm -f "/etc/sudoers.d/$OPS"
	until_true userdel "$OPS"
}

@test "an ordinary user with the lines of tenant access, and no others, provisions that tenant and no other" {
	command -v sudo >/dev/null || skip "sudo is not installed"
	ordinary_user
	try tenant access acme -f "$MANIFESTS"
	assert_exit 0
	assert_out "AT               KIND     WHAT
host/h1          sudoers  $OPS ALL=(root) NOPASSWD: $(host_root h1)/bin/copyhold-host serve cluster/acme-pg
host/h1          path     $(host_root h1)/clusters/acme-pg
host/h1          path     $(host_root h1)/state/cluster/acme-pg
host/h1          path     $(host_root h1)/log/$(host_prefix h1)cluster.acme-pg.*
host/h1          path     $(host_root h1)/service/$(host_prefix h1)cluster.acme-pg.*
host/h1          user     $(cluster_user h1 acme-pg)
host/h1          port     $SERVER_PORT (PostgreSQL)
cluster/acme-pg  grant    ALTER ROLE \"copyhold\" WITH LOGIN CREATEDB CREATEROLE INHERIT NOSUPERUSER NOREPLICATION NOBYPASSRLS;
cluster/acme-pg  grant    GRANT CONNECT, CREATE ON DATABASE \"copyhold\" TO \"copyhold\";
cluster/acme-pg  grant    GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO \"copyhold\";"
	copyhold tenant access acme -f "$MANIFESTS" --output json |
		python3 "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" tenantAccess
	copyhold tenant access acme -f "$MANIFESTS" --output json |
		python3 -c 'import json, sys; [print(l["what"]) for l in json.load(sys.stdin) if l["kind"] == "sudoers"]' \
			>"/etc/sudoers.d/$OPS"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	try tenant access acme
	assert_contains "serve cluster/acme-pg"
	try tenant verify acme --output json
	assert_exit 0
	SERVER_PORT=$(free_port)
	cluster_on other-pg h1
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 1
	assert_contains "error[missing-right]: user \"$OPS\" may not start the helper for duty \"cluster/other-pg\" on host \"h1\"" "$stderr"
	assert_contains "A line for /etc/sudoers.d there: $OPS ALL=(root) NOPASSWD: $(host_root h1)/bin/copyhold-host serve cluster/other-pg" "$stderr"
	run ssh -F none -i "$HOSTS/client" -p "$(host_port h1)" -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null "$OPS@127.0.0.1" "sudo -n $(host_root h1)/bin/copyhold-host serve tenant/acme"
	assert_exit 1
	assert_contains "sudo: a password is required"
}
