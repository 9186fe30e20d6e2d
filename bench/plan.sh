# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# plan with nothing to change for ten thousand tenants, beside reading the same YAML and the same
# rows with the bare libraries.

readonly plan_tenants=10000
export COPYHOLD_HOME=$work/plan
"$copyhold" -q init >/dev/null
write_base "$work/plan.d" 15432 2
write_tenants "$work/plan.d" t $plan_tenants
timed "$tools/fill" "$COPYHOLD_HOME" "$work/plan.d"
echo "  catalogue of $plan_tenants tenants filled in $took ms" >&2
[ "$("$copyhold" -q plan -f "$work/plan.d" --no-refresh --detailed-exitcode)" = \
	"nothing to do: $((plan_tenants + 4)) as they should be" ]

plan=("$copyhold" plan -f "$work/plan.d" --no-refresh)
"$tools/measure" -n "$rounds" -- "${plan[@]}" -- "$tools/limits" yaml "$work/plan.d"/*.yaml \
	-- "$tools/limits" rows "$COPYHOLD_HOME/catalog.db" >"$work/plan.out"
"$tools/measure" -t -n "$rounds" -- "${plan[@]}" -- /bin/true >"$work/plan.tty"
# FILE LINE COLUMN
plan_of() { awk -v n="$2" -v c="$3" 'NR == n { print $c }' "$work/plan.$1"; }

bare=$(calc "$(plan_of out 2 1) + $(plan_of out 3 1)")
row "plan, $plan_tenants tenants, nothing to change" "$(plan_of out 1 1) ms" "5000 ms or less" \
	"libyaml events and sqlite3 rows" "$bare ms" "$(calc "$(plan_of out 1 1) / $bare")"
row "  its memory" "$(calc "$(plan_of out 1 3) / 1024") MiB" "400 MB or less" "sqlite3 rows" \
	"$(calc "$(plan_of out 3 3) / 1024") MiB" "$(calc "$(plan_of out 1 3) / $(plan_of out 3 3)")"
row "  its first output, on a terminal" "$(plan_of tty 1 2) ms" "200 ms or less" "all of /bin/true" \
	"$(plan_of tty 2 1) ms" "$(calc "$(plan_of tty 1 2) / $(plan_of tty 2 1)")"
row "  its first output, into a pipe" "$(plan_of out 1 2) ms" "200 ms or less" "libyaml events and sqlite3 rows" \
	"$bare ms" "$(calc "$(plan_of out 1 2) / $bare")"
unset COPYHOLD_HOME
