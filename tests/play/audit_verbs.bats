load ../lib/home
load ../lib/cluster
load ../lib/estate
load ../lib/wait
load ../lib/gateway

# Every command that may write the catalogue tells of what it did, in an event: each row of the
# command table is played once.  A row without a play is a failure.

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	estate_shared
	export PASSPHRASE='correct horse battery staple'
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# The commands whose access is $1, from the rows themselves.
rows() {
	awk -v want="ACCESS_$1" '
		/^\t\.name = "/ { split($0, part, "\""); name = part[2] }
		/^\t\.access = / { access = $3; sub(/,$/, "", access); if (access == want) print name }
	' "$REPO"/cli/cmd_*.c | sort
}

last_run() { copyhold run list --limit 1 -o json | jq -r '.[0].id'; }
events() { sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT count(*) FROM event"; }
verbs_since() {
	sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT DISTINCT verb FROM event WHERE seq > $1 ORDER BY verb" |
		tr '\n' ' '
}

# STEP COMMAND...: killed at its intent; the run is left for the next play.
killed() {
	local status=0
	COPYHOLD_FAULT=kill:3 copyhold "$@" >/dev/null 2>&1 || status=$?
	assert_equal "$status" 137
}

# The commands in the order in which they are played, with what each of them must have told.
plays() {
	cat <<-'END'
		apply|cluster.claim database.create customer.logins object.put shared.join roles.create route.open shape.create
		tenant setup-script|setup.script
		cluster setup-script|setup.script
		tenant verify|tenant.verify
		route resolve|route.direct
		gateway run|gateway.start gateway.stop secret.read
		route hold|route.hold
		route release|route.release
		route switch|route.switched switch.fence switch.move switch.open
		route clear|database.create database.drop left.forget left.keep roles.drop route.copied switch.copy
		secret set|secret.set
		secret remove|secret.remove
		login add|login.register
		login rotate|login.rotate
		login limit|login.limit
		login remove|login.forget
		tenant suspend|route.close
		tenant resume|route.open
		data load|data.load data.load.begin
		data compare|data.compare
		shared watch|shared.watch.ended
		run undo|login.register
		run resolve|login.register
		run resume|login.create login.grant
		home backup|home.backup
		home probe|home.probe
		audit export|audit.export
		audit erase|audit.erase
		audit witness add|witness.add
		audit witness remove|witness.remove
		audit recover|audit.recover
		tenant delete|tenant.state
	END
}

# What tells by what it signs: a checkpoint has its time in it.
signing="audit checkpoint
audit run"
# What needs machines: tests/play/service.bats plays it, and looks for what it tells.
hosts="bundle rollback
host check
service logs
service restart"

play() {
	local key run
	case $1 in
	apply) copyhold apply -f "$MANIFESTS" --yes ;;
	"tenant setup-script") copyhold tenant setup-script acme -f "$MANIFESTS" ;;
	"cluster setup-script") copyhold cluster setup-script bj-1 -f "$MANIFESTS" ;;
	"tenant verify") copyhold tenant verify globex ;;
	"route resolve") copyhold route resolve globex --direct ;;
	"gateway run")
		gateway_start gw
		copyhold route resolve globex
		gateway_stop gw
		;;
	"route hold") copyhold route hold globex --max 1m ;;
	"route release") copyhold route release globex ;;
	"route switch")
		awk '/^---/ { exit } { print }' "$MANIFESTS/clusters.yaml" |
			sed -e 's/name: bj-1/name: bj-2/' -e 's/host: 127.0.0.1/host: localhost/' \
				>"$MANIFESTS/second.yaml"
		copyhold apply -f "$MANIFESTS" --yes
		copyhold route switch globex --to bj-2 --max 1m --yes
		;;
	"route clear")
		cluster_start bj-3
		sed -e 's/name: bj-2/name: bj-3/' -e "s/port: .*/port: $(cluster_port bj-3)/" \
			"$MANIFESTS/second.yaml" >"$MANIFESTS/third.yaml"
		copyhold cluster setup-script bj-3 -f "$MANIFESTS" | su_psql bj-3 -
		copyhold apply -f "$MANIFESTS" --yes
		copyhold route switch globex --to bj-3 --by copy --keep-old --max 1m --yes
		copyhold route clear globex --yes
		;;
	"secret set") copyhold secret set thing <<<value ;;
	"secret remove") copyhold secret remove thing ;;
	"login add") copyhold login add globex batch ;;
	"login rotate") copyhold login rotate globex app ;;
	"login limit") copyhold login limit globex app --connections 9 ;;
	"login remove") copyhold login remove globex batch --yes ;;
	"tenant suspend") copyhold tenant suspend globex --yes ;;
	"tenant resume") copyhold tenant resume globex ;;
	"data load") copyhold data load globex --from "$SOURCE" ;;
	"data compare") copyhold data compare globex --with "$SOURCE" ;;
	"shared watch") play_watch ;;
	"run undo")
		killed login add globex undone
		copyhold run undo "$(last_run)" --yes
		;;
	"run resolve")
		killed login add globex later
		run=$(last_run)
		sqlite3 "$COPYHOLD_HOME/catalog.db" \
			"UPDATE step SET state = 'unknown' WHERE run = $run AND state = 'intent'"
		copyhold run resolve "$run.$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" \
			"SELECT id FROM step WHERE run = $run AND state = 'unknown'")" --as redo --yes
		;;
	"run resume") copyhold run resume "$(last_run)" ;;
	"home backup") copyhold home backup "$TEST_DIR/backup" --passphrase env:PASSPHRASE ;;
	"home probe") copyhold home probe ;;
	"audit export") copyhold audit export --tenant globex --out "$TEST_DIR/evidence.zip" ;;
	"audit erase") copyhold audit erase --tenant initech --subject "actor:$(id -un)@$(hostname)" --yes ;;
	"audit witness add")
		key=$(copyhold audit witness key --dir "$TEST_DIR/witness" --name witness.example/w)
		copyhold audit witness add https://127.0.0.1:9 --key "$key"
		;;
	"audit witness remove") copyhold audit witness remove https://127.0.0.1:9 ;;
	"audit recover") copyhold audit recover --yes ;;
	"tenant delete") copyhold tenant delete initech --yes ;;
	*) echo "no play for: $1" && return 1 ;;
	esac
}

