# shellcheck shell=bash disable=SC2154

# Mode exclusive: the server is made on the customer's machine, kept as the manifest says, mended,
# and taken away again.  The tests go on from each other's machine.

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
	cp "$REPO/tests/conformance/model.yaml" "$MANIFESTS/conformance.yaml"
	cluster_on acme-pg h1
	tenant_on acme acme-pg exclusive conformance
	getent passwd >"$TEST_DIR/passwd.before"
}

teardown_file() {
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
	SOCKET=$(cluster_home h1 acme-pg)/run
}

entry() { sed -i "s|$1|$2|" "$MANIFESTS/cluster-acme-pg.yaml"; }
nothing_to_do() {
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	assert_out "nothing to do: 6 as they should be"
}

# SQL: as the tenant's login, over TLS.
as_acme() { psql -XAtq "$(copyhold route resolve acme --direct)" -c "$1"; }

@test "one apply makes the server, sets it up and provisions the tenant in it" {
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_contains "+ cluster acme-pg: host h1, 127.0.0.1:$SERVER_PORT, region here"
	assert_contains "+ tenant acme: exclusive on acme-pg
    + database t_acme
    + role t_acme
    + role t_acme_app"
	nothing_to_do
}

@test "the server has checksums, TLS, SCRAM, a user of its own, and no way in for its superuser but its socket" {
	local user
	user=$(cluster_user h1 acme-pg)
	assert_equal "$(on_psql h1 acme-pg "SELECT current_setting('data_checksums'), current_setting('ssl'),
		current_setting('password_encryption'), current_setting('shared_buffers'), current_setting('unix_socket_permissions')")" \
		"on|on|scram-sha-256|16MB|0770"
	assert_equal "$(on_psql h1 acme-pg "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database
		WHERE datname = 'template1'")" "UTF8|C"
	assert_equal "$(stat -c '%U %a' "$(cluster_home h1 acme-pg)/tls/server.pem")" "$user 600"
	assert_equal "$(stat -c '%U:%G %a' "$(cluster_home h1 acme-pg)")" "root:$user 750"
	assert_equal "$(on_psql h1 acme-pg "SELECT count(*) FROM pg_authid WHERE rolname = 'postgres' AND rolpassword IS NULL")" 1
	run psql -X "host=127.0.0.1 port=$SERVER_PORT user=postgres dbname=postgres sslmode=require" -c 'SELECT 1'
	assert_exit 2
	assert_contains "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"postgres\", database \"postgres\""
	run psql -X "host=127.0.0.1 port=$SERVER_PORT user=copyhold dbname=copyhold sslmode=disable" -c 'SELECT 1'
	assert_exit 2
	assert_contains "no pg_hba.conf entry for host \"127.0.0.1\", user \"copyhold\", database \"copyhold\", no encryption"
	run psql -X "host=$SOCKET port=$SERVER_PORT user=copyhold dbname=copyhold" -c 'SELECT 1'
	assert_exit 2
	assert_contains "no pg_hba.conf entry for host \"[local]\", user \"copyhold\", database \"copyhold\", no encryption"
}

@test "nothing secret is on the host: the password of our login is sealed in the home, the server has its verifier" {
	# What a session has that just ends may go while it is read.
	run grep -rlsE "PASSWORD|SCRAM-SHA-256\\$" "$(host_root h1)/state" "$(host_root h1)/run" "$(host_root h1)/log"
	assert_out ""
	try secret set cluster/acme-pg
	assert_exit 64
	assert_equal "$(on_psql h1 acme-pg "SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = 'copyhold'")" 'SCRAM-SHA-256$'
}

@test "an exclusive tenant has the object interface, as a dedicated one has" {
	local script
	on_psql h1 acme-pg "CREATE ROLE watcher SUPERUSER LOGIN PASSWORD 'watcher'"
	for script in interface plain dedicated; do
		"$(dirname "$COPYHOLD_BIN")/tests/lib/conform" "$(copyhold route resolve acme --direct)" \
			"host=127.0.0.1 port=$SERVER_PORT user=watcher password=watcher dbname=postgres sslmode=require" \
			"$REPO/tests/conformance/$script.sql" >"$BATS_TEST_TMPDIR/got"
		diff -u "$REPO/tests/conformance/$script.out" "$BATS_TEST_TMPDIR/got"
	done
	on_psql h1 acme-pg "DROP ROLE watcher"
}

@test "it works and is isolated" {
	try tenant verify acme --output json
	assert_exit 0
	assert_lacks FAILED
	nothing_to_do
}

