# shellcheck shell=bash
# estate.bash - for bats files: the quickstart's servers and manifests, ready for `copyhold apply`.
#
#   load ../lib/home
#   load ../lib/cluster
#   load ../lib/estate
#   setup_file() { clusters_setup; estate_servers; }
#   setup() { home_setup; estate_setup; }
#   teardown_file() { clusters_remove; }
#
# estate_setup leaves a home, $MANIFESTS (a copy of manifests/quickstart for these servers) and
# both servers set up by the scripts that their administrators would run.

estate_servers() {
	export BJ1_PASSWORD=vendor-canary-5f2c ACME_DB_PASSWORD=customer-canary-91ab
	cluster_start bj-1
	cluster_start acme-db --tls
}

# FOLDER [FROM]: manifests with the ports and certificates of these servers; of the quickstart's
# tenants those with a database each on servers that stand (estate_shared adds those that share one).
estate_manifests() {
	local file vendor customer
	mkdir -p "$1"
	vendor=$(cluster_port bj-1)
	customer=$(cluster_port acme-db)
	for file in "${2:-$REPO/manifests/quickstart}"/*.yaml; do
		sed -e "s/port: 15432\$/port: $vendor/" -e "s/port: 15433\$/port: $customer/" \
			-e "s|/etc/copyhold/acme-ca.crt|$CLUSTERS/certs/ca.crt|" \
			"$file" >"$1/$(basename "$file")"
	done
	(cd "$1" && rm -f tenants-shared.yaml tenants-hosts.yaml hosts.yaml bundle.yaml)
}

estate_shared() { cp "$REPO/manifests/quickstart/tenants-shared.yaml" "$MANIFESTS"; }

estate_setup() {
	export MANIFESTS=$TEST_DIR/manifests
	estate_manifests "$MANIFESTS"
	copyhold init
	copyhold cluster setup-script bj-1 -f "$MANIFESTS" | su_psql bj-1 -
	copyhold tenant setup-script acme -f "$MANIFESTS" | su_psql acme-db -
}

# NAME CLUSTER [PARAMETER...]: a database with CRM data on a server, and the role `reader` that
# may read it. Prints its DSN.  Parameters are those of tools/crm.awk: accounts=20 contacts=60...
crm_source() {
	local pair vars=()
	for pair in "${@:3}"; do
		vars+=(-v "$pair")
	done
	su_psql "$2" "CREATE DATABASE $1"
	su_psql "$2" "REVOKE ALL ON DATABASE $1 FROM PUBLIC"
	awk "${vars[@]}" -f "$REPO/tools/crm.awk" | su_psql "$2" - "$1"
	source_reader "$1" "$2"
}

# NAME CLUSTER: lets `reader` read a database; prints the DSN.
source_reader() {
	if [ "$(su_psql "$2" "SELECT count(*) FROM pg_roles WHERE rolname = 'reader'")" = 0 ]; then
		su_psql "$2" "CREATE ROLE reader LOGIN PASSWORD 'reader'"
	fi
	su_psql "$2" "GRANT CONNECT ON DATABASE $1 TO reader"
	su_psql "$2" "GRANT USAGE ON SCHEMA public TO reader;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader" "$1"
	echo "postgresql://reader:reader@127.0.0.1:$(cluster_port "$2")/$1"
}

# CLUSTER: the Chinook sample, in a database of that name, without the lines that make and enter
# it; prints the DSN.
chinook_source() {
	su_psql "$1" "CREATE DATABASE chinook"
	su_psql "$1" "REVOKE ALL ON DATABASE chinook FROM PUBLIC"
	grep -vE '^(DROP DATABASE|CREATE DATABASE|\\c )' "$REPO/tests/data/chinook-postgresql.sql" |
		su_psql "$1" - chinook
	source_reader chinook "$1"
}
