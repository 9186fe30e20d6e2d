# shellcheck shell=bash disable=SC2154

# Mode hybrid on the database's side, beside an exclusive tenant and a vendor's own cluster on a host:
# each is reached through the gateway.  The tests go on from each other's machines.

load ../lib/home
load ../lib/hosts
load ../lib/wait
load ../lib/gateway
load ../lib/exclusive

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	host_start h2 --owner beta
	host_start h3
	home_setup
	exclusive_setup
	cluster_on acme-pg h1
	tenant_on acme acme-pg
	SERVER_PORT=$(free_port) cluster_on beta-pg h2
	tenant_on beta beta-pg hybrid
	SERVER_PORT=$(free_port) cluster_on vendor-pg h3
	sed -i 's/modes: .*/modes: [dedicated, shared]\n  capacity: 10/' "$MANIFESTS/cluster-vendor-pg.yaml"
	tenant_on globex vendor-pg dedicated
	tenant_on hooli vendor-pg shared
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw
}

teardown_file() {
	gateways_stop
	hosts_remove
	home_teardown
}

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
}

# TENANT SQL: through the gateway.
ask() { psql -XAtq -d "$(gw "$1")" -c "$2" 2>&1; }
reached() { [ "$(ask beta "SELECT text FROM note")" = "of beta" ]; }

@test "each is where its manifest says, and a plan finds nothing to do" {
	local tenant
	try tenant list --output json
	assert_equal "$(jq -r '.[] | [.name, .mode, .cluster] | join(" ")' <<<"$output")" "acme exclusive acme-pg
beta hybrid beta-pg
globex dedicated vendor-pg
hooli shared vendor-pg"
	assert_equal "$(jq -r '.[] | select(.name == "beta") | .database' <<<"$output")" t_beta
	for tenant in acme beta globex hooli; do
		try tenant verify "$tenant" --output json
		assert_exit 0
		assert_lacks FAILED
	done
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "each finds its own database through the gateway" {
	local tenant
	for tenant in acme beta globex hooli; do
		ask "$tenant" "INSERT INTO note (text) VALUES ('of $tenant')"
		assert_equal "$(ask "$tenant" "SELECT text FROM note")" "of $tenant"
	done
}

@test "names on a customer's machine are the tenant's, on the vendor's they are opaque" {
	assert_equal "$(psql -XAtq "$(copyhold route resolve beta --direct)" -c "SELECT current_database(), current_user")" \
		"t_beta|t_beta_app"
	[[ $(psql -XAtq "$(copyhold route resolve globex --direct)" -c "SELECT current_database()") =~ ^t_[a-z0-9]{12}$ ]]
}

@test "verbs are as in every mode" {
	copyhold tenant suspend beta --yes --quiet
	run psql -XAtq "$(copyhold route resolve beta --direct)" -c "SELECT 1"
	[ "$status" -ne 0 ]
	copyhold tenant resume beta --yes --quiet
	copyhold login add beta reports --read-only --quiet
	assert_equal "$(psql -XAtq "$(copyhold route resolve beta --login reports --direct)" -c "SELECT text FROM note")" "of beta"
	copyhold login rotate beta app --quiet
	until_true reached
	copyhold login remove beta reports --yes --quiet
}

@test "a certificate that is renewed reaches the gateway, and its clients go on" {
	local before
	before=$(sha256sum <"$COPYHOLD_HOME/run/trust/beta-pg.crt")
	rm "$(host_root h2)/clusters/beta-pg/tls/server.pem"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 0
	assert_contains "    ~ certificate beta-pg: none -> a new one (changed by hand)"
	[ "$(sha256sum <"$COPYHOLD_HOME/run/trust/beta-pg.crt")" != "$before" ]
	until_true reached
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
}

@test "the data of a customer is put on its own machine and on no other" {
	sed -i 's/owner: beta/owner: acme/' "$MANIFESTS/h2.yaml"
	try plan -f "$MANIFESTS"
	assert_exit 64
	assert_contains 'the database of tenant "beta" is put on host "h2", which belongs to "acme"' "$stderr"
	sed -i 's/owner: acme/owner: beta/' "$MANIFESTS/h2.yaml"
}

@test "a restored home knows the servers by their certificates, and the lost one is refused by host and server" {
	local later
	export PHRASE="a phrase of some length"
	copyhold home backup "$TEST_DIR/backup" --passphrase env:PHRASE --quiet
	echo "      - {name: work_mem, value: 5MB}" >>"$MANIFESTS/cluster-beta-pg.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	export COPYHOLD_HOME=$TEST_DIR/other
	copyhold home restore "$TEST_DIR/backup" --passphrase env:PHRASE --quiet --yes
	copyhold audit recover --yes --quiet
	try tenant verify beta --output json
	assert_exit 0
	later=$MANIFESTS.later
	cp -r "$MANIFESTS" "$later"
	sed -i 's/value: 5MB/value: 6MB/' "$later/cluster-beta-pg.yaml"
	try apply -f "$later" --yes --quiet
	assert_exit 0
	export COPYHOLD_HOME=$TEST_DIR/home
	sed -i 's/value: 5MB/value: 7MB/' "$MANIFESTS/cluster-beta-pg.yaml"
	try apply -f "$MANIFESTS" --yes --quiet
	assert_exit 6
	assert_contains "error[fenced]" "$stderr"
}