@test "a changed setting is reloaded, one that needs a restart says so before" {
	local began
	began=$(on_psql h1 acme-pg "SELECT pg_postmaster_start_time()")
	echo "      - {name: work_mem, value: 5MB}" >>"$MANIFESTS/cluster-acme-pg.yaml"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	assert_contains "    + setting work_mem: 5MB"
	assert_lacks "restarts the server"
	assert_equal "$(on_psql h1 acme-pg "SHOW work_mem; SELECT pg_postmaster_start_time()")" "5MB
$began"
	entry "value: 30}" "value: 31}"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	assert_contains "    ~ setting max_connections: 30 -> 31
        restarts the server"
	assert_equal "$(on_psql h1 acme-pg "SHOW max_connections")" 31
	[ "$(on_psql h1 acme-pg "SELECT pg_postmaster_start_time()")" != "$began" ]
	nothing_to_do
}

@test "a setting that the server refuses changes nothing, and the error names it" {
	cp "$MANIFESTS/cluster-acme-pg.yaml" "$TEST_DIR/kept.yaml"
	echo "      - {name: wurk_mem, value: 5MB}" >>"$MANIFESTS/cluster-acme-pg.yaml"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 5
	assert_contains 'error[host-step]: "pg-config" on host "h1": PostgreSQL refuses the settings: unrecognized configuration parameter "wurk_mem"' "$stderr"
	entry "wurk_mem, value: 5MB" "maintenance_work_mem, value: plenty"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 5
	assert_contains 'PostgreSQL refuses the settings: invalid value for parameter "maintenance_work_mem": "plenty"' "$stderr"
	entry "maintenance_work_mem, value: plenty" "superuser_reserved_connections, value: 40"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 5
	assert_contains 'PostgreSQL does not start with the settings: superuser_reserved_connections (40) must be less than max_connections (31)' "$stderr"
	cp "$TEST_DIR/kept.yaml" "$MANIFESTS/cluster-acme-pg.yaml"
	assert_equal "$(on_psql h1 acme-pg "SHOW max_connections")" 31
	nothing_to_do
}

@test "settings that are ours, or no settings, are refused in the manifest's words" {
	cp "$MANIFESTS/cluster-acme-pg.yaml" "$TEST_DIR/kept.yaml"
	echo "      - {name: listen_addresses, value: '*'}" >>"$MANIFESTS/cluster-acme-pg.yaml"
	try plan -f "$MANIFESTS"
	assert_exit 64
	assert_contains 'setting "listen_addresses" of cluster "acme-pg" is refused: copyhold sets it' "$output$stderr"
	cp "$TEST_DIR/kept.yaml" "$MANIFESTS/cluster-acme-pg.yaml"
	echo "    allow: ['10.0.0.0/8 trust']" >>"$MANIFESTS/cluster-acme-pg.yaml"
	try plan -f "$MANIFESTS"
	assert_exit 64
	assert_contains '"10.0.0.0/8 trust" of "allow" of cluster "acme-pg" is no network' "$output$stderr"
	cp "$TEST_DIR/kept.yaml" "$MANIFESTS/cluster-acme-pg.yaml"
}

@test "what was changed by hand is found and put back" {
	local data
	data=$(cluster_home h1 acme-pg)/data
	on_psql h1 acme-pg "ALTER SYSTEM SET work_mem = '7MB'"
	on_psql h1 acme-pg "SELECT pg_reload_conf()" >/dev/null
	echo "host all all all trust" >>"$data/pg_hba.conf"
	echo "work_mem = 8MB" >>"$data/copyhold.conf"
	echo "enable_seqscan = off" >>"$data/postgresql.conf"
	try plan -f "$MANIFESTS"
	assert_exit 0
	assert_out "~ cluster acme-pg: host h1, 127.0.0.1:$SERVER_PORT, region here
    ~ file copyhold.conf: edited -> as it was written (changed by hand)
    ~ file pg_hba.conf: edited -> as it was written (changed by hand)
    ~ file postgresql.conf: edited -> as it was written (changed by hand)
    ~ setting work_mem: ALTER SYSTEM -> as the manifest has it (changed by hand)
      1. write the settings of cluster acme-pg on host h1
      2. write who may connect to cluster acme-pg on host h1
0 to add, 1 to change, 0 to remove, 5 as they should be; 2 steps"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	assert_equal "$(on_psql h1 acme-pg "SHOW work_mem; SHOW enable_seqscan")" "5MB
on"
	nothing_to_do
}

