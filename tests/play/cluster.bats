load ../lib/home
load ../lib/cluster

setup_file() {
	clusters_setup
	cluster_start plain --set max_connections=33
	cluster_start secure --tls
	su_psql plain "CREATE ROLE app LOGIN PASSWORD 'app'"
	su_psql secure "CREATE ROLE app LOGIN PASSWORD 'app'"
}

teardown_file() { clusters_remove; }

# CLUSTER KEYWORDS: the application's try to log in.
app() {
	local dsn="host=127.0.0.1 port=$(cluster_port "$1") user=app dbname=postgres password=app"
	run psql -X -At "$dsn $2" -c "SELECT current_user"
}

@test "a private server has checksums, UTF-8, SCRAM and the settings asked for" {
	run su_psql plain "SELECT current_setting('data_checksums'),
		current_setting('server_encoding'), current_setting('lc_collate'),
		current_setting('password_encryption'), current_setting('fsync'),
		current_setting('listen_addresses'), current_setting('max_connections')"
	assert_out "on|UTF8|C.UTF-8|scram-sha-256|on|127.0.0.1|33"
}

@test "the superuser does not come in over TCP" {
	su_psql plain "ALTER ROLE postgres PASSWORD 'known'"
	run psql -X "host=127.0.0.1 port=$(cluster_port plain) user=postgres password=known" -c ''
	assert_exit 2
	assert_contains "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"postgres\""
}

@test "another user needs a password, on the socket too" {
	run psql -X -w "host=$(cluster_socket plain) port=$(cluster_port plain) user=app" -c ''
	assert_exit 2
	assert_contains "no password supplied"
}

@test "a server with TLS refuses to talk without" {
	app secure sslmode=disable
	assert_exit 2
	assert_contains "no encryption"
	app secure "sslmode=verify-full sslrootcert=$CLUSTERS/certs/ca.crt"
	assert_out app
}

@test "a client that verifies refuses an expired certificate, another host's and another CA's" {
	for certificate in expired elsewhere other; do
		cluster_stop secure
		cluster_start secure --server-cert "$certificate"
		app secure "sslmode=verify-full sslrootcert=$CLUSTERS/certs/ca.crt"
		assert_exit 2
		app secure sslmode=require
		assert_out app
	done
}

@test "a server may want the client's certificate" {
	cluster_stop secure
	cluster_start secure --client-certs
	local certs=$CLUSTERS/certs
	local with="sslmode=verify-full sslrootcert=$certs/ca.crt"
	app secure "$with"
	assert_contains "connection requires a valid client certificate"
	app secure "$with sslcert=$certs/other-client.crt sslkey=$certs/other-client.key"
	assert_exit 2
	app secure "$with sslcert=$certs/client.crt sslkey=$certs/client.key"
	assert_out app
}

@test "a crashed server comes back on its port with its data" {
	su_psql plain "CREATE TABLE kept AS SELECT 7 AS n"
	port=$(cluster_port plain)
	cluster_crash plain
	run "$REPO/tools/cluster.sh" status "$CLUSTERS" plain
	assert_exit 1
	cluster_start plain
	assert_equal "$(cluster_port plain)" "$port"
	assert_equal "$(su_psql plain "SELECT n FROM kept")" 7
}

@test "a port that is taken is said so with the server's own words" {
	local port
	port=$(cluster_port plain)
	run "$REPO/tools/cluster.sh" start "$CLUSTERS" third "$port"
	assert_exit 1
	assert_contains "could not bind IPv4 address \"127.0.0.1\": Address already in use"
	assert_contains "server \"third\" did not start on port $port; its log is"
	[ ! -e "$CLUSTERS/third/socket" ]
}

@test "removing a server leaves nothing of it" {
	socket=$(cluster_socket plain)
	cluster_remove plain
	[ ! -e "$CLUSTERS/plain" ]
	[ ! -e "$socket" ]
}

@test "the CRM data are the same bytes each time, and other ones with another seed" {
	first=$(awk -f "$REPO/tools/crm.awk" | sha256sum)
	assert_equal "$(awk -f "$REPO/tools/crm.awk" | sha256sum)" "$first"
	[ "$(awk -v seed=2 -f "$REPO/tools/crm.awk" | sha256sum)" != "$first" ]
}
