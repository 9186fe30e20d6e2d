load ../lib/home

setup() { home_setup; }
teardown() { home_teardown; }

# Every command, as help lists them.
commands() { copyhold help | grep -oE '^  [a-z]+( [a-z-]+)*  ' | sed 's/^ *//; s/ *$//'; }

# --- help -------------------------------------------------------------------------------

@test "help lists every command of the source, and no line is wider than 80 columns" {
	try help
	assert_exit 0
	assert_err ""
	assert_equal "$(awk 'length > 80' <<<"$output")" ""
	assert_equal "$(commands | wc -l)" "$(grep '^COMMAND(' "$REPO/cli/commands.def" | grep -vc gateway_worker)"
}

@test "each command has help of its own within 80 columns, by both ways the same" {
	local command wide=
	while read -r command; do
		# shellcheck disable=SC2086 # two words
		try help $command
		assert_exit 0
		assert_contains "usage: copyhold $command"
		assert_equal "$(awk 'length > 80' <<<"$output")" ""
		wide=$output
		# shellcheck disable=SC2086
		try $command --help
		assert_exit 0
		assert_out "$wide"
	done < <(commands)
}

@test "version says the version of the file VERSION" {
	try version
	assert_exit 0
	assert_out "copyhold $(cat "$REPO/VERSION")"
}

# --- wrong words ------------------------------------------------------------------------

@test "an unknown word is answered with the nearest and exit 64" {
	try tenat list
	assert_exit 64
	assert_err 'error[usage]: unknown command "tenat"
  hint:  Did you mean "tenant"? Try: copyhold help'
	try tenant lst
	assert_exit 64
	assert_err 'error[usage]: unknown command "tenant lst"
  hint:  Did you mean "tenant list"? Its verbs: list, show, verify, suspend, resume, delete, setup-script, access.'
	try plan --fil x
	assert_exit 64
	assert_err 'error[usage]: unknown option "--fil"
  hint:  Did you mean --file? Try: copyhold plan --help'
	try help tenat
	assert_exit 64
	assert_err 'error[usage]: there is no command "tenat"
  hint:  See: copyhold help.'
}

@test "a missing word and one too many are named" {
	try
	assert_exit 64
	assert_err 'error[usage]: a command is missing
  hint:  Try: copyhold help'
	try tenant
	assert_exit 64
	assert_err 'error[usage]: "tenant" needs a verb
  hint:  Its verbs: list, show, verify, suspend, resume, delete, setup-script, access. Try: copyhold tenant --help'
	try tenant show
	assert_exit 64
	assert_err 'error[usage]: argument "TENANT" is missing
  hint:  Usage: copyhold tenant show TENANT [OPTIONS]'
	try tenant show a b
	assert_exit 64
	assert_err 'error[usage]: unexpected argument "b"
  hint:  Usage: copyhold tenant show TENANT [OPTIONS]'
}

@test "with --output json an error is one JSON object on standard error" {
	try tenant list -o json
	assert_exit 1
	assert_out ""
	assert_equal "$(jq -r '.error | .kind, .what, .exit' <<<"$stderr")" "home
there is no home in \"$COPYHOLD_HOME\"
1"
}

# --- completion -------------------------------------------------------------------------

@test "the completion scripts parse and know every command" {
	local noun
	copyhold completion bash >"$TEST_DIR/bash"
	bash -n "$TEST_DIR/bash"
	copyhold completion zsh >"$TEST_DIR/zsh"
	copyhold completion fish >"$TEST_DIR/fish"
	while read -r noun; do
		grep -qw -- "$noun" "$TEST_DIR/bash"
		grep -qw -- "$noun" "$TEST_DIR/zsh"
		grep -qw -- "$noun" "$TEST_DIR/fish"
	done < <(commands | cut -d' ' -f1 | sort -u)
	try completion tcsh
	assert_exit 64
	assert_err 'error[usage]: there is no completion for "tcsh"
  hint:  Use bash, zsh or fish.'
}

