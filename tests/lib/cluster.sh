#!/bin/bash
#
# cluster.sh [OPTION... --] COMMAND... - runs a test program beside a PostgreSQL server of its own.
#
# The server is removed afterwards; the options are those of `tools/cluster.sh start` (default:
# --tls-optional). If COPYHOLD_TEST_PORT is set already, that server is used.  The program finds
#   COPYHOLD_TEST_SOCKET     folder of the unix socket: here the superuser needs no password
#   COPYHOLD_TEST_PORT       the port, also of TCP on 127.0.0.1, where passwords (SCRAM) are asked
#   COPYHOLD_TEST_SUPERUSER  the superuser's name
#   COPYHOLD_TEST_CERTS      ca.crt, client.crt, client.key and broken ones: see tools/cluster.sh
set -euo pipefail

tool=$(cd "$(dirname "$0")/../.." && pwd)/tools/cluster.sh
options=()
for argument; do
	[ "$argument" = -- ] || continue
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	break
done
[ $# -gt 0 ] || { sed -n '3,/^set /s/^# \{0,1\}//p' "$0" >&2 && exit 64; }
[ -n "${COPYHOLD_TEST_PORT-}" ] && exec "$@"
[ ${#options[@]} -gt 0 ] || options=(--tls-optional)

dir=$(mktemp -d "${COPYHOLD_TEST_TMP:-/tmp}/copyhold-test.XXXXXX")
[ "$(id -u)" != 0 ] || chmod 0711 "$dir"
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	"$tool" remove "$dir" server || true
	rm -rf -- "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$tool" start "$dir" server auto "${options[@]}"
COPYHOLD_TEST_SOCKET=$(cat "$dir/server/socket")
COPYHOLD_TEST_PORT=$(cat "$dir/server/port")
export COPYHOLD_TEST_SOCKET COPYHOLD_TEST_PORT
export COPYHOLD_TEST_SUPERUSER=postgres COPYHOLD_TEST_CERTS=$dir/certs
status=0
"$@" || status=$?
exit "$status"
