# shellcheck shell=bash
# shop.bash - for bats files: one server and tenants of a small model that share a database on it.
#
#   load ../lib/home
#   load ../lib/cluster
#   load ../lib/shop
#   setup_file() { clusters_setup; cluster_start vendor; home_setup; shop_setup; }
#   setup() { export COPYHOLD_HOME=$TEST_DIR/home; }
#   teardown_file() { clusters_remove; home_teardown; }
#
# shop_setup leaves a home, the server set up, and $MANIFESTS with place.yaml, model.yaml and one file
# for each of acme, globex and initech; nothing is applied.

shop_setup() {
	export MANIFESTS=$TEST_DIR/manifests VENDOR_PASSWORD=shop-canary-2c1f
	local tenant
	mkdir "$MANIFESTS"
	shop_place >"$MANIFESTS/place.yaml"
	shop_model >"$MANIFESTS/model.yaml"
	for tenant in acme globex initech; do
		shop_tenant "$tenant"
	done
	copyhold init
	copyhold cluster setup-script vendor -f "$MANIFESTS" | su_psql vendor -
}

shop_place() {
	cat <<-END
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
		  modes: [shared]
		  capacity: 100
		  connect: {host: 127.0.0.1, port: $(cluster_port vendor),
		    password: {secretRef: "env:VENDOR_PASSWORD"}}
	END
}

shop_model() {
	cat <<-END
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: shop}
		spec:
		  version: 1
		  objects:
		    - name: account
		      fields:
		        - {name: name, type: text, maxLength: 80, required: true}
		        - {name: code, type: text, maxLength: 20, unique: true}
		        - {name: city, type: text, maxLength: 40}
		        - {name: parent, type: reference, to: account, onDelete: set-null}
		    - name: note
		      fields:
		        - {name: account, type: reference, to: account, onDelete: cascade}
		        - {name: body, type: text}
	END
}

# NAME [SPEC-LINES]: its manifest, as it is from now on.
shop_tenant() {
	{
		printf 'apiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: %s}\n' "$1"
		printf 'spec:\n  model: shop\n  mode: shared\n  cluster: vendor\n'
		[ -z "${2-}" ] || printf '  acceptVisibleNames: true\n%s\n' "$2"
	} >"$MANIFESTS/$1.yaml"
}

# NAME FIELD...: each "{name: ..., type: ...}" is a field of its own of account.
shop_fields() {
	local lines=$'  fields:\n    account:' field
	for field in "${@:2}"; do
		lines+=$'\n      - '$field
	done
	shop_tenant "$1" "$lines"
}

# What the shared database is called.
shop_database() { copyhold shared list -o json | jq -r '.[0].database'; }

state_of() { copyhold tenant show "$1" -o json | jq -r "$2"; }

# TENANT SQL [LOGIN]
as() { psql -XAtq -v ON_ERROR_STOP=1 "$(copyhold route resolve "$1" --direct ${3:+--login "$3"})" -c "$2"; }

# SQL: as the superuser in the shared database.
inside() { su_psql vendor "$1" "$(shop_database)"; }

catalogue() { sqlite3 -readonly -separator ' ' "$COPYHOLD_HOME/catalog.db" "$1"; }

apply() { try apply -f "$MANIFESTS" --yes "$@"; }

assert_applied() {
	apply "$@"
	assert_exit 0
	assert_settled
}

assert_settled() {
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	assert_contains "nothing to do: "
}

# Of the last plan, the lines that tell what differs, without the steps behind it.
# shellcheck disable=SC2154 # try sets $output
differences() { grep -E '^ {4}[-+~] |^ {8}[a-z]' <<<"$output"; }
