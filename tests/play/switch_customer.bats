load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# A customer's server gets another address.
setup_file() {
	clusters_setup
	cluster_start customer --tls
	home_setup
	export MANIFESTS=$TEST_DIR/manifests CUSTOMER_PASSWORD=customer-canary-3e11
	mkdir "$MANIFESTS"
	switch_place >"$MANIFESTS/place.yaml"
	customer_cluster here localhost own >"$MANIFESTS/here.yaml"
	customer_cluster there 127.0.0.1 own >"$MANIFESTS/there.yaml"
	cat >"$MANIFESTS/own.yaml" <<-YAML
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: own}
		spec: {model: notes, mode: customer-db, cluster: here}
	YAML
	copyhold init
	copyhold tenant setup-script own -f "$MANIFESTS" | su_psql customer -
	copyhold apply -f "$MANIFESTS" --yes
	gateway_start
	export GATEWAY
}

teardown_file() {
	gateway_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# NAME HOST DATABASE
customer_cluster() {
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: $1}
		spec:
		  region: here
		  modes: [customer-db]
		  connect: {host: $2, port: $(cluster_port customer), database: $3,
		    password: {secretRef: "env:CUSTOMER_PASSWORD"},
		    sslmode: verify-full, sslrootcert: $CLUSTERS/certs/ca.crt}
	YAML
}

may_connect() {
	su_psql customer "SELECT has_database_privilege(rolname, 'own', 'CONNECT') FROM pg_roles
		WHERE rolname = '$(role_of own)'"
}

@test "the tenant of a customer's server goes to its new address while writers wait" {
	local uri writers
	uri=$(copyhold route resolve own)
	echo "INSERT INTO note (n) VALUES (7);" >"$TEST_DIR/write.sql"
	pgbench -n -c 4 -t 100 -R 200 -f "$TEST_DIR/write.sql" "$uri" >"$TEST_DIR/pgbench" 2>&1 3>&- &
	writers=$!
	until_true has_rows 20
	try route switch own --to there "${PATIENT[@]}" --yes
	assert_exit 0
	wait "$writers"
	assert_contains "number of transactions actually processed: 400/400" "$(<"$TEST_DIR/pgbench")"
	assert_contains "number of failed transactions: 0 (0.000%)" "$(<"$TEST_DIR/pgbench")"
	assert_equal "$(su_psql customer "SELECT count(*) FROM app.note" own)" 400
	assert_equal "$(may_connect)" t
	try plan -f "$MANIFESTS"
	assert_contains "nothing to do"
}

has_rows() { [ "$(su_psql customer "SELECT count(*) FROM app.note" own)" -ge "$1" ]; }

@test "a database that everybody may enter cannot be closed, and is refused with what to run" {
	local to
	to=$(catalogue "SELECT iif(cluster = 'here', 'there', 'here') FROM route")
	su_psql customer "GRANT CONNECT ON DATABASE own TO PUBLIC"
	try route switch own --to "$to" --yes
	su_psql customer "REVOKE CONNECT ON DATABASE own FROM PUBLIC"
	assert_exit 1
	assert_err "error[refused]: tenant \"own\" cannot be switched to \"$to\": fence: everybody may connect to the database, so it cannot be closed
  hint:  The customer's administrator runs: REVOKE CONNECT ON DATABASE \"own\" FROM PUBLIC;"
	assert_equal "$(may_connect)" t
}

@test "a promotion is the customer's own to do" {
	local to
	to=$(catalogue "SELECT iif(cluster = 'here', 'there', 'here') FROM route")
	try route switch own --to "$to" --by standby --yes
	assert_exit 1
	assert_err "error[refused]: tenant \"own\" cannot be switched to \"$to\": standby: a customer's server is the customer's to promote
  hint:  Name a cluster that is a standby of the old one."
}
