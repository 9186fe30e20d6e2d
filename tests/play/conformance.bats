# One object interface in every placement mode: the same script, run as the tenant's login, gives
# the same output; what is no part of it fails, or works, as its own scripts say.

load ../lib/home
load ../lib/cluster
load ../lib/places

setup_file() {
	export VENDOR_PASSWORD=vendor-canary-5f2c CUSTOMER_PASSWORD=customer-canary-91ab
	clusters_setup
	cluster_start vendor
	cluster_start customer --tls
	home_setup
	manifests
	copyhold init
	copyhold cluster setup-script vendor -f "$TEST_DIR/m" | su_psql vendor -
	copyhold tenant setup-script own -f "$TEST_DIR/m" | su_psql customer -
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
	two_places conformance rented >"$TEST_DIR/m/places.yaml"
	[ "$(version vendor)" -lt 15 ] || shared_places
}

# Four tenants of one shared database: on its common views, one that stands by, on views of its own
# and on tables of its own.
shared_places() {
	sed -i 's/modes: \[dedicated\]/modes: [dedicated, shared]/' "$TEST_DIR/m/places.yaml"
	cat >"$TEST_DIR/m/shared.yaml" <<-END
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat}
		spec: {model: conformance, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: bystander}
		spec: {model: conformance, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat-views}
		spec:
		  model: conformance
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  fields: {person: [{name: x_note, type: text}], country: [{name: x_rank, type: integer}]}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: flat-tables}
		spec:
		  model: conformance
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  objects: [{name: x_thing, fields: [{name: owner, type: reference, to: person, onDelete: cascade}]}]
	END
}

version() { su_psql "$1" "SELECT current_setting('server_version_num')::int / 10000"; }

needs_shared() { [ "$(version vendor)" -ge 15 ] || skip "mode shared needs PostgreSQL 15"; }

# SERVER SCRIPT: the output, with what is known to be otherwise on the server's version: MERGE came
# with 15, with 17 for views too, and since 18 a reference that restricts has a SQLSTATE of its own
# (23001, not 23503).
expected() {
	local file=$REPO/tests/conformance/$2 version
	version=$(version "$1")
	if [ "$2" = plain ] && [ "$version" -lt 15 ]; then
		cat "$file.before-15.out"
	elif [ "$2" = views ] && [ "$version" -lt 17 ]; then
		cat "$file.before-17.out"
	elif [ "$2" = interface ] && [ "$version" -ge 18 ]; then
		sed -f "$file.since-18.sed" "$file.out"
	else
		cat "$file.out"
	fi
}

# TENANT SERVER SCRIPT [OUTPUT]: what the tenant's login sees, against what is expected.
conforms() {
	local watcher
	watcher="host=$(cluster_socket "$2") port=$(cluster_port "$2") user=postgres dbname=postgres"
	"$(dirname "$COPYHOLD_BIN")/tests/lib/conform" "$(copyhold route resolve "$1" --direct)" "$watcher" \
		"$REPO/tests/conformance/$3.sql" >"$BATS_TEST_TMPDIR/got"
	diff -u <(expected "$2" "${4-$3}") "$BATS_TEST_TMPDIR/got"
}

@test "a dedicated tenant has the object interface" { conforms rented vendor interface; }

@test "a tenant on its own server has the object interface" { conforms own customer interface; }

@test "what is no part of the interface is known for a dedicated tenant" {
	conforms rented vendor plain
}

@test "what is no part of the interface is known for a tenant on its own server" {
	conforms own customer plain
}

@test "the hardened template refuses what it is there to refuse" {
	conforms rented vendor dedicated
}

# A neighbour with the keys that the scripts use: every statement passes it by.
stand_by() {
	psql -X -q -v ON_ERROR_STOP=1 "$(copyhold route resolve bystander --direct)" <<-'END'
		INSERT INTO country (code, name, area) VALUES ('DE', 'Deutschland', 1), ('CN', '中国', 2), ('FR', 'France', 3),
			('IT', 'Italia', 4), ('PT', 'Portugal', 5);
		INSERT INTO person (id, handle, country, chief) VALUES
			('00000000-0000-4000-8000-00000000000a', 'ada', 'DE', '00000000-0000-4000-8000-00000000000a'),
			('00000000-0000-4000-8000-00000000000b', 'eve', 'FR', '00000000-0000-4000-8000-00000000000a');
		INSERT INTO course (number, title) SELECT n, 'Kurs ' || n FROM generate_series(1, 41) n;
		INSERT INTO enrolment (person, course, grade) SELECT id, number, 1 FROM person, course;
		INSERT INTO sample (id) SELECT generate_series(1, 11);
	END
}

# Every row of the neighbour.
stands() {
	local object
	for object in country person course enrolment "(SELECT id, a_text, random FROM sample)"; do
		psql -X -At "$(copyhold route resolve bystander --direct)" -c "SELECT * FROM $object o ORDER BY o::text"
	done
}

@test "shared tenants have the object interface, beside a neighbour with the same keys" {
	needs_shared
	local tenant
	stand_by
	stands >"$BATS_TEST_TMPDIR/before"
	for tenant in flat flat-views flat-tables; do
		conforms "$tenant" vendor interface
	done
	assert_equal "$(grep -c . "$BATS_TEST_TMPDIR/before")" 141
	diff -u "$BATS_TEST_TMPDIR/before" <(stands)
}

@test "what is no part of the interface is known for a shared tenant" {
	needs_shared
	conforms flat vendor plain views
	conforms flat-views vendor plain views
	conforms flat-tables vendor plain
}

@test "a shared database refuses what the hardened template is there to refuse" {
	needs_shared
	conforms flat vendor dedicated
	conforms flat-tables vendor dedicated
}

@test "shared tenants work and are isolated, and nothing of that is left behind" {
	needs_shared
	local tenant
	for tenant in flat flat-views flat-tables; do
		try tenant verify "$tenant" --output json
		assert_exit 0
		assert_lacks FAILED
	done
}

@test "both tenants work and are isolated, and nothing of that is left behind" {
	try tenant verify rented --output json
	assert_exit 0
	assert_lacks FAILED
	try tenant verify own --output json
	assert_exit 0
	assert_lacks FAILED
	try plan -f "$TEST_DIR/m" --detailed-exitcode
	assert_exit 0
}
