# shellcheck shell=bash disable=SC2154

# A first apply makes a host's cluster and a tenant in it.  Killed with SIGKILL at any of its
# boundaries, and resumed, it leaves the machine, the server and the catalogue as an undisturbed one
# does, and so does an undo: nothing.

load ../lib/home
load ../lib/hosts
load ../lib/wait
load ../lib/exclusive

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	STATES=$(mktemp -d "${COPYHOLD_TEST_TMP:-/tmp}/copyhold-kill.XXXXXX")
	export STATES
	begin
	state >"$STATES/empty"
	COPYHOLD_FAULT=list:$STATES/boundaries copyhold apply -f "$MANIFESTS" --yes --quiet
	state >"$STATES/done"
	end
}

teardown_file() {
	hosts_remove
	rm -rf -- "${STATES-}"
}

setup() { [ "$(id -u)" = 0 ] || skip "hosts are pretended by root"; }

# What a failed test leaves.
teardown() {
	[ -z "${TEST_DIR-}" ] || end
}

begin() {
	home_setup
	exclusive_setup >/dev/null
	cluster_on acme-pg h1
	tenant_on acme acme-pg
}

end() {
	exclusive_clear h1
	home_teardown
}

# --- what is there ---------------------------------------------------------------------------------

on_host() {
	local root
	root=$(host_root h1)
	cat "$root"/state/cluster/acme-pg/items 2>/dev/null | sort | uniq -c
	(cd "$root" && find clusters service -mindepth 1 -path '*/supervise*' -prune -o -path '*/data/*/*' -prune -o \
		-printf '%p %u %m %y\n' 2>/dev/null | grep -vE 'postmaster|\.s\.PGSQL|pg_wal|log/supervise|/log/lock')
	getent passwd | grep "^$(host_prefix h1)" | cut -d : -f 1,6,7
	cat "$root"/clusters/acme-pg/data/{copyhold,postgresql,postgresql.auto,pg_hba,pg_ident}.conf 2>/dev/null
	ls "$root/state/cluster/acme-pg/guards" 2>/dev/null
}

on_server() {
	[ -S "$(cluster_home h1 acme-pg)/run/.s.PGSQL.$SERVER_PORT" ] || return 0
	on_psql h1 acme-pg "SELECT 'role', rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolpassword IS NOT NULL
			FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 2;
		SELECT 'database', datname, pg_get_userbyid(datdba), datallowconn, datacl, shobj_description(oid, 'pg_database')
			FROM pg_database ORDER BY 2;
		SELECT 'setting', name, setting FROM pg_settings WHERE source = 'configuration file' AND name <> 'port' ORDER BY 2"
	on_psql h1 acme-pg "SELECT 'applied', kind, count(*) FROM copyhold.applied GROUP BY 2 ORDER BY 2" copyhold
	on_psql h1 acme-pg "SELECT 'applied', kind, count(*) FROM copyhold.applied GROUP BY 2 ORDER BY 2;
		SELECT 'column', table_name, column_name, data_type FROM information_schema.columns
			WHERE table_schema = 'app' ORDER BY 2, 3" t_acme
}

in_catalogue() {
	sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" <<-SQL
		SELECT 'tenant', name, state, mode, cluster, dbname, owner FROM tenant;
		SELECT 'login', tenant, client_user, role, on_now FROM login;
		SELECT 'route', tenant, state, cluster, dbname FROM route;
		SELECT 'object', kind, name, generation FROM object ORDER BY 2, 3;
		SELECT 'secret', name FROM secret;
		SELECT 'certificate', cluster FROM certificate;
		SELECT 'open', scope, kind, state FROM step WHERE state NOT IN ('done', 'undone', 'abandoned');
	SQL
	ls "$COPYHOLD_HOME/run/trust" 2>/dev/null || true
}

# The certificate that is recorded is the one that the server shows.
trusted() {
	[ -e "$COPYHOLD_HOME/run/trust/acme-pg.crt" ] || return 0
	diff <(openssl x509 -in "$(cluster_home h1 acme-pg)/tls/server.pem") "$COPYHOLD_HOME/run/trust/acme-pg.crt" &&
		echo trusted
}

