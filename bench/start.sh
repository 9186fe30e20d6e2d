# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Start of commands that do no network, beside the smallest programs that do the like.

export COPYHOLD_HOME=$work/start
"$copyhold" -q init >/dev/null
write_base "$work/start.d" 15432 2
write_tenants "$work/start.d" t 20
"$tools/fill" "$COPYHOLD_HOME" "$work/start.d"

# Ten at a time of each, in turn.
"$tools/measure" -n $((rounds * 10)) -- /bin/true -- "$copyhold" version \
	-- sqlite3 "$COPYHOLD_HOME/catalog.db" "SELECT * FROM tenant" -- "$copyhold" tenant list \
	-- "$copyhold" plan -f "$work/start.d" --no-refresh >"$work/start.out"
start_of() { awk -v n="$1" 'NR == n { print $1 }' "$work/start.out"; }

row "copyhold version" "$(start_of 2) ms" "20 ms or less" "/bin/true" "$(start_of 1) ms" \
	"$(calc "$(start_of 2) / $(start_of 1)")"
row "copyhold tenant list, 20 tenants" "$(start_of 4) ms" "20 ms or less" "sqlite3 of the same table" \
	"$(start_of 3) ms" "$(calc "$(start_of 4) / $(start_of 3)")"
row "copyhold plan --no-refresh, 20 tenants" "$(start_of 5) ms" "-" "/bin/true" \
	"$(start_of 1) ms" "$(calc "$(start_of 5) / $(start_of 1)")"
unset COPYHOLD_HOME
