# The gateway as a program that somebody runs: what it is told, what it tells, how it ends.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

PYTHON=/usr/bin/python3
SCHEMA=$REPO/manifests/schema/output-v1.json

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	copyhold apply -f "$MANIFESTS" --yes --quiet
	certificate one
	gateway_start gw --metrics 127.0.0.1:0
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# NAME: $TEST_DIR/tls.crt and .key, of our own making; the certificate's subject is NAME.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj "/CN=$1" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
		-keyout "$TEST_DIR/tls.key" -out "$TEST_DIR/tls.crt" 2>/dev/null
	chmod 600 "$TEST_DIR/tls.key"
}

ask() { psql -X -At -d "$(gw "$1")" -c "$2" 2>&1; }

# DEFINITION ARGUMENT...: what the command prints as JSON fits the schema.
fits() { copyhold "${@:2}" -o json | "$PYTHON" "$REPO/tests/lib/schema.py" "$SCHEMA" "$1"; }

# A client that stays: what it says is read from $TEST_DIR/NAME.sql as it is written there.
client() {
	mkfifo "$TEST_DIR/$1.sql"
	psql -X -At -q -d "$(gw "$2")" <"$TEST_DIR/$1.sql" >"$TEST_DIR/$1.out" 2>&1 3>&- &
	exec 9>"$TEST_DIR/$1.sql"
	echo "SELECT 'ready';" >&9
	until_true grep -q ready "$TEST_DIR/$1.out"
}

client_ends() {
	exec 9>&-
	rm "$TEST_DIR/$1.sql"
}

rows_of() { copyhold gateway "$@" -o json | jq length; }
status_sum() { copyhold gateway status -o json | jq "[.[].$1] | add"; }
has_clients() { [ "$(rows_of clients "$1")" = "$2" ]; }

# PID: it has given up what it gives up; no_new_privs is what goes last but one, and stays.
confined() { grep -q '^NoNewPrivs:	1' "/proc/$1/status" && grep -q '^CapPrm:	0*$' "/proc/$1/status"; }

@test "its workers run as another user and know nothing of our environment" {
	local pid worker
	pid=$(gateway_pid gw)
	for worker in $(pgrep -P "$pid"); do
		until_true confined "$worker"
		if [ "$(id -u)" = 0 ]; then
			assert_equal "$(awk '/^Uid:/ { print $2 }' "/proc/$worker/status")" "$(id -u nobody)"
			assert_equal "$(awk '/^Groups:/ { print NF }' "/proc/$worker/status")" 1
		fi
		assert_equal "$(tr '\0' '\n' <"/proc/$worker/environ")" ""
		assert_equal "$(tr '\0' ' ' <"/proc/$worker/cmdline")" "copyhold gateway worker "
	done
}

# As the unit starts it: a master that is not root and may make its workers another user.
@test "the workers of a master that is not root are another user, too, and have no capability" {
	local pid worker home=$TEST_DIR/homes/home first=$GATEWAY
	[ "$(id -u)" = 0 ] || skip "only root can give capabilities away"
	ask globex "SELECT 1" >/dev/null # the password lies in a file now
	mkdir -m 711 "$TEST_DIR/homes"
	cp -a "$COPYHOLD_HOME" "$home"
	rm -rf "$home/run" "$home"/catalog.db* # what runs is the other's, which writes meanwhile
	sqlite3 "$COPYHOLD_HOME/catalog.db" ".timeout 30000" ".backup '$home/catalog.db'"
	chmod --reference "$COPYHOLD_HOME/catalog.db" "$home/catalog.db"
	mkdir -m 700 "$home/run"
	chown -R daemon: "$home"
	cp "$COPYHOLD_BIN" "$TEST_DIR/homes/copyhold"
	chmod 755 "$TEST_DIR/homes/copyhold"
	chmod 711 "$TEST_DIR"
	cat >"$TEST_DIR/homes/start" <<-SH
		#!/bin/sh
		exec setpriv --reuid=daemon --regid=daemon --clear-groups --no-new-privs --bounding-set=-all,+setuid,+setgid,+kill \
			--inh-caps=-all,+setuid,+setgid,+kill --ambient-caps=-all,+setuid,+setgid,+kill -- $TEST_DIR/homes/copyhold "\$@"
	SH
	chmod 755 "$TEST_DIR/homes/start"
	COPYHOLD_HOME=$home COPYHOLD_BIN=$TEST_DIR/homes/start gateway_start unit
	pid=$(gateway_pid unit)
	assert_equal "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" "$(id -u daemon)"
	for worker in $(pgrep -P "$pid"); do
		until_true confined "$worker"
		assert_equal "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$worker/status")" \
			"$(id -u nobody) $(id -u nobody) $(id -u nobody) $(id -u nobody)"
		assert_equal "$(awk '/^Groups:/ { print NF }' "/proc/$worker/status")" 1
		assert_equal "$(awk '/^Cap(Inh|Prm|Eff|Amb):/ { print $2 }' "/proc/$worker/status" | sort -u)" 0000000000000000
		assert_equal "$(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$worker/status")" 1
	done
	assert_equal "$(psql -X -At -h 127.0.0.1 -p "${GATEWAY##*:}" -d "dbname=globex user=app \
		passfile=$COPYHOLD_HOME/run/pass/globex.app.gateway" -c "SELECT 2")" 2
	pgrep -P "$pid" | xargs kill -STOP # it can end those that do not listen
	until_true put_out "$pid"
	rm "$TEST_DIR/gateway.unit.pid"
	GATEWAY=$first
}

