# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# The logs of events: durable entries of 1 KiB into one busy log while `audit run` signs beside the
# writer, and how long an event waits for the checkpoint that has it; how old a checkpoint becomes
# where there are 10,000 logs; one proof from a tree of 100 million leaves; what the events of a
# provisioning run cost it.

readonly audit_seconds=${AUDIT_SECONDS:-10} audit_group=${AUDIT_GROUP:-200}
readonly audit_logs=${AUDIT_LOGS:-10000}
readonly audit_leaves=${AUDIT_LEAVES:-100000000}
readonly audit_tenants=${AUDIT_TENANTS:-8}

# audit run, beside what follows; its pid is in $service.
service_start() {
	"$copyhold" audit run 2>"$work/service" &
	service=$!
	until [ -s "$work/service" ]; do
		kill -0 "$service"
	done
}

service_end() {
	kill "$service"
	wait "$service"
}

for ((round = 0; round < rounds; round++)); do
	export COPYHOLD_HOME=$work/busy
	rm -rf -- "$COPYHOLD_HOME"
	"$copyhold" -q init >/dev/null
	service_start
	read -r each median_ms late greatest < <("$tools/audit" busy "$COPYHOLD_HOME" "$audit_seconds" "$audit_group")
	service_end
	keep audit.each "$each"
	keep audit.median "$median_ms"
	keep audit.late "$late"
	keep audit.greatest "$greatest"
	keep audit.syncs "$("$tools/limits" sync "$work/sync" 1000)"
done
row "durable 1 KiB entries into one log, signed beside" "$(median audit.each)/s ($(spread audit.each))" \
	"20,000/s" "durable 4 KiB writes" "$(median audit.syncs)/s" \
	"$(calc "$(median audit.each) / $(median audit.syncs)")"
row "event to signed checkpoint, 99 of 100" "$(median audit.late) ms ($(spread audit.late))" "250 ms" \
	"the median one" "$(median audit.median) ms" "-"

export COPYHOLD_HOME=$work/many
"$copyhold" -q init >/dev/null
service_start
read -r all_signed oldest < <("$tools/audit" many "$COPYHOLD_HOME" "$audit_logs" 90)
service_end
rm -rf -- "$COPYHOLD_HOME"
row "oldest checkpoint of $audit_logs logs" "$oldest s" "60 s" "until each is signed once" \
	"$all_signed s" "-"

rm -rf -- "$work/tree"
mkdir "$work/tree"
read -r proof_mean proof_worst proof_bytes < <("$tools/audit" proof "$work/tree" "$audit_leaves")
rm -rf -- "$work/tree"
row "inclusion proof, tree of $audit_leaves" "$proof_mean ms" "1 ms" "the slowest of 1,000" \
	"$proof_worst ms" "-"
row "its size" "$proof_bytes bytes" "4096 bytes" "-" "-" "-"

# What the events of taking tenants on cost: writing them in the journal's transactions, and
# publishing them when the command ends.
start_server bj-1
export COPYHOLD_HOME=$work/events
"$copyhold" -q init >/dev/null
write_base "$work/events.base" "$(port_of bj-1)" 2
"$copyhold" cluster setup-script bj-1 -f "$work/events.base" | su_sql bj-1 >/dev/null
for ((round = 0; round < rounds; round++)); do
	rm -rf -- "$work/events.d"
	write_base "$work/events.d" "$(port_of bj-1)" 2
	write_tenants "$work/events.d" "r$round" "$audit_tenants"
	events=$("$copyhold" audit list --limit 0 -o jsonl | wc -l)
	timed "$copyhold" -q apply -f "$work/events.d" --yes
	run_ms=$took
	events=$(($("$copyhold" audit list --limit 0 -o jsonl | wc -l) - events))
	read -r event_us publish_ms < <("$tools/audit" event "$COPYHOLD_HOME" "$events")
	keep audit.cost "$(calc "100 * ($events * $event_us / 1000 + $publish_ms) / $run_ms")"
	keep audit.run "$run_ms"
done
cluster remove "$work" bj-1
row "events of a run that takes $audit_tenants tenants on" "$(median audit.cost) % of it" "5 %" \
	"the run" "$(median audit.run) ms" "-"
unset COPYHOLD_HOME
