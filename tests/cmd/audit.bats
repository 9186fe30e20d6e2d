load ../lib/home

setup() {
	home_setup
	copyhold init >/dev/null
}
teardown() {
	[ -z "${SERVICE-}" ] || { kill "$SERVICE" && wait "$SERVICE" || true; }
	[ ! -e "$TEST_DIR/disk/.mounted" ] || umount "$TEST_DIR/disk"
	home_teardown
}

tlog() { python3 "$REPO/tests/lib/tlog.py" "$@"; }

fits() { python3 "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"; }

secret() { printf 'value of %s' "$1" | copyhold secret set "$@" >/dev/null; }

vendor_folder() { copyhold audit status -o json | jq -r '.logs[0].folder'; }

vendor_key() { copyhold audit status -o json | jq -r '.logs[0].key'; }

# --- list ---------------------------------------------------------------------------------

@test "what was done is listed with who did it and why, newest first" {
	secret first --reason 'ticket 17'
	secret second
	try audit list -o json
	assert_exit 0
	fits auditList <<<"$output"
	assert_equal "$(jq -c '[.[] | [.verb, .object, .outcome, .reason, .index, .signed]]' <<<"$output")" \
		'[["secret.set","secret/second","ok",null,2,true],["secret.set","secret/first","ok","ticket 17",1,true],["home.init","home","ok",null,0,true]]'
	assert_equal "$(jq -r '.[0].actor' <<<"$output")" "$(id -un)@$(hostname)"
	try audit list
	assert_contains "secret/first"
	assert_contains "ticket 17"
}

@test "the list is filtered by verb, actor, time and number" {
	local at
	secret first
	at=$(copyhold audit list -o json | jq -r '.[0].at')
	secret second
	count() { copyhold audit list "$@" -o json | jq length; }
	assert_equal "$(count --verb secret.set)" 2
	assert_equal "$(count --verb secret)" 0
	assert_equal "$(count --actor "$(id -un)@")" 3
	assert_equal "$(count --actor nobody-else)" 0
	assert_equal "$(count --since "$at")" 2
	assert_equal "$(count --until "$at")" 1
	assert_equal "$(count --since 2020-01-01 --until 2020-01-02)" 0
	assert_equal "$(count --limit 1)" 1
	assert_equal "$(count --limit 0)" 3
	assert_equal "$(count --tenant acme)" 0
	try audit list --since yesterday
	assert_exit 64
	assert_err 'error[usage]: "yesterday" of --since is no time
  hint:  Write a date or a time in UTC: 2026-01-31 or 2026-01-31T12:00:00Z.'
}

@test "JSON lines are every event once, however many there are" {
	local i
	for i in {1..9}; do
		secret "s$i"
	done
	# more than are read at once
	sqlite3 "$COPYHOLD_HOME/catalog.db" "
		INSERT INTO event (id, at, log, log_index, verb, object, outcome, bytes)
		WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 799)
		SELECT 'e' || i, 1, 1, i, 'test', 'o', 'ok', '{\"actor\":\"old\",\"n\":' || i || '}' FROM n;
		UPDATE log SET next = 800"
	try audit list -o jsonl --limit 0
	assert_exit 0
	assert_equal "$(wc -l <<<"$output")" 800
	assert_equal "$(jq -r .index <<<"$output" | sort -n | uniq | wc -l)" 800
	fits auditList lines <<<"$output"
	assert_equal "$(copyhold audit list -o jsonl --limit 300 | jq -r .index | tail -1)" 500
	assert_equal "$(copyhold audit list -o jsonl --limit 0 --actor old | wc -l)" 790
}

@test "an old person's name that was erased is listed as erased" {
	secret first
	sqlite3 "$COPYHOLD_HOME/catalog.db" "PRAGMA foreign_keys = ON; DELETE FROM opening"
	try audit list
	assert_exit 0
	assert_contains "(erased)"
	try audit list -o json
	assert_equal "$(jq -c '.[0] | [.actor, .erased]' <<<"$output")" '[null,true]'
}

# --- checkpoints and proofs, read by another program ---------------------------------------

