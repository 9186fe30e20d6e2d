# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Journalled steps a second, beside what the disk can make durable a second.  The steps are those of
# an apply that touches no server: each is recorded, journalled and told of in an event.

readonly journal_steps=1000
export COPYHOLD_HOME=$work/journal

for ((round = 0; round < rounds; round++)); do
	rm -rf -- "$COPYHOLD_HOME" "$work/journal.d"
	mkdir "$work/journal.d"
	"$copyhold" -q init >/dev/null
	awk -v n=$journal_steps 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%sapiVersion: copyhold/v1\nkind: Region\nmetadata: {name: r%d}\n" \
			    "spec: {country: DE}\n", i ? "---\n" : "", i
	}' >"$work/journal.d/regions.yaml"
	timed "$copyhold" -q apply -f "$work/journal.d" --yes
	keep steps "$(calc "$journal_steps * 1000 / $took")"
	keep syncs "$("$tools/limits" sync "$work/sync" $journal_steps)"
done

row "journalled steps" "$(median steps)/s ($(spread steps))" "-" "durable 4 KiB writes" \
	"$(median syncs)/s ($(spread syncs))" "$(calc "$(median steps) / $(median syncs)")"
unset COPYHOLD_HOME
