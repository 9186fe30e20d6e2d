load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/switch

# A switch on a customer's server, where the fence is a REVOKE, is killed at each of its boundaries, then
# resumed or taken back, while somebody writes through the gateway: no write fails, none is lost or doubled.
setup_file() {
	clusters_setup
	cluster_start customer --tls --set fsync=off
	home_setup
	export MANIFESTS=$TEST_DIR/manifests CUSTOMER_PASSWORD=customer-canary-3e11
	mkdir "$MANIFESTS"
	switch_place >"$MANIFESTS/place.yaml"
	customer_cluster here localhost >"$MANIFESTS/here.yaml"
	customer_cluster there 127.0.0.1 >"$MANIFESTS/there.yaml"
	cat >"$MANIFESTS/acme.yaml" <<-YAML
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: acme}
		spec: {model: notes, mode: customer-db, cluster: here}
	YAML
	copyhold init
	copyhold tenant setup-script acme -f "$MANIFESTS" | su_psql customer -
	copyhold apply -f "$MANIFESTS" --yes
	gateway_start
	export GATEWAY
	GATEWAY_URI=$(copyhold route resolve acme)
	export GATEWAY_URI
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold route switch acme --to there --yes
	copyhold route switch acme --to here --yes
}

teardown_file() {
	gateway_stop
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	rows_of customer acme "DELETE FROM app.note"
}

teardown() { rm -f "$TEST_DIR/go"; }

# NAME HOST
customer_cluster() {
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: $1}
		spec:
		  region: here
		  modes: [customer-db]
		  connect: {host: $2, port: $(cluster_port customer), database: acme,
		    password: {secretRef: "env:CUSTOMER_PASSWORD"},
		    sslmode: verify-full, sslrootcert: $CLUSTERS/certs/ca.crt}
	YAML
}

side() { catalogue "SELECT cluster FROM route"; }
across() { [ "$1" = here ] && echo there || echo here; }
may_connect() {
	su_psql customer "SELECT has_database_privilege('$(role_of acme)', 'acme', 'CONNECT')"
}

# N SIDE: the tenant is there, open, and its login comes in; nothing is left to be done.
assert_there() {
	echo "killed at $1, $(name_of "$1")"
	assert_equal "$(catalogue "SELECT t.cluster, r.cluster, r.state FROM tenant t, route r")" "$2|$2|open"
	assert_equal "$(may_connect)" t
	assert_equal "$(catalogue "SELECT count(*) FROM step WHERE state NOT IN ('done','undone','abandoned')")" 0
	assert_equal "$(psql -X -q -At "$GATEWAY_URI" -c "SELECT 'in'")" in
}

@test "the fence of a customer's server is among the boundaries" {
	local kind
	for kind in run:recorded switch.park:done switch.fence:acted switch.check:done switch.move:done \
		switch.open:acted switch.settle:done; do
		grep -q "^$kind\$" "$TEST_DIR/boundaries"
	done
}

@test "killed at any boundary and resumed, the tenant is at the new address and no write was lost" {
	local n to
	begin_writer customer
	for ((n = 1; n <= $(boundaries); n++)); do
		to=$(across "$(side)")
		kill_at "$n" "$to"
		resume_or_tell "$n"
		assert_there "$n" "$to"
	done
	end_writer customer
}

@test "killed at any boundary and taken back, it is where it was; past the pivot it only goes on" {
	local n to from past=0 status
	begin_writer customer
	for ((n = 1; n <= $(boundaries); n++)); do
		from=$(side)
		to=$(across "$from")
		kill_at "$n" "$to"
		status=$(go_on undo)
		if [ "$status" = 0 ]; then
			[ "$past" = 0 ]
			assert_there "$n" "$from"
		else
			past=1
			resume_or_tell "$n"
			assert_there "$n" "$to"
		fi
	done
	[ "$past" = 1 ]
	end_writer customer
}
