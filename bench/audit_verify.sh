# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Full verification of evidence, by processor time of one core, beside OpenSSL's SHA-256 of texts of
# that length, one after the other, measured in the same way.

readonly verify_events=200000
export COPYHOLD_HOME=$work/verify

"$copyhold" -q init >/dev/null
"$tools/evidence" "$COPYHOLD_HOME" $verify_events
"$copyhold" -q audit export --stored --no-values --out "$work/stored.zip" >/dev/null
"$copyhold" -q audit export --no-values --out "$work/packed.zip" >/dev/null
"$copyhold" -q audit export --out "$work/values.zip" >/dev/null
cat "$COPYHOLD_HOME"/audit/vendor-*/key >"$work/key"
verify_bytes=$(sqlite3 "$COPYHOLD_HOME/catalog.db" "SELECT sum(length(bytes) + 1) FROM event")
verify_length=$((verify_bytes / verify_events))

# MILLISECONDS: megabytes a second.
verify_rate() { calc "$verify_bytes / 1000 / $1"; }

# COMMAND...: sets $took to the milliseconds of processor time that it took.
timed_cpu() {
	local TIMEFORMAT='%U %S'
	{ time "$@" >"$work/log" 2>&1; } 2>"$work/cpu" || {
		echo "bench: failed: $*" >&2
		exit 1
	}
	took=$(awk '{ print ($1 + $2) * 1000 }' "$work/cpu")
}

for ((round = 0; round < rounds; round++)); do
	for kind in stored packed values; do
		timed_cpu "$copyhold" audit verify "$work/$kind.zip" --key "$work/key"
		keep "$kind" "$(verify_rate "$took")"
	done
	keep sha "$(openssl speed -evp sha256 -bytes "$verify_length" -seconds 2 2>/dev/null |
		awk '/^sha256/ { sub(/k$/, "", $2); print $2 / 1000 }')"
done

verify_row() {
	row "$1" "$(median "$2") MB/s ($(spread "$2"))" "$3" "openssl speed sha256, $verify_length bytes" \
		"$(median sha) MB/s ($(spread sha))" "$(calc "$(median "$2") / $(median sha)")"
}
verify_row "audit verify, $verify_events events, not compressed" stored "500 MB/s, or what SHA-256 allows"
verify_row "the same, compressed" packed -
verify_row "the same, compressed, with a personal value each" values -
unset COPYHOLD_HOME