# --- the home ---------------------------------------------------------------------------

@test "init makes a home that is ours alone, and a second time changes nothing" {
	try init
	assert_exit 0
	assert_out "made the home $COPYHOLD_HOME"
	assert_equal "$(find "$COPYHOLD_HOME" -perm /077)" ""
	local before
	before=$(sha256sum "$COPYHOLD_HOME/catalog.db" "$COPYHOLD_HOME/keys/master.key")
	try init
	assert_exit 0
	assert_contains "$COPYHOLD_HOME"
	assert_equal "$(sha256sum "$COPYHOLD_HOME/catalog.db" "$COPYHOLD_HOME/keys/master.key")" "$before"
}

@test "init in a folder that others may write in is refused" {
	mkdir -m 0777 "$COPYHOLD_HOME"
	try init
	assert_exit 1
	assert_contains "error[home]: \"$COPYHOLD_HOME\" is open to other users (mode 0777)" "$stderr"
	[ ! -e "$COPYHOLD_HOME/catalog.db" ]
}

@test "a key, a folder or a catalogue that others may read is refused with the fix" {
	local path
	copyhold init
	for path in keys keys/master.key catalog.db; do
		chmod o+r "$COPYHOLD_HOME/$path"
		try tenant list
		assert_exit 1
		assert_contains "error[home]: \"$COPYHOLD_HOME/$path\" is open to other users" "$stderr"
		assert_contains "Run: chmod 0" "$stderr"
		chmod o-r "$COPYHOLD_HOME/$path"
	done
	try tenant list
	assert_exit 0
}

@test "--home comes before COPYHOLD_HOME" {
	try --home "$TEST_DIR/other" init
	assert_exit 0
	[ -e "$TEST_DIR/other/catalog.db" ] && [ ! -e "$COPYHOLD_HOME" ]
}

@test "every command that needs a home says how to make one" {
	local command
	for command in "tenant list" "route list" "run list" "secret list" "tenant suspend x --yes"; do
		# shellcheck disable=SC2086 # words
		try $command
		assert_exit 1
		assert_err "error[home]: there is no home in \"$COPYHOLD_HOME\"
  while: opening the home
  hint:  Make one with: copyhold init. Or name it: --home DIR, COPYHOLD_HOME."
	done
}

@test "doctor without a home finds that, and looks at the rest all the same" {
	try doctor
	assert_exit 1
	assert_contains "there is no home in \"$COPYHOLD_HOME\""
	assert_contains "program psql"
	assert_contains "fix: Make one with: copyhold init" "$stderr"
	copyhold init
	try doctor
	assert_exit 0
}

# --- secrets ----------------------------------------------------------------------------

@test "a secret comes from standard input, is listed by name and sealed" {
	copyhold init
	printf 'canary-4711\n' | copyhold secret set db-password
	try secret list
	assert_exit 0
	assert_out "SECRET
db-password"
	run grep -rlaF canary-4711 "$COPYHOLD_HOME"
	assert_out ""
	try secret remove db-password
	assert_exit 0
	assert_out "removed store:db-password"
	try secret list -o json
	assert_out "[]"
	try secret remove db-password
	assert_exit 1
	assert_err 'error[not-found]: there is no secret "db-password"
  hint:  See: copyhold secret list.'
}

@test "an empty secret and a bad name are refused" {
	copyhold init
	run --separate-stderr sh -c "\"$COPYHOLD_BIN\" secret set x </dev/null"
	assert_exit 64
	assert_err 'error[usage]: the secret is empty
  hint:  Give it on standard input: copyhold secret set NAME < FILE.'
	run --separate-stderr sh -c "echo v | \"$COPYHOLD_BIN\" secret set ../x"
	assert_exit 64
	assert_contains 'error[usage]: "../x" is no name for a secret' "$stderr"
}
