# shellcheck shell=bash disable=SC2154 # bats sets status and output
# home.bash - for bats files: a fresh home for every test, the binary, and assertions that say
# what they got.
#
#   load ../lib/home
#   setup() { home_setup; }
#   teardown() { home_teardown; }
#   @test "..." { try tenant list; assert_exit 0; assert_out "..."; }

bats_require_minimum_version 1.5.0

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
COPYHOLD_BIN=${COPYHOLD_BIN:-$REPO/build/copyhold}
export REPO COPYHOLD_BIN
export LC_ALL=C.UTF-8 TZ=UTC
unset "${!PG@}" COPYHOLD_HOME NO_COLOR XDG_DATA_HOME

copyhold() { "$COPYHOLD_BIN" "$@"; }

# Runs copyhold; its exit code, output and errors are in $status, $output and $stderr.
try() { run --separate-stderr copyhold "$@"; }

# A folder of the test's own that a server's user can enter, and in it a home that does not exist
# yet.
home_setup() {
	TEST_DIR=$(mktemp -d "${COPYHOLD_TEST_TMP:-/tmp}/copyhold-home.XXXXXX")
	[ "$(id -u)" != 0 ] || chmod 0711 "$TEST_DIR"
	export TEST_DIR COPYHOLD_HOME=$TEST_DIR/home HOME=$TEST_DIR
}

home_teardown() {
	[ -z "${TEST_DIR-}" ] || rm -rf -- "$TEST_DIR"
}

# FILE, from stdin, in the test's folder; folders on the way are made.
write() {
	mkdir -p "$(dirname "$TEST_DIR/$1")"
	cat >"$TEST_DIR/$1"
}

# FILE OFFSET: one bit of the byte there is another from now on.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# What was got, where it differs, and why that is a failure.
differs() {
	{
		echo "$1"
		diff -u --label expected --label got <(printf '%s\n' "$2") <(printf '%s\n' "$3")
		[ -z "${4-}" ] || printf '%s\n' "$4"
	} >&2
	return 1
}

assert_exit() {
	[ "$status" = "$1" ] && return
	printf 'exit code is %s, not %s\n-- output\n%s\n-- errors\n%s\n' \
		"$status" "$1" "$output" "${stderr-}" >&2
	return 1
}

assert_out() {
	[ "$output" = "$1" ] || differs "the output is another" "$1" "$output" "${stderr-}"
}

assert_err() {
	[ "${stderr-}" = "$1" ] || differs "the error text is another" "$1" "${stderr-}"
}

assert_equal() { [ "$1" = "$2" ] || differs "the values differ" "$2" "$1"; }

# TEXT [IN]: in $output unless said otherwise.
assert_contains() {
	local text=${2-$output}
	[[ $text == *"$1"* ]] && return
	printf 'not found: %s\n-- in\n%s\n' "$1" "$text" >&2
	return 1
}

assert_lacks() {
	local text=${2-$output}
	[[ $text != *"$1"* ]] && return
	printf 'found: %s\n-- in\n%s\n' "$1" "$text" >&2
	return 1
}
