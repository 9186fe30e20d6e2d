# TLS on both sides: tenants named by SNI, a server that wants a certificate of us, files of one cluster that
# are broken.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

setup_file() {
	export BJ1_PASSWORD=vendor-canary-5f2c ACME_DB_PASSWORD=customer-canary-91ab
	clusters_setup
	cluster_start bj-1
	cluster_start acme-db --client-certs
	home_setup
	export TLS=$TEST_DIR/tls MANIFESTS=$TEST_DIR/manifests
	mkdir "$TLS"
	cp "$CLUSTERS"/certs/{ca.crt,client.crt,client.key,other-client.key} "$TLS"
	chmod 600 "$TLS"/*.key
	estate_manifests "$MANIFESTS"
	sed -i "s|sslmode: verify-full|sslmode: require|
		s|^\( *\)sslrootcert: .*|\1sslrootcert: $TLS/ca.crt\n\1sslcert: $TLS/client.crt\n\1sslkey: $TLS/client.key|" \
		"$MANIFESTS/clusters.yaml"
	copyhold init
	copyhold cluster setup-script bj-1 -f "$MANIFESTS" | su_psql bj-1 -
	copyhold tenant setup-script acme -f "$MANIFESTS" | su_psql acme-db -
	copyhold apply -f "$MANIFESTS" --yes --quiet
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=db.example \
		-addext "subjectAltName=DNS:*.db.example" -keyout "$TEST_DIR/gw.key" -out "$TEST_DIR/gw.crt" 2>/dev/null
	chmod 600 "$TEST_DIR/gw.key"
	gateway_start gw --workers 1 --limits "$(gateway_limits_file gw)" --sni-domain db.example --tls-cert "$TEST_DIR/gw.crt" \
		--tls-key "$TEST_DIR/gw.key"
	GLOBEX=$(gw globex) ACME=$(gw acme)
	export GLOBEX ACME
	for tenant in globex initech; do
		sed 's/^[^:]*:[^:]*:[^:]*:/*:*:*:/' "$(passfile_of "$tenant")" >"$TEST_DIR/$tenant.pass"
		chmod 600 "$TEST_DIR/$tenant.pass"
	done
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	LOG_FROM=$(($(wc -l <"$TEST_DIR/gateway.gw.log") + 1))
}

passfile_of() { gw "$1" | sed 's/.*passfile=\([^&]*\).*/\1/; s/%2F/\//g'; }
in_log() { tail -n "+$LOG_FROM" "$TEST_DIR/gateway.gw.log" | grep -qF "$1"; }
ask() { psql -X -At -d "$1" -c "$2" 2>&1; }

# HOST TENANT PARAMETER...: by TLS under that name, with the tenant's password.
by_name() {
	psql -X -At -d "host=$1 hostaddr=127.0.0.1 port=${GATEWAY##*:} sslmode=verify-full sslrootcert=$TEST_DIR/gw.crt
		passfile=$TEST_DIR/$2.pass ${*:3}" -c "SELECT current_database()" 2>&1
}

@test "the name in the TLS handshake is the tenant" {
	local globex initech
	globex=$(ask "$GLOBEX" "SELECT current_database()")
	initech=$(ask "$(gw initech)" "SELECT current_database()")
	[ "$globex" != "$initech" ]
	assert_equal "$(by_name globex.db.example globex user=app dbname=app)" "$globex"
	assert_equal "$(by_name initech.db.example initech user=crm dbname=crm)" "$initech"
	assert_equal "$(by_name GLOBEX.DB.example globex user=app dbname=globex)" "$globex"
}

@test "the name in the TLS handshake and another tenant's do not go together" {
	local other
	for other in "user=app dbname=initech" "user=app.initech dbname=app" "user=app dbname=app options='-c tenant=initech'"; do
		run by_name globex.db.example globex "$other"
		assert_exit 2
		assert_contains "FATAL:  options, user, server name and database do not name the same tenant"
	done
	run by_name nobody.db.example globex user=app dbname=app
	assert_contains "FATAL:  tenant, user or password is wrong"
}

@test "a name of another domain, and none, name nobody" {
	assert_equal "$(psql -X -At -d "host=127.0.0.1 port=${GATEWAY##*:} sslmode=require passfile=$TEST_DIR/globex.pass
		user=app dbname=globex" -c "SELECT 1")" 1
	run psql -X -At -d "host=globex.other.example hostaddr=127.0.0.1 port=${GATEWAY##*:} sslmode=require
		passfile=$TEST_DIR/globex.pass user=app dbname=app" -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  tenant, user or password is wrong"
}

@test "a server that wants a certificate is shown that of its cluster" {
	assert_equal "$(ask "$ACME" "SELECT 1")" 1
	assert_equal "$(su_psql acme-db "SELECT DISTINCT client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE ssl AND usename <> 'copyhold'")" "/CN=copyhold"
}

# WHY COMMAND...: what the command does to the cluster's files keeps it from being connected to, for that reason;
# the other cluster's tenants do not notice.
harms_its_own() {
	local before=$TEST_DIR/before
	rm -rf "$before"
	cp -a "$TLS" "$before"
	LOG_FROM=$(($(wc -l <"$TEST_DIR/gateway.gw.log") + 1))
	"${@:2}"
	gateway_limits gw "wait: 2s"
	until_true in_log "certificates were read again"
	run psql -X -At -d "$ACME" -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  no connection to the database became free in time"
	in_log "tenant acme: no connection to its database: $1"
	assert_equal "$(ask "$GLOBEX" "SELECT 'served'")" served
	LOG_FROM=$(($(wc -l <"$TEST_DIR/gateway.gw.log") + 1))
	rm -rf "$TLS"
	mv "$before" "$TLS"
	gateway_limits gw
	until_true in_log "certificates were read again"
	assert_equal "$(ask "$ACME" "SELECT 'again'")" again
}

pad() { head -c "$2" /dev/zero | tr '\0' '\n' >>"$TLS/$1"; }

@test "a cluster whose files cannot be read is not connected to without them, and no other is harmed" {
	local unread="a file of its cluster's TLS settings cannot be read"
	harms_its_own "$unread" rm "$TLS/ca.crt"
	harms_its_own "$unread" rm "$TLS/client.crt"
	harms_its_own "$unread" rm "$TLS/client.key"
	harms_its_own "$unread" pad ca.crt 140000
	harms_its_own "$unread" cp /dev/null "$TLS/ca.crt"
	harms_its_own "$unread" cp /dev/null "$TLS/client.crt"
}

@test "a cluster whose files cannot be used is not connected to, and no other is harmed" {
	local unused="the TLS settings of its cluster cannot be used"
	harms_its_own "$unused" cp "$TLS/client.key" "$TLS/ca.crt"
	harms_its_own "$unused" cp "$TLS/other-client.key" "$TLS/client.key"
}

@test "a CA file of 100 KB is used" {
	pad ca.crt 100000
	kill -HUP "$(gateway_pid gw)"
	until_true in_log "certificates were read again"
	assert_equal "$(ask "$ACME" "SELECT 'served'")" served
}