state() {
	{
		on_host
		on_server
		in_catalogue
		trusted
	} | sed -E "s|$HOSTS|HOSTS|g; s|$TEST_DIR|HOME|g; s/\b$SERVER_PORT\b/PORT/g"
}

# --- kills ---------------------------------------------------------------------------------------------

most() { wc -l <"$STATES/boundaries"; }

# N: killed there.
killed_at() {
	local status=0
	COPYHOLD_FAULT=kill:$1 copyhold apply -f "$MANIFESTS" --yes --quiet >"$TEST_DIR/log" 2>&1 || status=$?
	[ "$status" = 137 ] || { echo "not killed at boundary $1 but ended with $status" && cat "$TEST_DIR/log" && return 1; }
}

# N VERB STATE: ended by that verb, it is so.
ends_as() {
	local name
	name=$(sed -n "$1p" "$STATES/boundaries")
	begin
	killed_at "$1"
	copyhold run "$2" 1 --yes --quiet >"$TEST_DIR/log" 2>&1 || {
		echo "killed at boundary $1 ($name), run $2 ended with $?" && cat "$TEST_DIR/log"
		end
		return 1
	}
	state >"$STATES/got"
	diff -u "$STATES/$3" "$STATES/got" || {
		echo "killed at boundary $1 ($name), after run $2 the state differs"
		end
		return 1
	}
	end
}

# FIRST LAST
resumed() {
	local n failed=0
	for ((n = $1; n <= $2 && n <= $(most); n++)); do
		ends_as "$n" resume done || failed=1
	done
	return "$failed"
}

@test "an undisturbed apply passes every kind of boundary of every step" {
	local kind
	for kind in pg.create pg.config pg.hba pg.start pg.setup pg.trust cluster.claim roles.create database.create; do
		grep -qx "$kind:intent" "$STATES/boundaries"
		grep -qx "$kind:acted" "$STATES/boundaries"
		grep -qx "$kind:done" "$STATES/boundaries"
	done
	[ "$(most)" -gt 40 ]
}

@test "killed at any of the first twenty boundaries and resumed, the end is the same" { resumed 1 20; }

@test "killed at any of the next twenty and resumed, the end is the same" { resumed 21 40; }

@test "killed at any later boundary and resumed, the end is the same" { resumed 41 "$(most)"; }

@test "killed after each step of the cluster and undone, nothing is left" {
	local n failed=0
	for n in $(grep -nE '^(pg\..*|cluster\.claim):acted$' "$STATES/boundaries" | cut -d : -f 1); do
		ends_as "$n" undo empty || failed=1
	done
	return "$failed"
}

# What is in force, and nothing waits to be taken back.
changed_to() {
	assert_equal "$(on_psql h1 acme-pg "SHOW max_connections; SHOW work_mem")" "$1
$2"
	grep -qx "hostssl all all $3 scram-sha-256" "$(cluster_home h1 acme-pg)/data/pg_hba.conf"
	assert_equal "$(trusted)" trusted
	assert_equal "$(ls "$(host_root h1)/state/cluster/acme-pg/guards")" ""
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

# --- cuts --------------------------------------------------------------------------------------------------

stopped() { [ "$(ps -o stat= -p "$1" | cut -c 1)" = T ]; }

# It ends by itself, or is resumed; STATE is there then.
ends() {
	local status=0
	wait "$1" || status=$?
	case $status in
	0) ;;
	3 | 4) copyhold run resume 1 --yes --quiet >"$TEST_DIR/log" 2>&1 || { cat "$TEST_DIR/log" && return 1; } ;;
	*) echo "it ended with $status" && cat "$TEST_DIR/log" && return 1 ;;
	esac
	state >"$STATES/got"
	diff -u "$STATES/done" "$STATES/got"
}

@test "its sessions cut before and after each step of the cluster, an apply ends in the same state" {
	local n pid failed=0
	for n in $(grep -nE '^pg\..*:(intent|acted)$' "$STATES/boundaries" | cut -d : -f 1); do
		begin
		COPYHOLD_FAULT=stop:$n "$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes --quiet >"$TEST_DIR/log" 2>&1 3>&- &
		pid=$!
		until_true stopped "$pid"
		host_drop h1
		kill -CONT "$pid"
		ends "$pid" || { echo "cut at boundary $n" && failed=1; }
		end
	done
	return "$failed"
}

