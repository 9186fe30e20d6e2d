load ../lib/home

setup() {
	home_setup
	copyhold init
}
teardown() { home_teardown; }

@test "a home without a shared database has an empty list" {
	try shared list
	assert_exit 0
	assert_out "SHARED  CLUSTER  MODEL  VERSION  TENANTS  STATE  DATABASE"
	try shared list -o json
	assert_out "[]"
}

@test "an unknown shared database or cluster is not found" {
	local verb
	for verb in show usage watch; do
		try shared $verb bj-1/crm
		assert_exit 1
		assert_contains 'error[not-found]: there is no shared database "bj-1/crm"' "$stderr"
	done
	try shared watch bj-1
	assert_exit 1
	assert_contains 'error[not-found]: there is no cluster "bj-1"' "$stderr"
}

@test "limits of the watchdog are refused where they would end everybody" {
	try shared watch bj-1 --max-locks 99
	assert_exit 64
	assert_err 'error[usage]: --max-locks is too small
  hint:  Give at least 100: a transaction on a few tables holds dozens; 0 is no limit.'
	try shared watch bj-1 --interval 99ms
	assert_exit 64
	assert_err 'error[usage]: --interval is too short
  hint:  Give at least 100ms.'
	try shared watch bj-1 --max-transaction 10
	assert_exit 64
	assert_err 'error[usage]: option "--max-transaction" wants a span of time, not "10"
  hint:  Write a number and its unit: 250ms, 5s, 10m, 2h or 30d.'
	try shared watch bj-1 --max-blocked -1
	assert_exit 64
	try shared usage bj-1/crm --top 0
	assert_exit 64
	assert_err 'error[usage]: --top is too small
  hint:  Give at least 1.'
}

@test "a name is wanted" {
	local verb
	for verb in show usage watch; do
		try shared $verb
		assert_exit 64
	done
}

@test "the watchdog's unit is one that systemd takes" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not here"
	mkdir -p "$TEST_DIR/units"
	sed -e "s|/usr/bin/copyhold|$COPYHOLD_BIN|" \
		"$REPO/packaging/copyhold-shared-watch@.service" >"$TEST_DIR/units/watch@.service"
	run systemd-analyze verify --man=no "$TEST_DIR/units/watch@bj\\x2d1.service"
	assert_exit 0
	assert_out ""
}
