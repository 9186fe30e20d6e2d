# shellcheck shell=bash
# wait.bash - for bats files: waiting for a condition, never for a time.

# SECONDS: a short while, and no process for it.  A process substitution in each turn would do, were it not that
# bash 5.2 remembers their numbers: a command that later has the same one is waited for for ever.
nap() {
	local fifo=$BATS_FILE_TMPDIR/never
	[ -p "$fifo" ] || mkfifo "$fifo" 2>/dev/null || true
	read -rt "$1" <>"$fifo" || true
}

# COMMAND...: until it succeeds; gives up after two minutes.
until_true() {
	local deadline=$((SECONDS + 120))
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "waited for two minutes in vain: $*" >&2
			return 1
		fi
		nap 0.02
	done
}

# PID: is the process stopped by a signal?
is_stopped() { grep -q '^State:	T' "/proc/$1/status"; }

# N NAME COMMAND...: copyhold stopped at its N-th boundary; its id is in $HOLDER, what it says in
# $TEST_DIR/NAME.out and .err.
hold_at() {
	local name=$2
	COPYHOLD_FAULT=stop:$1 "$COPYHOLD_BIN" "${@:3}" \
		>"$TEST_DIR/$name.out" 2>"$TEST_DIR/$name.err" 3>&- &
	HOLDER=$!
	until_true is_stopped "$HOLDER"
}

# PID: lets it go on; its exit code is in $status.
# shellcheck disable=SC2034 # for the test
let_go() {
	kill -CONT "$1"
	status=0
	wait "$1" || status=$?
}