@test "what is published is read and computed anew by another program" {
	local i
	for i in {1..5}; do
		secret "s$i"
	done
	try audit publish --to "$TEST_DIR/web" -o json
	assert_exit 0
	fits auditPublish <<<"$output"
	assert_equal "$(jq -c 'del(.to)' <<<"$output")" '{"logs":1,"files":4}'
	run tlog "$TEST_DIR/web/$(vendor_folder)" "$(vendor_key)"
	assert_exit 0
	assert_equal "$(jq -r .object <<<"$output" | tr '\n' ' ')" "home secret/s1 secret/s2 secret/s3 secret/s4 secret/s5 "
	assert_lacks "$(id -un)@$(hostname)"
	[ ! -e "$TEST_DIR/web/$(vendor_folder)/high-water" ]
	secret s6
	try audit publish --to "$TEST_DIR/web"
	assert_exit 0
	assert_out "wrote 3 files of 1 logs to $TEST_DIR/web"
	run tlog "$TEST_DIR/web/$(vendor_folder)"
	assert_exit 0
}

@test "one bit that another program reads changed is found by it" {
	local file
	secret s1
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	for file in checkpoint tile/0/000.p/2 tile/entries/000.p/2; do
		cp -r "$TEST_DIR/web" "$TEST_DIR/changed"
		file=$TEST_DIR/changed/$(vendor_folder)/$file
		flip "$file" 40
		run tlog "$TEST_DIR/changed/$(vendor_folder)" "$(vendor_key)"
		assert_exit 1
		rm -r "$TEST_DIR/changed"
	done
}

@test "a proof holds for its event and for no other" {
	local id i
	for i in {1..6}; do
		secret "s$i"
	done
	id=$(copyhold audit list -o json | jq -r '.[] | select(.object == "secret/s4").id')
	copyhold audit proof "$id" >"$TEST_DIR/proof"
	copyhold audit proof "$id" --entry >"$TEST_DIR/proof.entry"
	sqlite3 "$COPYHOLD_HOME/catalog.db" "SELECT writefile('$TEST_DIR/entry', bytes) FROM event WHERE id = '$id'"
	sqlite3 "$COPYHOLD_HOME/catalog.db" \
		"SELECT writefile('$TEST_DIR/other', bytes) FROM event WHERE log_index = 2"
	run tlog proof "$TEST_DIR/proof" "$TEST_DIR/entry" "$(vendor_key)"
	assert_exit 0
	assert_out "entry 4 of 7"
	run tlog proof "$TEST_DIR/proof.entry" "$TEST_DIR/entry" "$(vendor_key)"
	assert_exit 0
	run tlog proof "$TEST_DIR/proof" "$TEST_DIR/other" "$(vendor_key)"
	assert_exit 1
	assert_out "tlog: the proof does not hold"
	try audit proof "$id" -o json
	fits auditProof <<<"$output"
	assert_equal "$(jq -r .proof <<<"$output")" "$(cat "$TEST_DIR/proof")"
	try audit proof 00000000-0000-7000-8000-000000000000
	assert_exit 1
	assert_err 'error[not-found]: there is no event "00000000-0000-7000-8000-000000000000"
  hint:  See: copyhold audit list.'
}

@test "a checkpoint is signed anew when it is asked for" {
	local before
	COPYHOLD_NOW=1790000000000 try audit checkpoint -o json
	assert_exit 0
	fits auditCheckpoint <<<"$output"
	before=$(jq -c '[.origin, .size, .root]' <<<"$output")
	assert_equal "$(jq -r .signedAt <<<"$output")" 2026-09-21T14:13:20.000Z
	COPYHOLD_NOW=1790000100000 try audit checkpoint -o json
	assert_equal "$(jq -c '[.origin, .size, .root]' <<<"$output")" "$before"
	assert_equal "$(jq -r .signedAt <<<"$output")" 2026-09-21T14:15:00.000Z
	try audit checkpoint
	assert_out "$(cat "$COPYHOLD_HOME/audit/$(vendor_folder)/checkpoint")"
	try audit checkpoint --tenant nobody
	assert_exit 1
	assert_err 'error[not-found]: there is no log of a tenant "nobody"
  hint:  See: copyhold audit status.'
}

# --- status and run -------------------------------------------------------------------------

@test "status says how far each log is signed and that nobody signs idle ones" {
	secret s1
	try audit status -o json
	assert_exit 0
	fits auditStatus <<<"$output"
	assert_equal "$(jq -c '[.running, .problem, (.logs[] | [.tenant, .state, .events, .signed])]' <<<"$output")" \
		'[false,null,[null,"current",2,2]]'
	try audit status
	assert_contains "audit run is not running: each command that changes something publishes what it can"
	sqlite3 "$COPYHOLD_HOME/catalog.db" "UPDATE log SET signed_at = signed_at - 70000"
	assert_equal "$(copyhold audit status -o json | jq -r '.logs[0].state')" silent
	sqlite3 "$COPYHOLD_HOME/catalog.db" "UPDATE log SET next = next + 1"
	try audit status -o json --detailed-exitcode
	assert_exit 2
	assert_equal "$(jq -r '.logs[0].state' <<<"$output")" behind
}

