# shellcheck shell=bash
# gateway.bash - for bats files: gateways of the home, each stopped at the end of its test file.
#
#   load ../lib/gateway
#   gateway_start gw [OPTION...]    starts `gateway run`; waits until it serves; sets $GATEWAY (HOST:PORT)
#   gateway_stop gw                 SIGTERM, and waits
#   gw TENANT [USER]                a connection string through it
#   gateway_limits gw [LIMIT...]    other limits, if it was started with --limits "$(gateway_limits_file gw)"
#   gateway_warm TENANT...          each of two workers knows the servers of their clusters
#   gateways_stop                   for teardown_file
#
# Unless OPTIONs say otherwise a gateway listens on a free port of 127.0.0.1, with two workers.

gateway_start() {
	local name=$1 log
	shift
	log=$TEST_DIR/gateway.$name.log
	case " $* " in *" --listen "*) ;; *) set -- --listen 127.0.0.1:0 "$@" ;; esac
	case " $* " in *" --workers "*) ;; *) set -- --workers 2 "$@" ;; esac
	"$COPYHOLD_BIN" gateway run "$@" >"$log" 2>&1 3>&- &
	echo $! >"$TEST_DIR/gateway.$name.pid"
	until_true gateway_serves "$name"
	GATEWAY=$(gateway_address "$name")
	export GATEWAY
}

gateway_pid() { cat "$TEST_DIR/gateway.$1.pid"; }

# It has said so in its log, with the address that it got.
gateway_serves() {
	kill -0 "$(gateway_pid "$1")" 2>/dev/null || {
		cat "$TEST_DIR/gateway.$1.log" >&2
		return 1
	}
	[ -n "$(gateway_address "$1")" ]
}

gateway_address() {
	sed -n 's/.*serving on \([^ ]*\).*/\1/p' "$TEST_DIR/gateway.$1.log" | head -n 1
}

gateway_stop() {
	local pid
	pid=$(gateway_pid "$1")
	kill "$pid" 2>/dev/null || true
	until_true gone "$pid"
	rm -f "$TEST_DIR/gateway.$1.pid"
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# NAME: where its limits stand, for --limits.
gateway_limits_file() {
	: >"$TEST_DIR/gateway.$1.limits"
	echo "$TEST_DIR/gateway.$1.limits"
}

# NAME [LIMIT...]: in force from now on; without any those of the start.  A test that waits for a limit has a
# short one; how long everything else takes is the machine's.
gateway_limits() {
	local name=$1 before
	shift
	before=$(limits_read "$name")
	printf '%s\n' "$@" >"$TEST_DIR/gateway.$name.limits"
	kill -HUP "$(gateway_pid "$name")"
	until_true limits_are_read "$name" "$before"
	until_true copyhold gateway status # a worker answers behind what it was told
}

limits_read() { grep -c "limits were read again" "$TEST_DIR/gateway.$1.log" || true; }
limits_are_read() { [ "$(limits_read "$1")" -gt "$2" ]; }

gateways_stop() {
	local file name
	for file in "$TEST_DIR"/gateway.*.pid; do
		[ -e "$file" ] || continue
		name=${file##*/gateway.}
		gateway_stop "${name%.pid}"
	done
}

# TENANT...: connects until each of the two workers has had a server connection of its cluster: a login that
# finds none such waits for a server.
gateway_warm() {
	local tenant
	for tenant; do
		until_true gateway_is_warm "$tenant"
	done
}

gateway_is_warm() {
	psql -X -q -d "$(gw "$1")" -c "SELECT 1" >/dev/null
	[ "$(copyhold gateway pools -o json |
		jq --arg tenant "$1" '[.[] | select(.tenant == $tenant) | .worker] | unique | length')" -ge 2 ]
}

# A script of tests/lib/pgwire.py, from stdin.  The names in $WIRE_NAMES are the environment's; what
# $WIRE_BEGIN says comes first.
wire() {
	local name
	{
		echo "import os, sys, time; sys.path.insert(0, '$REPO/tests/lib')"
		echo "from pgwire import *"
		for name in $WIRE_NAMES; do
			echo "$name = os.environ['$name']"
		done
		cat <<-'PY'
			def same(got, expected):
			    assert got == expected, f"\ngot      {got}\nexpected {expected}"
		PY
		printf '%s\n' "${WIRE_BEGIN-}"
		cat
	} >"$TEST_DIR/script.py"
	/usr/bin/python3 "$TEST_DIR/script.py"
}

# The client's password is asked of `route resolve`, which names a passfile.
gw() {
	local uri
	uri=$(copyhold route resolve "$1" ${2:+--login "$2"})
	echo "$uri"
}