# The third signal does not ask.
put_out() {
	kill "$1" 2>/dev/null || true
	gone "$1"
}

@test "a tenant's clients, pools and server connections are listed" {
	client one globex
	until_true has_clients globex 1 # those before it leave in their own time
	copyhold gateway clients globex -o json >"$TEST_DIR/clients"
	assert_equal "$(jq -r '.[0] | [.user, .state, .application, .pinned] | @csv' "$TEST_DIR/clients")" \
		'"app","idle","psql",false'
	# the other worker may still have a pool without clients, and an idle connection
	assert_equal "$(copyhold gateway pools -o json | jq -c '[.[] | select(.tenant == "globex")] |
		[(map([.user, .mode]) | unique), (map(.clients) | add)]')" '[[["app","session"]],1]'
	assert_equal "$(copyhold gateway servers bj-1 -o json |
		jq -c '[.[] | select(.tenant == "globex" and .state == "held") | .cluster]')" '["bj-1"]'
	assert_equal "$(rows_of servers acme-db)" 0
	fits gatewayStatus gateway status
	fits gatewayPools gateway pools
	fits gatewayClients gateway clients globex
	fits gatewayServers gateway servers
	echo "LISTEN x;" >&9
	until_true pinned globex LISTEN
	fits routePins route pins globex
	try route pins globex
	assert_exit 0
	assert_contains "LISTEN"
	client_ends one
	until_true has_clients globex 0
}

pinned() { [ "$(copyhold route pins "$1" -o json | jq -r '.[0].why[0]')" = "$2" ]; }

@test "what is asked of a tenant, a cluster or a gateway that is not there is said" {
	try gateway clients nobody
	assert_exit 1
	assert_contains 'error[not-found]: there is no tenant "nobody"' "$stderr"
	try gateway servers nowhere
	assert_exit 1
	assert_contains 'error[not-found]: there is no cluster "nowhere"' "$stderr"
	try route pins nobody
	assert_exit 1
	assert_contains 'error[not-found]: there is no tenant "nobody"' "$stderr"
}

# NAME: the TCP ports that its master listens on.
ports_of() {
	ss -Hltnp | awk -v pid="pid=$(gateway_pid "$1")," 'index($0, pid) { n = split($4, a, ":"); print a[n] }' | sort -u
}

@test "metrics are told to whom is on this machine" {
	local port
	port=$(ports_of gw | grep -v "^${GATEWAY##*:}\$")
	ask initech "SELECT 1"
	until_true logins_told "$port"
	curl -s "http://127.0.0.1:$port/metrics" >"$TEST_DIR/metrics"
	grep -qx 'copyhold_gateway_workers 2' "$TEST_DIR/metrics"
	grep -qx '# TYPE copyhold_gateway_logins_total counter' "$TEST_DIR/metrics"
	assert_equal "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/other")" 404
}

logins_told() {
	curl -s "http://127.0.0.1:$1/metrics" |
		awk '/^copyhold_gateway_logins_total/ { n += $2 } END { exit !(n > 0) }'
}

@test "a password that was rotated opens the gateway, and the old one does not" {
	local before
	ask globex "SELECT 1"
	before=$(awk -F: '{ print $5 }' "$COPYHOLD_HOME/run/pass/globex.app.gateway")
	copyhold login rotate globex app
	assert_equal "$(ask globex "SELECT 7")" 7
	run env PGPASSWORD="$before" psql -X -At -h 127.0.0.1 -p "${GATEWAY##*:}" -U app -d globex -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  tenant, user or password is wrong"
}