# Starts audit run and waits until it says so; its pid is in $SERVICE.
service() {
	"$COPYHOLD_BIN" audit run 2>"$TEST_DIR/run.err" 3>&- &
	SERVICE=$!
	until [ -s "$TEST_DIR/run.err" ]; do
		kill -0 "$SERVICE" || return
	done
}

@test "audit run signs silent logs again, is seen by status, and stops at SIGTERM" {
	sqlite3 "$COPYHOLD_HOME/catalog.db" "UPDATE log SET signed_at = 1000"
	service
	until [ "$(copyhold audit status -o json | jq -r '.logs[0].state')" = current ]; do
		kill -0 "$SERVICE"
	done
	try audit status -o json
	assert_equal "$(jq -c '[.running, .process]' <<<"$output")" "[true,$SERVICE]"
	try audit run
	assert_exit 7
	assert_err "error[leased]: process $SERVICE runs the logs of \"$COPYHOLD_HOME\" already
  hint:  Stop it first."
	kill -TERM "$SERVICE"
	wait "$SERVICE"
	SERVICE=
	assert_equal "$(cat "$TEST_DIR/run.err")" "publishing the logs of \"$COPYHOLD_HOME\"
stopped"
}

# --- what cannot be written -----------------------------------------------------------------

@test "in a folder that cannot be written a change is refused before it is made" {
	rm -r "$COPYHOLD_HOME/audit"
	: >"$COPYHOLD_HOME/audit"
	try secret set s1 <<<x
	assert_exit 1
	assert_contains "no event could be published in \"$COPYHOLD_HOME/audit\"" "$stderr"
	assert_contains "Nothing was changed." "$stderr"
	try secret list -o json
	assert_out "[]"
}

@test "without rights in the folder a change is refused before it is made" {
	[ "$(id -u)" = 0 ] || skip "becoming another user needs root"
	chmod 0711 "$TEST_DIR"
	chown -R nobody "$COPYHOLD_HOME"
	chown root "$COPYHOLD_HOME/audit"
	chmod 0755 "$COPYHOLD_HOME/audit"
	run --separate-stderr runuser -u nobody -- sh -c \
		"printf x | '$COPYHOLD_BIN' --home '$COPYHOLD_HOME' secret set s1"
	assert_exit 1
	assert_contains "error[permission]: no event could be published in" "$stderr"
}

@test "on a full disk a change is refused before it is made, and nothing is lost afterwards" {
	mkdir -p "$TEST_DIR/disk"
	mount -t tmpfs -o size=2m tmpfs "$TEST_DIR/disk" 2>/dev/null || skip "no file system can be mounted"
	: >"$TEST_DIR/disk/.mounted"
	export COPYHOLD_HOME=$TEST_DIR/disk/home
	copyhold init >/dev/null
	secret before
	dd if=/dev/zero of="$TEST_DIR/disk/fill" bs=64k status=none 2>/dev/null || true
	dd if=/dev/zero of="$TEST_DIR/disk/fill2" bs=1k status=none 2>/dev/null || true
	try secret set during <<<x
	assert_exit 1
	assert_contains "error[disk-full]: " "$stderr"
	rm "$TEST_DIR/disk/fill" "$TEST_DIR/disk/fill2"
	assert_equal "$(copyhold secret list -o json | jq -c 'map(.name)')" '["before"]'
	secret after
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	run tlog "$TEST_DIR/web/$(vendor_folder)" "$(vendor_key)"
	assert_exit 0
	assert_equal "$(jq -r .object <<<"$output" | tr '\n' ' ')" "home secret/before secret/after "
}

