load ../lib/home

setup() {
	home_setup
	copyhold init >/dev/null
	export OPS_PASSWORD=c4nary-ops-p4ss
	write m/all.yaml <<-'YAML'
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: cn}
		spec: {country: CN}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: bj-1}
		spec:
		  region: cn
		  modes: [dedicated]
		  capacity: 10
		  connect: {host: 127.0.0.1, port: 5432, user: ops, database: ops, password: {secretRef: "env:OPS_PASSWORD"}}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: acme-db}
		spec:
		  region: cn
		  modes: [customer-db]
		  connect: {host: 127.0.0.1, port: 5432, user: ops, database: acme_gmbh, password: {secretRef: "env:OPS_PASSWORD"}}
		---
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: shop}
		spec:
		  version: 1
		  objects:
		    - name: account
		      fields:
		        - {name: name, type: text, maxLength: 80}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: acme-gmbh}
		spec: {model: shop, mode: customer-db, cluster: acme-db}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: globex}
		spec: {model: shop, mode: dedicated, cluster: bj-1}
	YAML
}
teardown() { home_teardown; }

@test "a cluster's script names login and database and holds a verifier, no password" {
	try cluster setup-script bj-1 -f "$TEST_DIR/m"
	assert_exit 0
	[[ $output == *'CREATE ROLE "ops"'* ]]
	[[ $output == *'CREATE DATABASE "ops"'* ]]
	[[ $output == *"ALTER ROLE \"ops\" PASSWORD 'SCRAM-SHA-256\$4096:"* ]]
	[[ $output != *c4nary* ]]
	assert_equal "$stderr" ""
}

@test "a cluster that nobody knows is an error" {
	try cluster setup-script bj-9 -f "$TEST_DIR/m"
	assert_exit 1
	[[ $stderr == *'error[not-found]'* ]]
	assert_equal "$output" ""
}

@test "a secret that is not set is named, and nothing is printed" {
	unset OPS_PASSWORD
	try cluster setup-script bj-1 -f "$TEST_DIR/m"
	assert_exit 1
	[[ $stderr == *'error[secret]: the secret "env:OPS_PASSWORD" is not set'* ]]
	assert_equal "$output" ""
}

@test "a customer's script names the roles after the tenant and asks for no great right" {
	try tenant setup-script acme-gmbh -f "$TEST_DIR/m"
	assert_exit 0
	[[ $output == *'CREATE ROLE "acme_gmbh_owner" NOLOGIN'* ]]
	[[ $output == *'CREATE ROLE "acme_gmbh_app" LOGIN'* ]]
	[[ $output == *'GRANT "acme_gmbh_owner" TO "ops"'* ]]
	[[ $output == *'ENCODING '\'\''UTF8'\'\'' OWNER "acme_gmbh_owner"'* ]]
	[[ $output != *c4nary* ]]
	! grep -E '^[^-].*\b(SUPERUSER|CREATEROLE|CREATEDB|CREATE EXTENSION)\b' <<<"$output"
}

@test "a vendor's tenant needs no script of its own" {
	try tenant setup-script globex -f "$TEST_DIR/m"
	assert_exit 1
	[[ $stderr == *'error[refused]: tenant "globex" (mode dedicated) needs no script of its own'* ]]
	assert_equal "$output" ""
}

@test "a tenant that is in no manifest and not recorded is an error" {
	try tenant setup-script nobody -f "$TEST_DIR/m"
	assert_exit 1
	[[ $stderr == *'error[not-found]'* ]]
}
