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
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

last_run() { copyhold run list --limit 1 -o json | jq -r '.[0].id'; }

assert_state() { assert_equal "$(copyhold tenant show "$1" -o json | jq -r .state)" "$2"; }

@test "of two at once one works, the other exits 7 and says who holds the lease" {
	local run
	hold_at 3 first tenant suspend globex --yes
	run=$(last_run)
	try tenant suspend globex --yes
	assert_exit 7
	assert_out ""
	since=$(grep -oE 'since [^)]*' <<<"$stderr")
	assert_err "error[leased]: \"tenant/globex\" is held by run $run (process $HOLDER, root@$(hostname), $since)
  hint:  Wait for it, or see: copyhold run show $run."
	let_go "$HOLDER"
	assert_equal "$status" 0
	assert_state globex suspended
	copyhold tenant resume globex
}

@test "two applies at once: the second exits 7 and changes nothing, then has nothing to do" {
	sed -i 's/maxLength: 40}/maxLength: 41}/' "$MANIFESTS/model-crm.yaml"
	hold_at 4 first apply -f "$MANIFESTS" --yes
	try apply -f "$MANIFESTS" --yes -o json
	assert_exit 7
	assert_equal "$(jq -r .error.kind <<<"$stderr")" leased
	let_go "$HOLDER"
	assert_equal "$status" 0
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_out "nothing to do: 8 as they should be"
}

@test "a second apply for a tenant that another run has begun with says so once, as text and as JSON" {
	local run since said
	sed -i 's/maxLength: 41}/maxLength: 42}/' "$MANIFESTS/model-crm.yaml"
	hold_at 4 first apply -f "$MANIFESTS" -t acme --yes
	run=$(last_run)
	said="run $run has not finished with tenant \"acme\""
	try apply -f "$MANIFESTS" -t acme --yes
	assert_exit 1
	assert_err "error[refused]: $said
  hint:  Finish it: copyhold run resume $run, or take it back: copyhold run undo $run."
	try apply -f "$MANIFESTS" -t acme --yes -o json
	assert_exit 1
	assert_equal "$(jq -r .error.what <<<"$stderr")" "$said"
	assert_equal "$(jq -r '.entries[] | select(.name == "acme") | .error' <<<"$output")" "$said"
	let_go "$HOLDER"
	assert_equal "$status" 0
	copyhold apply -f "$MANIFESTS" --yes
}

@test "another tenant is not waited for" {
	hold_at 3 first tenant suspend globex --yes
	try tenant suspend initech --yes
	assert_exit 0
	try tenant resume initech
	assert_exit 0
	let_go "$HOLDER"
	assert_equal "$status" 0
	copyhold tenant resume globex
}

@test "reading goes on while a run holds the tenant" {
	hold_at 3 first tenant suspend globex --yes
	try tenant show globex
	assert_exit 0
	try run show "$(last_run)"
	assert_exit 0
	assert_contains "running"
	let_go "$HOLDER"
	copyhold tenant resume globex
}

@test "a killed holder's lease ends with it" {
	local run
	hold_at 3 first tenant suspend globex --yes
	run=$(last_run)
	kill -KILL "$HOLDER"
	wait "$HOLDER" || true
	try login rotate globex app
	assert_exit 1
	assert_err "error[refused]: run $run has not finished with \"tenant/globex\"
  hint:  Finish it: copyhold run resume $run, or take it back: copyhold run undo $run."
	try run resume "$run"
	assert_exit 0
	assert_state globex suspended
	copyhold tenant resume globex
}

@test "a run that is held is neither resumed nor undone by another" {
	local run
	hold_at 3 first tenant suspend globex --yes
	run=$(last_run)
	try run resume "$run"
	assert_exit 7
	try run undo "$run" --yes
	assert_exit 7
	let_go "$HOLDER"
	assert_equal "$status" 0
	copyhold tenant resume globex
}

@test "a holder that was stopped while the home went on elsewhere is refused by the fence" {
	local run
	export PASSPHRASE='correct horse battery staple'
	COPYHOLD_FAULT=list:$TEST_DIR/list copyhold tenant suspend globex --yes
	copyhold tenant resume globex
	# stopped where the intent is written and the server was not yet asked
	hold_at "$(grep -n ':intent$' "$TEST_DIR/list" | head -n 1 | cut -d: -f1)" first \
		tenant suspend globex --yes
	run=$(last_run)
	copyhold home backup "$TEST_DIR/backup" --passphrase env:PASSPHRASE
	copyhold --home "$TEST_DIR/elsewhere" home restore "$TEST_DIR/backup" --passphrase env:PASSPHRASE
	copyhold --home "$TEST_DIR/elsewhere" audit recover --yes
	try --home "$TEST_DIR/elsewhere" run resume "$run"
	assert_exit 0
	try --home "$TEST_DIR/elsewhere" tenant resume globex
	assert_exit 0
	let_go "$HOLDER"
	assert_equal "$status" 6
	assert_contains "error[fenced]: " "$(cat "$TEST_DIR/first.err")"
	uri=$(copyhold --home "$TEST_DIR/elsewhere" route resolve globex --direct)
	assert_equal "$(psql -X -At "$uri" -c "SELECT 1")" 1
}
