# shellcheck shell=bash
# cluster.bash - for bats files: PostgreSQL servers of the file's own.
#
#   load ../lib/home
#   load ../lib/cluster
#   setup_file() { clusters_setup; cluster_start vendor; cluster_start customer --tls; }
#   teardown_file() { clusters_remove; }
#
# Certificates of servers with TLS are in $CLUSTERS/certs; see tools/cluster.sh, also for the
# options.

clusters_setup() {
	CLUSTERS=$(mktemp -d "${COPYHOLD_TEST_TMP:-/tmp}/copyhold-pg.XXXXXX")
	[ "$(id -u)" != 0 ] || chmod 0711 "$CLUSTERS"
	export CLUSTERS
}

clusters_remove() {
	local folder
	[ -n "${CLUSTERS-}" ] || return 0
	for folder in "$CLUSTERS"/*/; do
		[ ! -d "$folder/data" ] || cluster_remove "$(basename "$folder")"
	done
	rm -rf -- "$CLUSTERS"
}

# NAME [OPTION...]: made if it is not there; a stopped one comes back on its port.
cluster_start() { "$REPO/tools/cluster.sh" start "$CLUSTERS" "$1" auto "${@:2}"; }
cluster_stop() { "$REPO/tools/cluster.sh" stop "$CLUSTERS" "$1"; }
cluster_crash() { "$REPO/tools/cluster.sh" stop "$CLUSTERS" "$1" --immediate; }
cluster_remove() { "$REPO/tools/cluster.sh" remove "$CLUSTERS" "$1"; }
cluster_port() { cat "$CLUSTERS/$1/port"; }
cluster_socket() { cat "$CLUSTERS/$1/socket"; }
cluster_log() { cat "$CLUSTERS/$1/log"; }

# NAME SQL [DATABASE]: as the superuser; rows come unaligned.  "-" as SQL reads a script from stdin.
su_psql() {
	if [ "$2" = - ]; then
		"$REPO/tools/cluster.sh" psql "$CLUSTERS" "$1" -d "${3:-postgres}" -At -f -
	else
		"$REPO/tools/cluster.sh" psql "$CLUSTERS" "$1" -d "${3:-postgres}" -At -c "$2"
	fi
}
