load ../lib/home
load ../lib/cluster
load ../lib/estate
load ../lib/wait

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	copyhold apply -f "$MANIFESTS" --yes
	export PASSPHRASE='correct horse battery staple'
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

last_run() { copyhold run list --limit 1 -o json | jq -r '.[0].id'; }

# --- signals ----------------------------------------------------------------------------

@test "SIGINT in the middle of a run: exit 3, and resume goes on" {
	local run
	hold_at 3 first tenant suspend globex --yes
	run=$(last_run)
	kill -INT "$HOLDER"
	let_go "$HOLDER"
	assert_equal "$status" 3
	assert_contains "error[stopped]: stopped by a signal before " "$(cat "$TEST_DIR/first.err")"
	assert_contains "go on with: copyhold run resume $run" "$(cat "$TEST_DIR/first.out")"
	try run resume "$run"
	assert_exit 0
	assert_equal "$(copyhold tenant show globex -o json | jq -r .state)" suspended
	copyhold tenant resume globex
}

@test "SIGTERM too, and undo takes back what was not yet past the pivot" {
	local run
	hold_at 3 first login add globex late
	run=$(last_run)
	kill -TERM "$HOLDER"
	let_go "$HOLDER"
	assert_equal "$status" 3
	try run undo "$run" --yes
	assert_exit 0
	try login list globex -o json
	assert_equal "$(jq -c '[.[].user]' <<<"$output")" '["app"]'
}

# --- secrets ----------------------------------------------------------------------------

# Every secret there is: of the manifests, of the logins, the passphrase, the master key.
canaries() {
	printf '%s\n' "$BJ1_PASSWORD" "$ACME_DB_PASSWORD" "$PASSPHRASE"
	cut -d: -f5 "$COPYHOLD_HOME"/run/pass/*
}

@test "no secret is in the home, the journal, a plan, a log, the servers' logs or an error" {
	local canary place
	for tenant in globex initech acme; do
		copyhold route resolve "$tenant" --direct >/dev/null
	done
	copyhold login add globex second
	copyhold login rotate globex second
	copyhold plan -f "$MANIFESTS" -o json >"$TEST_DIR/said"
	BJ1_PASSWORD=wrong-canary copyhold --debug plan -f "$MANIFESTS" >>"$TEST_DIR/said" 2>&1 || true
	copyhold plan -f "$MANIFESTS" --out "$TEST_DIR/said.plan" >>"$TEST_DIR/said"
	copyhold run list -o json >>"$TEST_DIR/said"
	copyhold tenant setup-script acme >>"$TEST_DIR/said"
	copyhold home backup "$TEST_DIR/said.backup" --passphrase env:PASSPHRASE
	sqlite3 "$COPYHOLD_HOME/catalog.db" .dump >"$TEST_DIR/said.dump"
	cat "$CLUSTERS"/*/log >"$TEST_DIR/said.logs"
	[ "$(canaries | sort -u | wc -l)" -ge 6 ]
	while read -r canary; do
		[ -n "$canary" ]
		for place in "$TEST_DIR"/said* "$COPYHOLD_HOME"/catalog.db* "$COPYHOLD_HOME/audit"; do
			if grep -rqaF -- "$canary" "$place"; then
				echo "a secret is in $place" >&2
				return 1
			fi
		done
	done < <(canaries; echo wrong-canary)
	copyhold login remove globex second --yes
}

# Of every process that works for this home; the passwords of the tests beside this one are the same.
command_lines() {
	local process
	for process in /proc/[0-9]*; do
		! grep -qxzF "COPYHOLD_HOME=$COPYHOLD_HOME" "$process/environ" || tr '\0' ' ' <"$process/cmdline"
	done 2>/dev/null
	true
}

@test "no secret stands on a command line while a run goes on" {
	local canary
	hold_at 3 first login rotate globex app
	tr '\0' ' ' <"/proc/$HOLDER/cmdline" >"$TEST_DIR/lines"
	command_lines >>"$TEST_DIR/lines"
	grep -q "login rotate globex app" "$TEST_DIR/lines"
	while read -r canary; do
		assert_lacks "$canary" "$(cat "$TEST_DIR/lines")"
	done < <(canaries)
	let_go "$HOLDER"
	assert_equal "$status" 0
}