@test "a publication that fails part-way is made good by the next command" {
	secret s1
	# no file may grow beyond 8 KiB: the catalogue can be written, a full tile's bundle cannot
	sqlite3 "$COPYHOLD_HOME/catalog.db" "
		INSERT INTO event (id, at, log, log_index, verb, object, outcome, bytes)
		WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 299)
		SELECT 'e' || i, 1, 1, i, 'test', 'o', 'ok', '{\"n\":' || i || '}' FROM n;
		UPDATE log SET next = 300"
	run --separate-stderr bash -c "trap '' XFSZ; ulimit -f 3; '$COPYHOLD_BIN' audit checkpoint"
	assert_exit 1
	assert_equal "$(copyhold audit status -o json | jq -c '.logs[0] | [.events, .signed]')" '[300,2]'
	assert_equal "$(find "$COPYHOLD_HOME/audit" -name '.*.new')" ""
	secret s2
	assert_equal "$(copyhold audit status -o json | jq -c '.logs[0] | [.events, .signed]')" '[301,301]'
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	run tlog "$TEST_DIR/web/$(vendor_folder)" "$(vendor_key)"
	assert_exit 0
}

# --- restore --------------------------------------------------------------------------------

backup() { PASSPHRASE='correct horse battery' copyhold home backup "$1" --passphrase env:PASSPHRASE >/dev/null; }

restore() {
	PASSPHRASE='correct horse battery' copyhold --home "$1" home restore "$2" --passphrase env:PASSPHRASE
}

@test "an old backup in its old place is refused until its events are taken back" {
	local folder
	secret s1
	backup "$TEST_DIR/backup"
	secret s2
	secret s3
	folder=$(vendor_folder)
	cp "$COPYHOLD_HOME/audit/$folder/checkpoint" "$TEST_DIR/was"
	rm "$COPYHOLD_HOME"/catalog.db*
	run --separate-stderr restore "$COPYHOLD_HOME" "$TEST_DIR/backup"
	assert_exit 0
	assert_contains "before the next change run: copyhold audit recover" "$stderr"
	try secret set s4 <<<x
	assert_exit 6
	assert_equal "$(head -1 <<<"$stderr")" \
		"error[forked]: the catalogue is older than what was published of it: event 5 of it is missing"
	assert_contains "Nothing was changed. Run: copyhold audit recover." "$stderr"
	assert_equal "$(cat "$COPYHOLD_HOME/audit/$folder/checkpoint")" "$(cat "$TEST_DIR/was")"
	try audit status -o json
	assert_contains "the catalogue is older" "$(jq -r .problem <<<"$output")"
	try audit recover
	assert_exit 1
	assert_contains "nobody is there to be asked" "$stderr"
	try audit recover --yes -o json
	assert_exit 0
	fits auditRecover <<<"$output"
	assert_out '{
  "takenBack": 3,
  "moved": 1,
  "successors": 0,
  "found": 0
}'
	secret s4
	assert_equal "$(vendor_folder)" "$folder"
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	run tlog "$TEST_DIR/web/$folder" "$(vendor_key)"
	assert_exit 0
	assert_equal "$(jq -r '.verb + " " + .object' <<<"$output" | tr '\n' ',')" \
		"home.init home,secret.set secret/s1,home.backup home,secret.set secret/s2,secret.set secret/s3,home.probe home,audit.recover home,secret.set secret/s4,"
}

@test "a home without its audit folder goes on in a log of another name" {
	local folder
	secret s1
	backup "$TEST_DIR/backup"
	secret s2
	folder=$(vendor_folder)
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	export COPYHOLD_HOME=$TEST_DIR/elsewhere
	restore "$COPYHOLD_HOME" "$TEST_DIR/backup"
	try secret set s3 <<<x
	assert_exit 6
	assert_equal "$(head -1 <<<"$stderr")" \
		"error[forked]: the catalogue has logs that were signed, and \"$COPYHOLD_HOME/audit\" has not"
	try audit recover --yes --from "$TEST_DIR/web"
	assert_exit 0
	assert_out "2 events taken back, 1 moved, 1 logs closed with a successor, 0 logs found that the catalogue did not know"
	secret s3
	try audit status -o json
	assert_equal "$(jq -c '[.logs[] | [.state, .events]]' <<<"$output")" '[["closed",4],["current",4]]'
	copyhold audit publish --to "$TEST_DIR/web2" >/dev/null
	cmp "$TEST_DIR/web/$folder/tile/entries/000.p/4" "$TEST_DIR/web2/$folder/tile/entries/000.p/4"
	for folder in $(jq -r '.logs[].folder' <<<"$output"); do
		run tlog "$TEST_DIR/web2/$folder"
		assert_exit 0
	done
	assert_equal "$(jq -r '.verb + " " + .object' <<<"$output" | cut -d/ -f1 | tr '\n' ',')" \
		"audit.successor log,home.probe home,audit.recover home,secret.set secret,"
}
