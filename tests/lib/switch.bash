# shellcheck shell=bash
# switch.bash - for bats files: a tenant that is switched from one cluster to another.
#
#   load ../lib/home
#   load ../lib/cluster
#   load ../lib/wait
#   load ../lib/switch
#   setup_file() { clusters_setup; cluster_start old; home_setup; switch_setup; }
#   setup() { export COPYHOLD_HOME=$TEST_DIR/home; }
#   teardown_file() { gateway_stop; clusters_remove; home_teardown; }
#
# switch_setup leaves a home, server "old" set up, and $MANIFESTS, applied: cluster old, cluster "new",
# which is the same server at another address, and tenant acme on old.

switch_setup() {
	export MANIFESTS=$TEST_DIR/manifests VENDOR_PASSWORD=switch-canary-71d0
	mkdir "$MANIFESTS"
	switch_place >"$MANIFESTS/place.yaml"
	switch_cluster old 127.0.0.1 "$(cluster_port old)" >"$MANIFESTS/old.yaml"
	switch_cluster new localhost "$(cluster_port old)" >"$MANIFESTS/new.yaml"
	switch_tenant acme >"$MANIFESTS/acme.yaml"
	copyhold init
	copyhold cluster setup-script old -f "$MANIFESTS" | su_psql old -
	copyhold apply -f "$MANIFESTS" --yes
}

switch_place() {
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: here}
		spec: {country: CN}
		---
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: abroad}
		spec: {country: SG}
		---
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: notes}
		spec: {version: 1, objects: [{name: note, fields: [{name: n, type: integer, required: true}]}]}
	YAML
}

# NAME HOST PORT [REGION]
switch_cluster() {
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: $1}
		spec:
		  region: ${4:-here}
		  modes: [dedicated]
		  capacity: 100
		  connect: {host: $2, port: $3, password: {secretRef: "env:VENDOR_PASSWORD"}}
	YAML
}

# NAME [CLUSTER]
switch_tenant() {
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: $1}
		spec: {model: notes, mode: dedicated, cluster: ${2:-old}, residency: {country: CN}}
	YAML
}

# NAME [OF]: server NAME, whatever it was, is a streaming standby of server OF (old).
standby_start() {
	local of=${2:-old} data=$CLUSTERS/$1/data hba
	hba=$CLUSTERS/$of/data/pg_hba.conf
	[ -d "$data" ] || cluster_start "$1"
	cluster_crash "$1"
	grep -q replication "$hba" || echo "local replication postgres peer map=starter" >>"$hba"
	su_psql "$of" "SELECT pg_reload_conf()" >/dev/null
	as_server find "$data" -mindepth 1 -delete
	as_server /usr/lib/postgresql/15/bin/pg_basebackup -D "$data" -R --checkpoint=fast --no-sync \
		-h "$(cluster_socket "$of")" -p "$(cluster_port "$of")" -U postgres
	cluster_start "$1" --set fsync=off
}

# For a switch of a tenant that writes meanwhile: a commit takes what the disk takes.
# shellcheck disable=SC2034 # for the test
PATIENT=(--drain 20s --max 1m)

# COMMAND...: as the user that the servers run as.
as_server() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && runuser -u postgres -- "$@")
	else
		"$@"
	fi
}

catalogue() { sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "$1"; }

# TENANT: its database, the role of its login.
database_of() { catalogue "SELECT dbname FROM tenant WHERE name = '$1'"; }
role_of() { catalogue "SELECT role FROM login WHERE tenant = '$1' AND client_user = 'app'"; }

# SERVER TENANT SQL: as the superuser, in the tenant's database.
rows_of() { su_psql "$1" "$3" "$(database_of "$2")"; }

# --- a gateway ----------------------------------------------------------------------------

# On a port that it chooses itself; what it says is in gateway.log, of one that is started beside it in gateway2.log.
gateway_start() {
	local log=$TEST_DIR/gateway${GATEWAY:+2}.log
	"$COPYHOLD_BIN" gateway run --listen 127.0.0.1:0 "$@" >"$log" 2>&1 3>&- &
	GATEWAY=$!
	until_true gateway_serves "$log" || {
		cat "$log"
		return 1
	}
	GATEWAY_PORT=$(port_in "$log")
	export GATEWAY_PORT
}