@test "a login that is over, and one that has enough clients, are refused" {
	copyhold login add globex late --valid-until 2020-01-01
	run psql -X -At -d "$(gw globex late)" -c "SELECT 1"
	assert_exit 2
	copyhold login add globex few --connections 1000
	assert_equal "$(psql -X -At -d "$(gw globex few)" -c "SELECT 1")" 1
	assert_equal "$(copyhold login list globex -o json | jq -c '[.[] | select(.user != "app") |
		[.user, .validUntil, .connections]]')" '[["few",null,1000],["late","2020-01-01T00:00:00.000Z",0]]'
}

@test "the limits of a login are changed, known at once, and taken back" {
	try login limit globex late
	assert_exit 64
	assert_err "error[usage]: no limit is given
  hint:  Say --connections N, --valid-until TIME, or both."
	copyhold login limit globex late --valid-until never
	assert_equal "$(psql -X -At -d "$(gw globex late)" -c "SELECT 1")" 1
	copyhold login limit globex few --connections 7
	limits() {
		copyhold login list globex -o json |
			jq -c '[.[] | select(.user != "app") | [.user, .validUntil, .connections]]'
	}
	assert_equal "$(limits)" '[["few",null,7],["late",null,0]]'
	copyhold run undo "$(copyhold run list -o json | jq ".[0].id")" --yes
	assert_equal "$(limits)" '[["few",null,1000],["late",null,0]]'
	try login limit globex nobody --connections 1
	assert_exit 1
	assert_err 'error[not-found]: tenant "globex" has no login "nobody"
  hint:  See: copyhold login list globex.'
}

@test "more logins than gateways take of one tenant are refused when they are made" {
	local catalog=$COPYHOLD_HOME/catalog.db
	/usr/bin/python3 - "$catalog" <<-'PY'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1], timeout=30)
		have = db.execute("SELECT count(*) FROM login WHERE tenant = 'acme'").fetchone()[0]
		db.executemany("INSERT INTO login (tenant, client_user, role, access, scram_verifier, sealed) "
		    "VALUES ('acme', ?, ?, 'rw', 'v', x'00')", [(f"many{i}", f"role{i}") for i in range(1024 - have)])
		db.commit()
	PY
	try login add acme more --yes
	assert_exit 1
	assert_err 'error[limit]: tenant "acme" has 1024 logins, and gateways take no more of one tenant
  hint:  Remove one that nobody uses: copyhold login remove TENANT NAME.'
	assert_equal "$(ask acme "SELECT 1")" 1
	/usr/bin/python3 - "$catalog" <<-'PY'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1], timeout=30)
		db.execute("DELETE FROM login WHERE tenant = 'acme' AND client_user LIKE 'many%'")
		db.commit()
	PY
}

# FROM TO: of the catalogue; what refers to it goes on to say FROM.
rename_table() {
	/usr/bin/python3 - "$COPYHOLD_HOME/catalog.db" "$@" <<-'PY'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1], timeout=30)
		db.execute("PRAGMA legacy_alter_table = on")
		db.execute(f"ALTER TABLE {sys.argv[2]} RENAME TO {sys.argv[3]}")
		db.commit()
	PY
}

@test "while the catalogue cannot be read nobody is told that a password is wrong" {
	local uri
	uri=$(gw globex)
	rename_table login login_away
	run psql -X -At -d "$uri" -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  the gateway cannot look logins up now"
	run env PGPASSWORD=wrong psql -X -At -h 127.0.0.1 -p "${GATEWAY##*:}" -U ghost -d nobody -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  the gateway cannot look logins up now"
	rename_table login_away login
	until_true psql -X -At -d "$uri" -c "SELECT 1"
}

