# Routes, addresses and servers that change under clients, and how a gateway hears of it.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

# A relay stands before bj-1, at an address that its cluster may have.  Globex's clients give their server
# connections back after each transaction, initech's keep theirs.
setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	relay_start
	sed -i '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction}/' "$MANIFESTS/tenants.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw --connect-timeout 1m
	GLOBEX=$(gw globex) INITECH=$(gw initech)
	export GLOBEX INITECH MANIFESTS COPYHOLD_BIN
}

teardown_file() {
	gateways_stop
	kill "$(cat "$TEST_DIR/relay.pid")"
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

teardown() { kill -CONT "$(cat "$TEST_DIR/relay.pid")"; }

relay_start() {
	mkfifo "$TEST_DIR/relay.in"
	/usr/bin/python3 "$REPO/tests/lib/relay.py" "$(cluster_port bj-1)" \
		<>"$TEST_DIR/relay.in" >"$TEST_DIR/relay.out" 2>"$TEST_DIR/relay.err" 3>&- &
	echo $! >"$TEST_DIR/relay.pid"
	until_true grep -q listening "$TEST_DIR/relay.out"
	RELAY=$(sed -n 's/listening //p' "$TEST_DIR/relay.out")
	export RELAY
}

# PORT: the cluster's address from now on.
move_to() {
	sed -i "/metadata: {name: bj-1/,/^---/ s/port: .*/port: $1/" "$MANIFESTS/clusters.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	until_true has_seq "$(newest)"
}

catalogue() { sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "$1"; }
newest() { catalogue "SELECT max(seq) FROM route_log"; }
seq_now() { copyhold gateway status -o json | jq '[.[].seq] | min'; }
has_seq() { [ "$(seq_now)" -ge "$1" ]; }
states() { copyhold gateway "$1" "$2" -o json | jq -r "[.[] ${3-} | .state] | join(\" \")"; }
servers_of() { states servers bj-1 "| select(.tenant == \"$1\")"; }
servers_are() { [ "$(servers_of "$1")" = "$2" ]; }
# Each of the workers may have one.
all_idle() { [[ $(servers_of "$1") =~ ^idle(\ idle)*$ ]]; }
is_connecting() { [[ " $(servers_of "$1") " == *" connecting "* ]]; }
clients_are() { [ "$(states clients "$1")" = "$2" ]; }

# JSON: asked of the gateway's own socket.
ask_gateway() {
	/usr/bin/python3 - "$1" "$COPYHOLD_HOME/run/gateway" <<-'PY'
		import glob, os, socket, sys
		os.chdir(sys.argv[2])
		s = socket.socket(socket.AF_UNIX)
		s.connect(glob.glob("*.sock")[0])
		s.sendall(sys.argv[1].encode() + b"\n")
		print(s.makefile().readline(), end="")
	PY
}

# SEQ MS
wait_for() { ask_gateway "{\"ask\":\"wait\",\"seq\":$1,\"ms\":$2}" | jq .acked; }

WIRE_NAMES="GLOBEX INITECH RELAY"
WIRE_BEGIN='
import json, subprocess
def backend(s): return int(s.ask("SELECT pg_backend_pid()").split("D=")[1].split()[0])
def move_to(port):
    subprocess.run(["bash", "-c", os.environ["MOVE"] + " " + str(port)], check=True)
    newest = int(subprocess.run(["bash", "-c", os.environ["NEWEST"]], check=True, capture_output=True).stdout)
    def all_have_it():  # any worker may have a session
        said = subprocess.run([os.environ["COPYHOLD_BIN"], "gateway", "status", "-o", "json"], capture_output=True)
        return said.returncode == 0 and min(row["seq"] for row in json.loads(said.stdout)) >= newest
    until(all_have_it)
def until(test):
    end = time.monotonic() + 60
    while not test():
        assert time.monotonic() < end, "waited for a minute in vain"
        time.sleep(0.02)
'

@test "a cluster's new address: sessions go there between transactions, but for those that are pinned" {
	# what move_to does, for the script
	export MOVE="move() { sed -i \"/metadata: {name: bj-1/,/^---/ s/port: .*/port: \$1/\" \"$MANIFESTS/clusters.yaml\" &&
		\"$COPYHOLD_BIN\" apply -f \"$MANIFESTS\" --yes --quiet; }; move"
	export NEWEST="sqlite3 -readonly $COPYHOLD_HOME/catalog.db 'SELECT max(seq) FROM route_log'"
	wire <<-'PY'
		session, pinned, busy, pooled = Session(INITECH), Session(INITECH), Session(INITECH), Session(GLOBEX)
		old = [backend(s) for s in (session, pinned, busy)]
		same([backend(s) for s in (session, pinned, busy)], old)
		same(pinned.ask("SET app.mine = 'x'"), "C=SET Z=I")
		same(busy.ask("BEGIN"), "C=BEGIN Z=T")
		move_to(RELAY)
		assert backend(session) != old[0]
		same(backend(session), backend(session))
		same(backend(pinned), old[1])
		same(backend(busy), old[2])
		same(busy.ask("COMMIT"), "C=COMMIT Z=I")
		assert backend(busy) != old[2]
		same(pooled.ask("SELECT 'pooled'"), "T D=pooled C=SELECT 1 Z=I")
		same(pinned.ask("DISCARD ALL"), "C=DISCARD ALL Z=I")
		assert backend(pinned) != old[1]
	PY
	[ "$(grep -c accepted "$TEST_DIR/relay.out")" -ge 4 ]
}

@test "a client with settings of its own waits while its tenant is parked, also if its connection was being made" {
	local pid
	move_to "$RELAY"
	kill -STOP "$(cat "$TEST_DIR/relay.pid")"
	PGOPTIONS="-c work_mem=9MB" psql -X -At -d "$INITECH" -c "SHOW work_mem" >"$TEST_DIR/own.out" 2>&1 3>&- &
	pid=$!
	until_true is_connecting initech
	copyhold route hold initech --max 10m --yes
	kill -CONT "$(cat "$TEST_DIR/relay.pid")"
	until_true servers_are initech ""
	until_true clients_are initech parked
	assert_equal "$(cat "$TEST_DIR/own.out")" ""
	copyhold route release initech --yes
	wait "$pid"
	assert_equal "$(cat "$TEST_DIR/own.out")" 9MB
}

@test "a server that says farewell and stays is not given to a client" {
	move_to "$RELAY"
	[ "$(psql -X -At -d "$GLOBEX" -c "SELECT 'before'")" = before ]
	until_true all_idle globex
	echo farewell >"$TEST_DIR/relay.in"
	until_true grep -q farewell "$TEST_DIR/relay.out"
	until_true servers_are globex ""
	[ "$(psql -X -At -d "$GLOBEX" -c "SELECT 'after'")" = after ]
}

@test "a new tenant can be reached when the gateway has said that it has its route" {
	sed -n '/metadata: {name: globex/,/^---/p' "$MANIFESTS/tenants.yaml" |
		sed -e 's/name: globex.*/name: umbrella}/' -e '1i apiVersion: copyhold/v1\nkind: Tenant' \
			-e '/^---/d' -e 's/^#.*//' >"$MANIFESTS/umbrella.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	assert_equal "$(wait_for "$(newest)" 60000)" true
	[ "$(psql -X -At -d "$(gw umbrella)" -c "SELECT 'here'")" = here ]
}

@test "a ring that is lost is made up for by the poll" {
	rm "$COPYHOLD_HOME"/run/gateway/*.ring
	copyhold login add globex second --yes --quiet
	until_true has_seq "$(newest)"
	[ "$(psql -X -At -d "$(gw globex second)" -c "SELECT 'second'")" = second ]
	gateway_stop gw
	gateway_start gw --connect-timeout 1m
	[ "$(find "$COPYHOLD_HOME/run/gateway" -name '*.ring' | wc -l)" = 1 ]
}

@test "wait says so when a worker, or the catalogue, has not come so far by the deadline" {
	local worker next
	worker=$(pgrep -P "$(gateway_pid gw)" | head -n 1)
	assert_equal "$(wait_for "$(newest)" 60000)" true
	kill -STOP "$worker"
	copyhold login add globex third --yes --quiet
	next=$(newest)
	assert_equal "$(wait_for "$next" 200)" false
	kill -CONT "$worker"
	assert_equal "$(wait_for "$next" 60000)" true
	assert_equal "$(wait_for $((next + 1)) 200)" false
}