@test "cut in the middle of initdb, the host goes on with it, and nothing is done twice" {
	local pid
	begin
	"$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes --quiet >"$TEST_DIR/log" 2>&1 3>&- &
	pid=$!
	until_true test -d "$(cluster_home h1 acme-pg)/data.new"
	host_drop h1
	ends "$pid"
	end
}

@test "a change of settings, networks and certificate, killed at any boundary and resumed, is there once" {
	local n status file
	begin
	cluster_on acme-pg h1 "  - {name: work_mem, value: 4MB}" "allow: [10.0.0.0/8]"
	file=$MANIFESTS/cluster-acme-pg.yaml
	copyhold apply -f "$MANIFESTS" --yes --quiet
	for ((n = 1; ; n++)); do
		sed -i "s/max_connections, value: .*}/max_connections, value: $((30 + n))}/
			s/work_mem, value: .*}/work_mem, value: $((4 + n))MB}/; s|allow: .*|allow: [10.$n.0.0/16]|" "$file"
		rm "$(cluster_home h1 acme-pg)/tls/server.pem"
		status=0
		COPYHOLD_FAULT=kill:$n copyhold apply -f "$MANIFESTS" --yes --quiet >"$TEST_DIR/log" 2>&1 || status=$?
		[ "$status" = 137 ] || break
		copyhold run resume "$((n + 1))" --yes --quiet
		changed_to "$((30 + n))" "$((4 + n))MB" "10.$n.0.0/16"
	done
	assert_equal "$status" 0
	[ "$n" -gt 12 ]
	changed_to "$((30 + n))" "$((4 + n))MB" "10.$n.0.0/16"
	end
}

# --- a restart in the middle ----------------------------------------------------------------------------

helpers() { pgrep -f "^[^ ]*sh $(host_root h1)/bin/copyhold-host"; }

# Everything of the helper's on the machine dies at once, as it does when the machine's memory is gone.
kill_helpers() {
	local pid
	for pid in $(helpers); do kill -STOP "$pid" 2>/dev/null || true; done
	for pid in $(helpers); do kill -KILL "$pid" 2>/dev/null || true; done
}

# Until the server stands still, which it does for a moment: one who looks all the time sees it.
until_stopped() {
	nice -n -10 python3 -c 'import os, sys, time
end = time.monotonic() + 60
while os.path.exists(sys.argv[1]):
    if time.monotonic() > end: sys.exit("the server was not stopped")
    time.sleep(0.001)' "$(cluster_home h1 acme-pg)/data/postmaster.pid"
}

# A setting that needs a restart.
connections() { sed -i "s/max_connections, value: .*}/max_connections, value: $1}/" "$MANIFESTS/cluster-acme-pg.yaml"; }

restarted() {
	assert_equal "$(on_psql h1 acme-pg "SHOW max_connections")" "$1"
	[ ! -e "$(echo "$(host_root h1)"/service/*acme-pg.pg)/down" ]
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "the helper killed between stop and start of a restart, the server runs again at the end of the resumed run" {
	local pid status=0
	begin
	copyhold apply -f "$MANIFESTS" --yes --quiet
	connections 33
	"$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes --quiet >"$TEST_DIR/log" 2>&1 3>&- &
	pid=$!
	until_stopped
	kill_helpers
	wait "$pid" || status=$?
	[ "$status" = 0 ] || copyhold run resume 2 --yes --quiet
	restarted 33
	end
}

@test "a server that a killed restart left stopped comes up with the run that is resumed" {
	local n
	begin
	copyhold apply -f "$MANIFESTS" --yes --quiet
	connections 33
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold apply -f "$MANIFESTS" --yes --quiet
	n=$(grep -nx pg.config:intent "$TEST_DIR/boundaries" | cut -d : -f 1)
	connections 34
	COPYHOLD_FAULT=kill:$n run -137 copyhold apply -f "$MANIFESTS" --yes --quiet
	sv -w 60 force-stop "$(host_root h1)"/service/*acme-pg.pg
	copyhold run resume 3 --yes --quiet
	restarted 34
	end
}