@test "another user cannot look into a running copyhold" {
	[ "$(id -u)" = 0 ] || skip "looking as another user needs root"
	hold_at 3 first login rotate globex app
	run runuser -u nobody -- cat "/proc/$HOLDER/environ"
	assert_exit 1
	let_go "$HOLDER"
	assert_equal "$status" 0
}

# --- backup and restore -----------------------------------------------------------------

@test "a backup wants a passphrase that is long enough, and a file that is not there" {
	PASSPHRASE=short try home backup "$TEST_DIR/short" --passphrase env:PASSPHRASE
	assert_exit 1
	assert_err "error[secret]: the passphrase is too short
  hint:  Use 12 characters or more."
	[ ! -e "$TEST_DIR/short" ]
	: >"$TEST_DIR/there"
	try home backup "$TEST_DIR/there" --passphrase env:PASSPHRASE
	assert_exit 1
	[ ! -s "$TEST_DIR/there" ]
	copyhold home backup "$TEST_DIR/backup" --passphrase env:PASSPHRASE
	assert_equal "$(stat -c %a "$TEST_DIR/backup")" 600
}

@test "a backup opens with its passphrase only, and not when it was changed" {
	PASSPHRASE='wrong horse battery staple' try --home "$TEST_DIR/other" \
		home restore "$TEST_DIR/backup" --passphrase env:PASSPHRASE
	assert_exit 1
	assert_contains "error[secret]: " "$stderr"
	[ ! -e "$TEST_DIR/other/catalog.db" ]
	cp "$TEST_DIR/backup" "$TEST_DIR/changed"
	size=$(stat -c %s "$TEST_DIR/changed")
	flip "$TEST_DIR/changed" $((size / 2))
	try --home "$TEST_DIR/other" home restore "$TEST_DIR/changed" --passphrase env:PASSPHRASE
	assert_exit 1
	[ ! -e "$TEST_DIR/other/catalog.db" ]
}

@test "a restore never overwrites a home" {
	try home restore "$TEST_DIR/backup" --passphrase env:PASSPHRASE
	assert_exit 1
	assert_contains "error[" "$stderr"
	try tenant list
	assert_exit 0
}

# What happened after the backup is lost with the machine; the servers have seen it.
@test "after the loss of the machine every tenant is found, and fences and epochs are above" {
	local seen tenant
	copyhold tenant suspend globex --yes
	copyhold tenant resume globex
	seen=$(su_psql bj-1 "SELECT max(fence) FROM copyhold.fence" copyhold)
	epoch=$(copyhold tenant show globex -o json | jq -r .epoch)
	rm -rf "$COPYHOLD_HOME"
	try home restore "$TEST_DIR/backup" --passphrase env:PASSPHRASE
	assert_exit 0
	assert_contains "restored the home into $COPYHOLD_HOME"
	assert_contains "asked 3 of 3 targets"
	assert_contains "before the next change run: copyhold audit recover" "$stderr"
	try login rotate globex app
	assert_exit 6
	assert_contains "error[forked]: " "$stderr"
	copyhold audit recover --yes
	for tenant in globex initech acme; do
		assert_equal "$(psql -X -At "$(copyhold route resolve "$tenant" --direct)" -c "SELECT count(*) FROM account")" 0
	done
	[ "$(copyhold tenant show globex -o json | jq -r .epoch)" -gt "$epoch" ]
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	try login rotate globex app
	assert_exit 0
	[ "$(su_psql bj-1 "SELECT max(fence) FROM copyhold.fence" copyhold)" -gt "$seen" ]
}

@test "a target that is down during the restore is asked again later" {
	copyhold home backup "$TEST_DIR/third" --passphrase env:PASSPHRASE
	cluster_stop acme-db
	try --home "$TEST_DIR/third-home" home restore "$TEST_DIR/third" --passphrase env:PASSPHRASE
	assert_exit 4
	assert_contains "asked 2 of 3 targets"
	cluster_start acme-db --tls
	copyhold --home "$TEST_DIR/third-home" audit recover --yes
	try --home "$TEST_DIR/third-home" home probe
	assert_exit 0
	assert_contains "asked 3 of 3 targets"
}