gateway_serves() { kill -0 "$GATEWAY" && [ -n "$(port_in "$1")" ]; }
port_in() { sed -n 's/.*serving on 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$1"; }

gateway_stop() {
	[ -n "${GATEWAY-}" ] || return 0
	kill "$GATEWAY" 2>/dev/null || true
	wait "$GATEWAY" 2>/dev/null || true
	GATEWAY=
}

# --- switches that are killed ---------------------------------------------------------------

last_run() { catalogue "SELECT max(id) FROM run"; }
boundaries() { wc -l <"$TEST_DIR/boundaries"; }
name_of() { sed -n "$1p" "$TEST_DIR/boundaries"; }

# N TO: killed there.  SWITCH_BY names the way, if it is not the one that fits.
kill_at() {
	local status=0
	COPYHOLD_FAULT=kill:$1 copyhold route switch acme --to "$2" ${SWITCH_BY:+--by "$SWITCH_BY"} --drain 10s --max 30s --yes >"$TEST_DIR/said" 2>&1 || status=$?
	[ "$status" = 137 ] || {
		echo "not killed at $1, $(name_of "$1"), but ended with $status" && cat "$TEST_DIR/said"
		return 1
	}
}

# VERB: what the last run ends with when it is gone on with.
go_on() {
	local status=0
	copyhold run "$1" "$(last_run)" --yes >"$TEST_DIR/said" 2>&1 || status=$?
	echo "$status"
}

resume_or_tell() {
	[ "$(go_on resume)" = 0 ] && return
	echo "killed at $1, $(name_of "$1"), not resumed" && cat "$TEST_DIR/said"
	return 1
}

# N: the login comes in, and finds so many rows.
comes_in() { [ "$(psql -X -q -At "$GATEWAY_URI" -c "SELECT count(*) FROM note" 2>&1)" = "$1" ]; }

# A run with exit code $status has ended, or is gone on with: done, or taken back.
ends() {
	case $status in
	0 | 5) return ;;
	3 | 4) [ "$(go_on resume)" != 0 ] || return 0 ;;
	esac
	[ "$(catalogue "SELECT state FROM run WHERE id = $(last_run)")" != undone ] || return 0
	echo "ended with $status" && cat "$TEST_DIR/held.out" "$TEST_DIR/held.err" "$TEST_DIR/said"
	return 1
}

# SERVER, or "workers": dead at once; a server comes back.
killed() {
	if [ "$1" = workers ]; then
		pkill -KILL -P "$GATEWAY"
	else
		cluster_crash "$1"
		cluster_start "$1" --set fsync=off
	fi
}

# --- a writer ----------------------------------------------------------------------

# SERVER: one row after the other goes to acme on it through the gateway, numbered, until end_writer.
begin_writer() {
	: >"$TEST_DIR/go"
	write_rows | psql -X -q -v ON_ERROR_STOP=1 "$GATEWAY_URI" >"$TEST_DIR/writer" 2>&1 3>&- &
	WRITER=$!
	until_true has_rows "$1"
}

write_rows() {
	local i=0
	while [ -e "$TEST_DIR/go" ]; do
		i=$((i + 1))
		echo "INSERT INTO note (n) VALUES ($i);"
		echo "$i" >"$TEST_DIR/written"
		nap 0.005
	done
}

has_rows() { [ "$(rows_of "$1" acme "SELECT count(*) FROM app.note")" -gt 0 ]; }

# SERVER: no write has failed, none is lost or doubled.
end_writer() {
	rm -f "$TEST_DIR/go"
	wait "$WRITER" || {
		cat "$TEST_DIR/writer"
		return 1
	}
	local n
	n=$(<"$TEST_DIR/written")
	assert_equal "$(rows_of "$1" acme "SELECT count(*), count(DISTINCT n), max(n) FROM app.note")" \
		"$n|$n|$n"
}
