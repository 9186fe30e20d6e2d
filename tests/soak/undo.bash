# shellcheck shell=bash disable=SC2154 # chain.bash sets chain_commands
# undo.bash - for bats files: chains of tests/kill that are killed and taken back.
#
#   load ../kill/chain
#   load undo
#   setup_file() { chain_servers; undo_undisturbed; }
#
# Chain N has each of its commands killed at the command's N-th boundary and taken back.  What is
# there then is what was there before; where a tenant is past its pivot the run is resumed instead.
# In both cases the command's end is reached afterwards.

undo_undisturbed() {
	local command
	chain_begin 0
	chain_state 0 | without_generation >"$TEST_DIR/begin.state"
	for command in "${chain_commands[@]}"; do
		COPYHOLD_FAULT=list:$TEST_DIR/$command.boundaries chain_do 0 "$command"
		chain_between 0 "$command"
		chain_state 0 | without_generation >"$TEST_DIR/$command.state"
	done
}

boundaries() { wc -l <"$TEST_DIR/$1.boundaries"; }

# A manifest that was recorded, taken back and recorded again has a higher generation, and the ids
# that were given to its fields stay theirs.  A run of several scopes that was taken back for some,
# because the others are past their pivot, ends as failed.
without_generation() {
	sed -E -e '/^object\|/s/\|[0-9]+$//' -e '/^ident\|/d' -e '/^open run\|apply\|failed$/d'
}

state_is() { chain_state "$1" | without_generation | diff -u "$TEST_DIR/$2.state" - >"$TEST_DIR/diff"; }

# N COMMAND BEFORE: killed and undone; then on to the end of the command.
kill_and_undo() {
	local status=0 run
	COPYHOLD_FAULT=kill:$1 chain_do "$1" "$2" >"$TEST_DIR/said" 2>&1 || status=$?
	run=$(chain_last_run)
	[ "$status" = 137 ] || { echo "$2: not killed at boundary $1 but ended with $status" && return 1; }
	status=0
	copyhold run undo "$run" --yes >"$TEST_DIR/said" 2>&1 || status=$?
	if [ "$status" = 0 ] && state_is "$1" "$3"; then
		chain_do "$1" "$2" >"$TEST_DIR/said" 2>&1 || status=$?
	elif grep -qE "is past its pivot|there is no way back" "$TEST_DIR/said"; then
		status=0
		copyhold run resume "$run" >"$TEST_DIR/said" 2>&1 || status=$?
		[ "$status" != 0 ] || chain_do "$1" "$2" >"$TEST_DIR/said" 2>&1 || true
	else
		echo "$2: killed at boundary $1 and undone ($status), this is left:"
		cat "$TEST_DIR/said" "$TEST_DIR/diff"
		return 1
	fi
	chain_between "$1" "$2"
	[ "$status" = 0 ] && state_is "$1" "$2" && return
	echo "$2: killed at boundary $1, undone and done again ($status), the end differs:"
	cat "$TEST_DIR/said" "$TEST_DIR/diff"
	return 1
}

# N: no command after the last one that has so many boundaries.
chain_undone() {
	local command last="" before=begin
	for command in "${chain_commands[@]}"; do
		[ "$(boundaries "$command")" -lt "$1" ] || last=$command
	done
	chain_begin "$1"
	for command in "${chain_commands[@]}"; do
		if [ "$(boundaries "$command")" -ge "$1" ]; then
			kill_and_undo "$1" "$command" "$before" || return
		else
			chain_do "$1" "$command" >/dev/null 2>&1 || return
			chain_between "$1" "$command"
		fi
		before=$command
		[ "$command" != "$last" ] || break
	done
	chain_end "$1"
}

# From UNDO_FROM to UNDO_TO, where they are set.
chains_undone() {
	local n command most=0 failed=0
	for command in "${chain_commands[@]}"; do
		[ "$(boundaries "$command")" -le "$most" ] || most=$(boundaries "$command")
	done
	for ((n = ${UNDO_FROM:-1}; n <= ${UNDO_TO:-most}; n++)); do
		chain_undone "$n" >"$TEST_DIR/report" || {
			failed=$((failed + 1))
			echo "-- chain $n" && head -n 80 "$TEST_DIR/report"
		}
	done
	[ "$failed" = 0 ]
}