modes_are() {
	[ "$(copyhold gateway pools -o json | jq -r --arg tenant "$1" '[.[] | select(.tenant == $tenant).mode] |
		unique | join(" ")')" = "$2" ]
}

@test "what a manifest says for the gateway is in use after apply, without a step on a server" {
	local runs
	sed -i '/metadata: {name: initech/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 3}/' \
		"$MANIFESTS/tenants.yaml"
	try plan -f "$MANIFESTS"
	assert_contains "1 to change"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	runs=$(copyhold run list --limit 1 -o json | jq -r '.[0].id')
	assert_equal "$(copyhold run show "$runs" -o json | jq -r '[.[].kind] | unique | join(" ")')" tenant.record
	ask initech "SELECT 1"
	until_true modes_are initech transaction # of both workers, where they have a pool of it
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "a route is held and released, and who holds the tenant's lease is not disturbed" {
	try route hold globex --max 10m
	assert_exit 0
	assert_contains 'The route of "globex" is held until '
	assert_equal "$(copyhold route show globex -o json | jq -r '.[0].state')" park
	psql -X -At -d "$(gw globex)" -c "SELECT 'went on'" >"$TEST_DIR/held" 2>&1 3>&- &
	until_true parked 1
	try route release globex
	assert_exit 0
	assert_out 'The route of "globex" is released.'
	until_true grep -q "went on" "$TEST_DIR/held"
	try route release globex
	assert_exit 1
	assert_err 'error[refused]: the route of tenant "globex" is not held
  hint:  See: copyhold route show globex.'
	try route hold globex --max 11m
	assert_exit 64
	assert_err "error[usage]: --max takes 1ms to 10m"
	copyhold tenant suspend initech --yes --quiet
	try route hold initech
	assert_exit 1
	assert_contains 'the route of tenant "initech" is not open' "$stderr"
	copyhold tenant resume initech --quiet
}

gateways() { copyhold gateway status -o json | jq -r '[.[].gateway] | unique | length'; }
parked() { [ "$(status_sum parked)" = "$1" ]; }

@test "a second gateway serves beside the first, and each change waits for both" {
	local first=$GATEWAY
	gateway_start second
	assert_equal "$(gateways)" 2
	copyhold route hold globex --max 10m
	copyhold route release globex
	assert_equal "$(psql -X -At -h 127.0.0.1 -p "${GATEWAY##*:}" -d "dbname=globex user=app \
		passfile=$COPYHOLD_HOME/run/pass/globex.app.gateway" -c "SELECT 2")" 2
	gateway_stop second
	GATEWAY=$first
	assert_equal "$(gateways)" 1
}

@test "TLS: the certificate is renewed without dropping a client, and a broken one is not taken" {
	local first=$GATEWAY dsn
	gateway_start tls --tls-cert "$TEST_DIR/tls.crt" --tls-key "$TEST_DIR/tls.key" --tls-ca "$TEST_DIR/tls.crt"
	dsn="host=localhost hostaddr=127.0.0.1 port=${GATEWAY##*:} dbname=globex user=app
		passfile=$COPYHOLD_HOME/run/pass/globex.app.gateway sslmode=verify-full"
	cp "$TEST_DIR/tls.crt" "$TEST_DIR/old.crt"
	copyhold route resolve globex >/dev/null
	mkfifo "$TEST_DIR/stay.sql"
	psql -X -At -q -d "$dsn sslrootcert=$TEST_DIR/old.crt" <"$TEST_DIR/stay.sql" >"$TEST_DIR/stay.out" 2>&1 3>&- &
	exec 8>"$TEST_DIR/stay.sql"
	echo "SELECT 'in';" >&8
	until_true grep -q in "$TEST_DIR/stay.out"
	certificate two
	kill -HUP "$(gateway_pid tls)"
	until_true psql -X -At -d "$dsn sslrootcert=$TEST_DIR/tls.crt" -c "SELECT 1"
	echo "SELECT 'still there';" >&8
	until_true grep -q "still there" "$TEST_DIR/stay.out"
	exec 8>&-
	echo broken >"$TEST_DIR/tls.crt.broken"
	cp "$TEST_DIR/tls.crt" "$TEST_DIR/two.crt"
	cp "$TEST_DIR/tls.crt.broken" "$TEST_DIR/tls.crt"
	kill -HUP "$(gateway_pid tls)"
	until_true grep -q "error\[tls\]" "$TEST_DIR/gateway.tls.log"
	assert_equal "$(psql -X -At -d "$dsn sslrootcert=$TEST_DIR/two.crt" -c "SELECT 4")" 4
	gateway_stop tls
	GATEWAY=$first
}

# At the gateway that was started last, whichever `route resolve` names.
as_globex() {
	psql -X -At -q -h 127.0.0.1 -p "${GATEWAY##*:}" \
		-d "dbname=globex user=app passfile=$COPYHOLD_HOME/run/pass/globex.app.gateway" "$@"
}

# TEXT: what a second client is told whose first one stays.
second_is_told() { as_globex -c "SELECT 'in'" 2>&1 | grep -q "$1"; }

@test "limits of a file are read again at SIGHUP, and one that is wrong changes nothing" {
	local first=$GATEWAY
	echo "tenantClients: 1" >"$TEST_DIR/limits.yaml"
	gateway_start few --workers 1 --tenant-clients 9 --limits "$TEST_DIR/limits.yaml"
	mkfifo "$TEST_DIR/few.sql"
	copyhold route resolve globex >/dev/null
	as_globex <"$TEST_DIR/few.sql" >"$TEST_DIR/few.out" 2>&1 3>&- &
	exec 8>"$TEST_DIR/few.sql"
	echo "SELECT 'first';" >&8
	until_true grep -q first "$TEST_DIR/few.out"
	second_is_told "too many connections of this login"
	printf 'wait: 20s\ntenantClients: 2\n' >"$TEST_DIR/limits.yaml"
	kill -HUP "$(gateway_pid few)"
	until_true second_is_told '^in$'
	echo "tenantClient: 1" >"$TEST_DIR/limits.yaml"
	kill -HUP "$(gateway_pid few)"
	until_true grep -q "error\[manifest\]" "$TEST_DIR/gateway.few.log"
	assert_contains 'Did you mean "tenantClients"?' "$(cat "$TEST_DIR/gateway.few.log")"
	second_is_told '^in$'
	: >"$TEST_DIR/limits.yaml"
	kill -HUP "$(gateway_pid few)"
	until_true eval '[ "$(grep -c "limits were read again" "$TEST_DIR/gateway.few.log")" = 2 ]'
	echo "SELECT 'still there';" >&8
	until_true grep -q "still there" "$TEST_DIR/few.out"
	exec 8>&-
	gateway_stop few
	GATEWAY=$first
}

takes_connections() { (exec 7<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
takes_no_connections() { ! takes_connections "$1"; }

@test "SIGTERM lets a transaction end, and refuses whoever comes later" {
	local first=$GATEWAY port
	gateway_start drained --drain 10m --listen "$TEST_DIR" --listen 127.0.0.1:0
	port=$(ports_of drained)
	until_true takes_connections "$port"
	copyhold route resolve globex >/dev/null
	mkfifo "$TEST_DIR/tx.sql"
	PGPASSFILE=$COPYHOLD_HOME/run/pass/globex.app.gateway psql -X -At -q -h "$TEST_DIR" -p 6432 -U app -d globex \
		<"$TEST_DIR/tx.sql" >"$TEST_DIR/tx.out" 2>&1 3>&- &
	exec 8>"$TEST_DIR/tx.sql"
	echo "BEGIN; SELECT 'begun';" >&8
	until_true grep -q begun "$TEST_DIR/tx.out"
	kill -TERM "$(gateway_pid drained)"
	until_true grep -q "draining 2 workers" "$TEST_DIR/gateway.drained.log"
	until_true test ! -e "$TEST_DIR/.s.PGSQL.6432"
	until_true takes_no_connections "$port" # neither does the worker that goes on
	assert_equal "$(gateways)" 2
	copyhold tenant suspend initech --yes --quiet
	copyhold tenant resume initech --quiet
	copyhold route hold initech --max 1ms
	echo "SELECT 'ended'; COMMIT;" >&8
	until_true grep -q ended "$TEST_DIR/tx.out"
	exec 8>&-
	until_true gone "$(gateway_pid drained)"
	grep -q "^stopped" "$TEST_DIR/gateway.drained.log"
	assert_equal "$(gateways)" 1
	rm "$TEST_DIR/gateway.drained.pid"
	GATEWAY=$first
}

@test "a gateway that was killed leaves no worker behind, and another one takes its place" {
	local pid
	gateway_start victim
	pid=$(gateway_pid victim)
	pgrep -P "$pid" >"$TEST_DIR/orphans"
	kill -KILL "$pid"
	while read -r worker; do until_true gone "$worker"; done <"$TEST_DIR/orphans"
	rm "$TEST_DIR/gateway.victim.pid"
	assert_equal "$(ask globex "SELECT 3")" 3
}

@test "no secret is in its log, in its sockets' folder or in what a worker is started with" {
	local secret
	for secret in "$BJ1_PASSWORD" "$ACME_DB_PASSWORD" \
		"$(awk -F: '{ print $5 }' "$COPYHOLD_HOME/run/pass/globex.app.gateway")"; do
		run grep -rF -- "$secret" "$TEST_DIR"/gateway.*.log "$COPYHOLD_HOME/run/gateway"
		assert_exit 1
	done
}

@test "without a gateway, resolve says how to get one" {
	gateway_stop gw
	try route resolve globex
	assert_exit 1
	assert_err 'error[not-found]: no gateway is running
  hint:  Start one: copyhold gateway run. Or, as an operator, take the server itself: copyhold route resolve globex --direct.'
	try gateway status
	assert_exit 1
	assert_err 'error[not-found]: no gateway is running
  hint:  Start one: copyhold gateway run.'
}
