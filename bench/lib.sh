# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# lib.sh - what the parts of the benchmark share: servers, times, medians, rows of the table.
#
# $work is a folder of this run alone, $tools the programs of bench/*.c, $copyhold the binary,
# $rounds how often each pair of measurements is repeated.

cluster() { "$root/tools/cluster.sh" "$@"; }

# Settings of a server with some memory; every commit still waits for the disk.
start_server() {
	cluster start "$work" "$1" auto --set shared_buffers=512MB --set max_wal_size=8GB \
		--set checkpoint_timeout=30min
}

port_of() { cat "$work/$1/port"; }

# URI of `route resolve --direct`: who logs in, and to which database.
role_in() { sed 's/.*:\/\/\([^@]*\)@.*/\1/' <<<"$1"; }
db_in() { sed 's/.*@[^/]*\/\([^?]*\).*/\1/' <<<"$1"; }

su_sql() { cluster psql "$work" "$@"; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# COMMAND...: sets $took to its milliseconds; its output goes to a log, which is shown if it fails.
timed() {
	local from
	from=$(now_ms)
	"$@" >"$work/log" 2>&1 || {
		echo "bench: failed: $*" >&2
		tail -n 20 "$work/log" >&2
		exit 1
	}
	took=$(($(now_ms) - from))
	[ "$took" -gt 0 ] || took=1
}

# NAME VALUE: keeps a measurement of this round.
keep() { echo "$2" >>"$work/values.$1"; }

# Three digits, and no exponents.
readonly digits='function digits(v) { return sprintf(v >= 100 ? "%.0f" : "%.3g", v) }'

calc() { awk "$digits BEGIN { print digits($1) }"; }

median() {
	sort -n "$work/values.$1" | awk "$digits"' { v[NR] = $1 }
		END { m = int((NR + 1) / 2); print digits(NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2) }'
}

# NAME HUNDREDTHS
part_of() { sort -n "$work/values.$1" | awk -v p="$2" '{ v[NR] = $1 } END { print v[int((NR - 1) * p / 100) + 1] }'; }

# The least and the greatest of the kept ones.
spread() {
	sort -n "$work/values.$1" | awk "$digits"' NR == 1 { low = $1 } { high = $1 }
		END { print digits(low) " to " digits(high) }'
}

# WHAT VALUE TARGET PEER PEER-VALUE RATIO
row() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>"$work/table"
	printf '  %s: %s (%s: %s)\n' "$1" "$2" "$4" "$5" >&2
}

say() { printf '== %s\n' "$*" >&2; }

# FOLDER NAME CONNECTIONS: region, cluster and model of the quickstart for a server of ours.
write_base() {
	mkdir -p "$1"
	cp "$root"/manifests/quickstart/{model-crm,regions}.yaml "$1"
	awk '/^---/ { exit } { print }' "$root/manifests/quickstart/clusters.yaml" |
		sed -e "s/port: 15432\$/port: $2/" -e "s/connections: 2 .*/connections: $3/" \
			-e "s/capacity: 500 .*/capacity: 100000/" >"$1/cluster.yaml"
}

# FOLDER PREFIX N: that many tenants, a hundred a file.
write_tenants() {
	awk -v dir="$1" -v prefix="$2" -v n="$3" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%sapiVersion: copyhold/v1\nkind: Tenant\n" \
			    "metadata: {name: %s%05d, displayName: Tenant %d}\n" \
			    "spec: {model: crm, mode: dedicated, cluster: bj-1, retention: 90d," \
			    " residency: {country: CN}}\n", i % 100 ? "---\n" : "", prefix, i, i \
			    >(sprintf("%s/%s%04d.yaml", dir, prefix, i / 100))
	}'
}
