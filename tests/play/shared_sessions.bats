# Several sessions at once, at every isolation level: tenants that share tables get the answers that
# a tenant with a database of its own gets, and neighbours with the same keys get in nobody's way.

load ../lib/home
load ../lib/cluster

setup_file() {
	export VENDOR_PASSWORD=vendor-canary-5f2c
	clusters_setup
	cluster_start vendor
	home_setup
	manifests
	copyhold init
	copyhold cluster setup-script vendor -f "$TEST_DIR/m" | su_psql vendor -
	copyhold apply -f "$TEST_DIR/m" --yes --quiet
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

manifests() {
	mkdir "$TEST_DIR/m"
	cp "$REPO/tests/conformance/model.yaml" "$TEST_DIR/m"
	cat >"$TEST_DIR/m/places.yaml" <<-END
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: here}
		spec: {country: CN}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: vendor}
		spec:
		  region: here
		  connect:
		    host: 127.0.0.1
		    port: $(cluster_port vendor)
		    password: {secretRef: "env:VENDOR_PASSWORD"}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: alone}
		spec: {model: conformance, mode: dedicated, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: alone-too}
		spec: {model: conformance, mode: dedicated, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat}
		spec: {model: conformance, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat-too}
		spec: {model: conformance, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: views}
		spec:
		  model: conformance
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  fields: {person: [{name: x_note, type: text}], course: [{name: x_rank, type: integer}]}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: tables}
		spec:
		  model: conformance
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  objects: [{name: x_thing, fields: [{name: owner, type: reference, to: person, onDelete: cascade}]}]
	END
}

# The levels that a script is run at.  SERIALIZABLE takes note of pages and tables, so that it may ask
# a transaction to be tried again for a neighbour's sake: what two tenants then get is not fixed.
levels() {
	printf '%s\n' "READ COMMITTED" "REPEATABLE READ"
	[ "$1" = neighbours ] || echo SERIALIZABLE
}

# SCRIPT TENANT [NEIGHBOUR]: what it prints at each level, against what is expected; since 18 a
# reference that restricts has a SQLSTATE of its own (23001, not 23503).
answers() {
	local level watcher said=$BATS_TEST_TMPDIR/$1.$2 expected=$REPO/tests/conformance/$1.out
	watcher="host=$(cluster_socket vendor) port=$(cluster_port vendor) user=postgres dbname=postgres"
	levels "$1" | while read -r level; do
		sed "s/LEVEL LEVEL/LEVEL $level/" "$REPO/tests/conformance/$1.sql" >"$BATS_TEST_TMPDIR/script.sql"
		"$(dirname "$COPYHOLD_BIN")/tests/lib/conform" "$(copyhold route resolve "$2" --direct)" "$watcher" \
			"$BATS_TEST_TMPDIR/script.sql" ${3:+"$(copyhold route resolve "$3" --direct)"} </dev/null
	done >"$said"
	if [ -f "${expected%.out}.since-18.sed" ] &&
		[ "$(su_psql vendor "SELECT current_setting('server_version_num')::int / 10000")" -ge 18 ]; then
		sed -f "${expected%.out}.since-18.sed" "$expected" | diff -u - "$said"
	else
		diff -u "$expected" "$said"
	fi
}

@test "sessions of a tenant with a database of its own" { answers sessions alone; }

@test "sessions of a tenant on the common views" { answers sessions flat; }

@test "sessions of a tenant on views of its own" { answers sessions views; }

@test "sessions of a tenant on tables of its own" { answers sessions tables; }

@test "two tenants with databases of their own know nothing of each other" {
	answers neighbours alone alone-too
}

@test "two tenants in the same tables know nothing of each other" { answers neighbours flat flat-too; }

@test "nor do those on views and on tables of their own" {
	answers neighbours views flat-too
	answers neighbours flat-too tables
}

# The planner's choice between an index and the whole table decides what SERIALIZABLE takes note of,
# which must not change what the scripts ask.
@test "the answers do not hang on how rows are found" {
	local tenant setting
	for setting in enable_seqscan enable_indexscan; do
		su_psql vendor "ALTER SYSTEM SET $setting = off"
		su_psql vendor "SELECT pg_reload_conf()"
		for tenant in alone flat; do
			answers sessions "$tenant"
		done
		su_psql vendor "ALTER SYSTEM RESET $setting"
		su_psql vendor "SELECT pg_reload_conf()"
	done
}
