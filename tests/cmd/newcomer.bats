# What somebody meets who does not know the program yet.
load ../lib/home

setup() { home_setup; }
teardown() { home_teardown; }

tenant() {
	printf '%s\n' 'apiVersion: copyhold/v1' 'kind: Tenant' 'metadata: {name: mine}' \
		'spec: {model: crm, mode: dedicated, cluster: bj-1}'
}

@test "--version is understood" {
	try --version
	assert_exit 0
	assert_out "copyhold $(cat "$REPO/VERSION")"
}

@test "an option that is given twice is refused, not taken the second time" {
	try check -f a -f b
	assert_exit 64
	assert_err 'error[usage]: option "--file" is given twice
  hint:  Leave one of the two out.'
}

@test "a key that is indented too far is explained as that" {
	printf 'apiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: mine}\nspec:\n  model: crm\n   mode: dedicated\n' |
		write wrong.yaml
	try check -f "$TEST_DIR/wrong.yaml"
	assert_exit 64
	assert_err "error[manifest]: not valid YAML: mapping values are not allowed in this context
  where: $TEST_DIR/wrong.yaml:6:8
  hint:  Keys of one map are indented alike; a text that holds \": \" goes in quotes."
}

@test "a tenant's manifest alone asks for the folder of the others" {
	tenant | write tenant.yaml
	try check -f "$TEST_DIR/tenant.yaml"
	assert_exit 64
	assert_err "error[manifest]: Tenant \"mine\" names model \"crm\", which no manifest describes
  where: $TEST_DIR/tenant.yaml:4:15
  hint:  Add a manifest of kind Model for it, or name the folder that holds it."
}

@test "an empty standard input is named as that" {
	run --separate-stderr copyhold check -f - </dev/null
	assert_exit 64
	assert_err "error[manifest]: no manifest on standard input
  hint:  Was something written into the pipe?"
}

@test "a file that is no saved plan is named" {
	copyhold init
	echo 'kind: Tenant' | write plan
	try apply --plan "$TEST_DIR/plan"
	assert_exit 64
	assert_contains "while: reading the saved plan \"$TEST_DIR/plan\"" "$stderr"
}

@test "init twice has nothing to do" {
	try init
	assert_out "made the home $COPYHOLD_HOME"
	try init
	assert_exit 0
	assert_out "nothing to do: there is a home in $COPYHOLD_HOME already"
}

@test "a home that lost its catalogue is never made anew over its key" {
	local key text="error[home]: the home in \"$COPYHOLD_HOME\" has a key, but its catalogue is gone"
	copyhold init
	key=$(sha256sum <"$COPYHOLD_HOME/keys/master.key")
	rm "$COPYHOLD_HOME"/catalog.db*
	try tenant list
	assert_exit 1
	assert_contains "$text" "$stderr"
	try init
	assert_exit 1
	assert_err "$text
  hint:  Restore it from a backup: copyhold home restore FILE. Or name another home: --home DIR, COPYHOLD_HOME."
	assert_equal "$(sha256sum <"$COPYHOLD_HOME/keys/master.key")" "$key"
	[ ! -e "$COPYHOLD_HOME/catalog.db" ]
}

@test "the doctor tells all it can of a damaged catalogue" {
	copyhold init
	# Behind the header and the schema: the file opens, its rows cannot be read.
	head -c 81920 /dev/zero | tr '\0' x |
		dd of="$COPYHOLD_HOME/catalog.db" bs=4096 seek=3 iflag=fullblock conv=notrunc status=none
	try doctor -o json
	assert_exit 1
	assert_equal "$(jq -c '[.[] | {check, ok}]' <<<"$output")" '[{"check":"home","ok":true},'\
'{"check":"catalogue","ok":false},{"check":"disk","ok":true},{"check":"program psql","ok":true}]'
}

@test "no run is -1 to a reader" {
	copyhold init
	sqlite3 "$COPYHOLD_HOME/catalog.db" \
		"INSERT INTO run (verb, state, actor, started) VALUES ('apply', 'running', 'me', 0)"
	try run list
	assert_out "RUN  VERB   STATE    EXIT  DONE  STEPS  STARTED
  1  apply  running     -     0      0  1970-01-01T00:00:00.000Z"
	try run show 1
	assert_contains "if its process was killed, go on with: copyhold run resume 1"
	try run list -o json
	assert_equal "$(jq '.[0].exit' <<<"$output")" -1
}