# A transaction that lasts, of a tenant in a shared database.
play_watch() {
	local tenant session
	tenant=$(copyhold tenant list -o json | jq -r '[.[] | select(.mode == "shared")][0].name')
	psql -X -q "$(copyhold route resolve "$tenant" --direct)" -c "SELECT pg_sleep(60)" >/dev/null 2>&1 3>&- &
	session=$!
	until_true sleeping
	copyhold shared watch bj-1 --once --max-transaction 1ms
	wait "$session" || true
}
sleeping() {
	[ "$(su_psql bj-1 "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'")" = 1 ]
}

@test "the plays are of the commands that may write, all of them" {
	local access
	for access in WRITES READS_SEALED; do rows "$access"; done | sort >"$TEST_DIR/rows"
	{
		plays | cut -d '|' -f 1
		echo "$signing"
		echo "$hosts"
	} | sort >"$TEST_DIR/played"
	assert_equal "$(cat "$TEST_DIR/rows")" "$(cat "$TEST_DIR/played")"
	[ "$(wc -l <"$TEST_DIR/rows")" -gt 20 ]
}

@test "each command that may write tells of it, and what it tells is in a signed tree" {
	local command wanted verb before got
	SOURCE=$(crm_source crm bj-1 accounts=3 contacts=3)
	while IFS='|' read -r command wanted; do
		before=$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT coalesce(max(seq), 0) FROM event")
		play "$command" >"$TEST_DIR/said" 2>&1 </dev/null || {
			echo "copyhold $command failed:"
			cat "$TEST_DIR/said"
			return 1
		}
		got=" $(verbs_since "$before")"
		for verb in $wanted; do
			[[ $got == *" $verb "* ]] || {
				echo "copyhold $command did not tell $verb but:$got"
				return 1
			}
		done
	done < <(plays)
	copyhold audit checkpoint >/dev/null
	assert_equal "$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" \
		"SELECT count(*) FROM log WHERE closed = 0 AND next > size")" 0
}

@test "a command that only reads writes nothing into the catalogue" {
	local before
	before=$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" .dump | sha256sum)
	copyhold audit list >/dev/null
	copyhold audit status >/dev/null
	copyhold audit proof "$(copyhold audit list --limit 1 -o json | jq -r '.[0].id')" >/dev/null
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	copyhold tenant list >/dev/null
	copyhold run list >/dev/null
	assert_equal "$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" .dump | sha256sum)" "$before"
}

@test "another program reads every log of the home and finds no name of a person in it" {
	local folder
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	while read -r folder; do
		python3 "$REPO/tests/lib/tlog.py" "$TEST_DIR/web/$folder" >"$TEST_DIR/entries"
		assert_lacks "$(id -un)@$(hostname)" "$(cat "$TEST_DIR/entries")"
	done < <(copyhold audit status -o json | jq -r '.logs[] | select(.signed > 0).folder')
}