@test "a stopped server is found and started" {
	sv -w 60 stop "$(host_root h1)"/service/*acme-pg.pg
	try plan -f "$MANIFESTS"
	assert_exit 0
	assert_out "~ cluster acme-pg: host h1, 127.0.0.1:$SERVER_PORT, region here
    ~ server acme-pg: stopped -> running (changed by hand)
      1. start cluster acme-pg on host h1
0 to add, 1 to change, 0 to remove, 5 as they should be; 1 step"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	assert_equal "$(as_acme 'SELECT 1')" 1
	nothing_to_do
}

loaded() { on_psql h1 acme-pg "SELECT pg_conf_load_time()"; }
loaded_since() { [ "$(loaded)" != "$1" ]; }

# DAYS: a certificate that somebody else made, and that the server shows.
foreign_certificate() {
	local before
	before=$(loaded)
	(
		cd "$(cluster_home h1 acme-pg)/tls"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$1" -subj /CN=other \
			-addext subjectAltName=IP:127.0.0.1 -keyout k -out c 2>/dev/null
		cat c k >server.pem
		rm c k
	)
	on_psql h1 acme-pg "SELECT pg_reload_conf()" >/dev/null
	until_true loaded_since "$before"
}

@test "a server with another certificate is not talked to, and is given a new one" {
	foreign_certificate 400
	run as_acme 'SELECT 1'
	assert_exit 2
	assert_contains "certificate verify failed"
	try tenant verify acme
	assert_exit 1
	assert_err "error[tls]: the certificate of \"acme-pg\" was not signed by the CA that was given
  while: opening the database of \"acme\"
  while: verifying tenant \"acme\" as its login \"app\"
  hint:  Give the certificate of the CA that signed it; now \"$COPYHOLD_HOME/run/trust/acme-pg.crt\" is used."
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	assert_contains "    ~ certificate acme-pg: another one -> a new one (changed by hand)"
	assert_equal "$(as_acme 'SELECT 1')" 1
	nothing_to_do
}

@test "a certificate is renewed a month before its end, and the address is in it" {
	local later=$(($(date +%s) + 701 * 86400))
	COPYHOLD_NOW=${later}000 try plan -f "$MANIFESTS"
	assert_exit 0
	assert_contains "    ~ certificate acme-pg: until "
	run openssl x509 -in "$COPYHOLD_HOME/run/trust/acme-pg.crt" -noout -ext subjectAltName
	assert_contains "IP Address:127.0.0.1, DNS:localhost"
}

@test "a host that is off is named, the rest is planned, and exit is 4" {
	host_stop h1
	try plan -f "$MANIFESTS"
	assert_exit 4
	assert_contains 'error[host-unreachable]' "$output$stderr"
	assert_contains 'host "h1"' "$output$stderr"
	host_again h1
	nothing_to_do
}

@test "a cluster cannot move to another host or version by an edit" {
	cp "$MANIFESTS/cluster-acme-pg.yaml" "$TEST_DIR/kept.yaml"
	entry "host: h1" "host: h1, version: 16"
	sed -i "s/^    host: h1, version: 16/    host: h1\n    version: 16/" "$MANIFESTS/cluster-acme-pg.yaml"
	try plan -f "$MANIFESTS"
	assert_exit 1
	assert_contains 'cluster "acme-pg" is of PostgreSQL 15 and the manifest says 16' "$output$stderr"
	cp "$TEST_DIR/kept.yaml" "$MANIFESTS/cluster-acme-pg.yaml"
}

@test "a tenant is handed back: its database runs on with its roles, and no manifest's end takes it away" {
	cp -r "$MANIFESTS" "$TEST_DIR/without"
	rm "$TEST_DIR"/without/tenant-* "$TEST_DIR"/without/cluster-*
	sed -i /owner/d "$TEST_DIR/without/h1.yaml"
	URI=$(copyhold route resolve acme --direct)
	cp "$COPYHOLD_HOME"/run/trust/acme-pg.crt "$TEST_DIR/ca.crt"
	PASSWORD=$(sed 's/.*://' "$(sed 's/.*passfile=\([^&]*\).*/\1/' <<<"$URI" | python3 -c 'import sys, urllib.parse; print(urllib.parse.unquote(sys.stdin.read().strip()))')")
	try tenant delete acme --now --hand-back --confirm acme --yes --quiet
	assert_exit 0
	PGPASSWORD=$PASSWORD run psql -XAtq "host=127.0.0.1 port=$SERVER_PORT dbname=t_acme user=t_acme_app sslmode=verify-full sslrootcert=$TEST_DIR/ca.crt" \
		-c "SELECT count(*) FROM country"
	assert_exit 0
	assert_equal "$(on_psql h1 acme-pg "SELECT count(*) FROM pg_namespace WHERE nspname = 'copyhold'" t_acme)" 0
	assert_equal "$(on_psql h1 acme-pg "SELECT count(*) FROM copyhold.applied WHERE tenant NOT LIKE 'cluster/%'" copyhold)" 1
	try apply -f "$TEST_DIR/without" --prune --yes --confirm-removal --quiet
	assert_exit 0
	assert_contains "- cluster acme-pg: left running: it holds t_acme"
	assert_equal "$(on_psql h1 acme-pg "SELECT 1" t_acme)" 1
	try secret list
	assert_lacks acme-pg
	[ ! -e "$COPYHOLD_HOME/run/trust/acme-pg.crt" ]
}
