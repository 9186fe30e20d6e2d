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
}

# SERVER SCRIPT: the output, with what is known to be otherwise on the server's version: MERGE came
# with 15, and since 18 a reference that restricts has a SQLSTATE of its own (23001, not 23503).
expected() {
	local file=$REPO/tests/conformance/$2 version
	version=$(su_psql "$1" "SELECT current_setting('server_version_num')::int / 10000")
	if [ "$2" = plain ] && [ "$version" -lt 15 ]; then
		cat "$file.before-15.out"
	elif [ "$2" = interface ] && [ "$version" -ge 18 ]; then
		sed -f "$file.since-18.sed" "$file.out"
	else
		cat "$file.out"
	fi
}

# TENANT SERVER SCRIPT: what the tenant's login sees, against what is expected.
conforms() {
	local watcher
	watcher="host=$(cluster_socket "$2") port=$(cluster_port "$2") user=postgres dbname=postgres"
	"$(dirname "$COPYHOLD_BIN")/tests/lib/conform" "$(copyhold route resolve "$1")" "$watcher" \
		"$REPO/tests/conformance/$3.sql" >"$BATS_TEST_TMPDIR/got"
	diff -u <(expected "$2" "$3") "$BATS_TEST_TMPDIR/got"
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
