# Caps, queues, what is left behind in a session, deadlines: asked of the servers themselves.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	estate_shared
	sed -i -e '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 3}/' \
		-e '/metadata: {name: initech/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 3}/' \
		"$MANIFESTS/tenants.yaml"
	sed -i '/metadata: {name: bj-1/,/^---/ s/^spec:/spec:\n  gateway: {connections: 4}/' "$MANIFESTS/clusters.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw --guard-answer 100000 --limits "$(gateway_limits_file gw)"
	GLOBEX=$(gw globex) INITECH=$(gw initech) HOOLI=$(gw hooli) ACME=$(gw acme)
	export GLOBEX INITECH HOOLI ACME
	gateway_warm globex acme
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

WIRE_NAMES="GLOBEX INITECH HOOLI ACME"

role_of() { copyhold route resolve "$1" --direct | sed 's/.*:\/\/\([^@]*\)@.*/\1/'; }

# NAME URI CLIENTS TRANSACTIONS FILE...: pgbench in the background.
bench() {
	(cd "$TEST_DIR" && exec pgbench -n -c "$3" -j 2 -t "$4" -f "$TEST_DIR/$5.sql" "$2" >"$TEST_DIR/$1.out" 2>&1 3>&-) &
}

# Asks the server while pids are alive; leaves the largest counts in $most_role and $most_all, of those that do
# something in $most_at_work and $most_all_at_work.
watch_while() {
	local role=$1 other=$2 pid alive=1 a b c d
	shift 2
	most_role=0 most_all=0 most_at_work=0 most_all_at_work=0
	while [ "$alive" = 1 ]; do
		alive=0
		for pid; do kill -0 "$pid" 2>/dev/null && alive=1; done
		IFS='|' read -r a b c d < <(su_psql bj-1 "SELECT count(*) FILTER (WHERE usename = '$role'), count(*),
			count(*) FILTER (WHERE usename = '$role' AND state = 'active'), count(*) FILTER (WHERE state = 'active')
			FROM pg_stat_activity WHERE usename IN ('$role', '$other')")
		[ "$a" -le "$most_role" ] || most_role=$a
		[ "$b" -le "$most_all" ] || most_all=$b
		[ "$c" -le "$most_at_work" ] || most_at_work=$c
		[ "$d" -le "$most_all_at_work" ] || most_all_at_work=$d
	done
}

all_done() { grep -q "number of transactions actually processed: $2/$2" "$TEST_DIR/$1.out" &&
	grep -q "number of failed transactions: 0 " "$TEST_DIR/$1.out"; }

@test "the caps of a tenant and of a cluster are never passed, by two workers together" {
	local one two g i
	g=$(role_of globex) i=$(role_of initech)
	echo "SELECT pg_sleep(0.001);" >"$TEST_DIR/short.sql"
	bench one "$GLOBEX" 20 300 short
	one=$!
	bench two "$INITECH" 20 300 short
	two=$!
	watch_while "$g" "$i" "$one" "$two"
	wait "$one" || cat "$TEST_DIR/one.out"
	wait "$two" || cat "$TEST_DIR/two.out"
	all_done one 6000
	all_done two 6000
	[ "$most_role" -ge 1 ]
	[ "$most_all" -ge 3 ]
	# a backend that was told to go is there until it has heard of it, but does nothing any more; rows of
	# pg_stat_activity are not all of one moment, so one more may be seen at work
	[ "$most_at_work" -le 4 ]
	[ "$most_all_at_work" -le 5 ]
}

@test "a tenant with one client gets its turns beside tenants with forty" {
	local one two
	echo "SELECT pg_sleep(0.005);" >"$TEST_DIR/longer.sql"
	echo "SELECT 1;" >"$TEST_DIR/small.sql"
	bench one "$GLOBEX" 40 100000 longer
	one=$!
	bench two "$INITECH" 40 100000 longer
	two=$!
	until_true has_clients initech 40
	until_true has_clients globex 40
	bench small "$HOOLI" 1 20 small
	wait $!
	kill "$one" "$two"
	wait "$one" "$two" || true
	all_done small 20
	run grep -c 53300 "$TEST_DIR/one.out" "$TEST_DIR/two.out"
	assert_equal "$output" "$TEST_DIR/one.out:0
$TEST_DIR/two.out:0"
	until_true has_clients initech 0
	until_true has_clients globex 0
}

has_clients() { [ "$(copyhold gateway clients "$1" -o json | jq length)" = "$2" ]; }

@test "who waits too long is refused its statement, and keeps its session" {
	gateway_limits gw "wait: 5s"
	wire <<-'PY'
		held = [Session(GLOBEX) for _ in range(3)]
		for s in held:
		    same(s.ask("BEGIN; SELECT 1"), "C=BEGIN T D=1 C=SELECT 1 Z=T")
		late, pipe = Session(GLOBEX), Session(GLOBEX)
		late.send(query("SELECT 'late'"), query("SELECT 'later'"))
		pipe.send(parse("", "SELECT 1"), bind("", ""), execute(), sync())
		none = "E=53300:no connection to the database became free in time Z=I"
		same(late.says(), none)
		same(pipe.says(), none)
		for s in held:
		    same(s.ask("COMMIT"), "C=COMMIT Z=I")
		same(late.says(), "T D=later C=SELECT 1 Z=I")
		pipe.send(parse("", "SELECT 2"), bind("", ""), execute(), sync())
		same(pipe.says(), "1 2 D=2 C=SELECT 1 Z=I")
	PY
	gateway_limits gw
}

@test "nothing that a session left behind is there for the next" {
	wire <<-'PY'
		a = Session(ACME)
		for sql in ("SET work_mem = '17MB'", "SET TimeZone = 'Asia/Tokyo'", "LISTEN news",
		    "PREPARE p AS SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "BEGIN"):
		    assert not a.ask(sql).startswith("E="), sql
		a.send(parse("kept", "SELECT 'of a'"), sync())
		same(a.says(), "1 Z=T")
		a.close()
		for turn in range(20):
		    b = Session(ACME)
		    same(b.ask("SELECT current_setting('work_mem') = '17MB', current_setting('TimeZone') = 'Asia/Tokyo'"),
		        "T D=f,f C=SELECT 1 Z=I")
		    same(b.ask("SELECT count(*) FROM pg_listening_channels()"), "T D=0 C=SELECT 1 Z=I")
		    same(b.ask("SELECT count(*) FROM pg_prepared_statements"), "T D=0 C=SELECT 1 Z=I")
		    same(b.ask("SELECT count(*) FROM pg_cursors"), "T D=0 C=SELECT 1 Z=I")
		    b.close()
	PY
}

@test "what pins a client in a transaction pool stays with it, and goes when it says DISCARD ALL" {
	wire <<-'PY'
		a, b = Session(GLOBEX), Session(GLOBEX)
		same(a.ask("SET app.mine = 'a'"), "C=SET Z=I")
		same(a.ask("PREPARE mine AS SELECT 'mine'"), "C=PREPARE Z=I")
		same(a.ask("DECLARE kept CURSOR WITH HOLD FOR SELECT 'kept'"), "C=DECLARE CURSOR Z=I")
		for _ in range(5):
		    same(a.ask("EXECUTE mine"), "T D=mine C=SELECT 1 Z=I")
		    same(b.ask("SELECT coalesce(current_setting('app.mine', true), '')"), "T D= C=SELECT 1 Z=I")
		    same(b.ask("EXECUTE mine"), 'E=26000:prepared statement "mine" does not exist Z=I')
		same(a.ask("FETCH kept"), "T D=kept C=FETCH 1 Z=I")
		same(a.ask("SHOW app.mine"), "T D=a C=SHOW Z=I")
		same(a.ask("DISCARD ALL"), "C=DISCARD ALL Z=I")
		same(b.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		same(a.ask("EXECUTE mine"), 'E=26000:prepared statement "mine" does not exist Z=I')
		own = [Session(GLOBEX, settings=[("options", "-c work_mem=9MB")]) for _ in range(2)]
		for s in own:
		    same(s.ask("SHOW work_mem"), "T D=9MB C=SHOW Z=I")
		same(b.ask("SELECT current_setting('work_mem') = '9MB'"), "T D=f C=SELECT 1 Z=I")
	PY
}

@test "guarded: a long statement, an idle transaction and a large answer end with their own words" {
	gateway_limits gw "guardStatement: 2s"
	wire <<-'PY'
		h = Session(HOOLI)
		long = "E=57014:the statement took longer than this gateway allows"
		same(h.ask("SET statement_timeout = 0").split(":")[0], "E=42501")
		same(h.ask("SELECT pg_sleep(20)"), "T " + long + " Z=I")
		same(h.ask("BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_sleep(20)"), "C=BEGIN C=SET T " + long + " Z=E")
		same(h.ask("ROLLBACK"), "C=ROLLBACK Z=I")
		h.send(parse("", "SELECT pg_sleep(20)"), bind("", ""), execute(), sync())
		same(h.says(), "1 2 " + long + " Z=I")
		h.send(*[query("SELECT pg_sleep(0.5)")] * 6)
		for _ in range(6):
		    same(h.says(), "T D= C=SELECT 1 Z=I")
	PY
	gateway_limits gw
	wire <<-'PY'
		h = Session(HOOLI)
		h.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
		last = h.until("Z")
		same([shown(*m) for m in last[-2:]], ["E=54000:the answer is larger than this gateway allows", "Z=I"])
		same(h.ask("SELECT 1/0"), "E=22012:division by zero Z=I")
	PY
	gateway_limits gw "guardIdle: 1s"
	wire <<-'PY'
		h = Session(HOOLI)
		same(h.ask("BEGIN"), "C=BEGIN Z=T")
		same(h.at_end(), "E=25P03:the transaction was idle for longer than this gateway allows")
	PY
	gateway_limits gw
}

@test "when all clients have left nothing is counted any more" {
	until_true nothing_active
	echo "SELECT 1;" >"$TEST_DIR/small.sql"
	for tenant in "$GLOBEX" "$INITECH" "$HOOLI"; do
		bench last "$tenant" 4 5 small
		wait $!
		all_done last 20
	done
	until_true nothing_active
}

nothing_active() {
	[ "$(copyhold gateway status -o json | jq -c '[map(.clients), map(.active), map(.waiting), map(.parked)] | map(add)')" = "[0,0,0,0]" ]
}

@test "idle server connections are closed after their time" {
	gateway_stop gw
	gateway_start gw --idle-servers 1s
	[ "$(psql -X -At -d "$(gw globex)" -c "SELECT 1")" = 1 ]
	until_true no_servers
}

no_servers() { [ "$(copyhold gateway servers bj-1 -o json | jq length)" = 0 ]; }
