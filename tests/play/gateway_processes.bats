# What happens to the gateway's processes, and to whom they serve: killed, stopped, told to go, short of descriptors.

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
	sed -i '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 4}/' \
		"$MANIFESTS/tenants.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	echo "SELECT pg_sleep(0.002);" >"$TEST_DIR/short.sql"
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

teardown() {
	exec 9>&-
	gateways_stop
}

ask() { psql -X -At -d "$(gw "$1")" -c "$2" 2>&1; }
workers_of() { pgrep -P "$(gateway_pid "$1")"; }
has_workers() { [ "$(workers_of "$1" | wc -l)" = "$2" ]; }
clients_now() { copyhold gateway status -o json | jq '[.[].clients] | add'; }
has_clients() { [ "$(clients_now)" = "$1" ]; }
servers_of() { copyhold gateway servers bj-1 -o json | jq "[.[] | select(.tenant == \"$1\")] | length"; }

# NAME TENANT: a client that stays; what is written to descriptor 9 is what it asks.
client() {
	rm -f "$TEST_DIR/$1.sql"
	mkfifo "$TEST_DIR/$1.sql"
	psql -X -At -q -d "$(gw "$2")" <"$TEST_DIR/$1.sql" >"$TEST_DIR/$1.out" 2>&1 3>&- &
	echo $! >"$TEST_DIR/$1.pid"
	exec 9>"$TEST_DIR/$1.sql"
	echo "SELECT 'ready';" >&9
	until_true grep -q ready "$TEST_DIR/$1.out"
}

@test "a worker that is killed takes its own clients along, and gives its places back" {
	local worker i
	gateway_start gw
	# as many clients as the tenant has places, each in a transaction, over both workers
	for i in 1 2 3 4; do
		mkfifo "$TEST_DIR/c$i"
		psql -X -At -q -d "$(gw globex)" <"$TEST_DIR/c$i" >"$TEST_DIR/c$i.out" 2>&1 3>&- &
		exec {fd}<>"$TEST_DIR/c$i"
		echo "BEGIN; SELECT 'in';" >"$TEST_DIR/c$i"
		until_true grep -q in "$TEST_DIR/c$i.out"
	done
	for worker in $(workers_of gw); do
		kill -9 "$worker"
		until_true gone "$worker"
		until_true has_workers gw 2
	done
	for i in 1 2 3 4 5 6; do
		until_true psql -X -At -d "$(gw globex)" -c "SELECT 1"
	done
	(cd "$TEST_DIR" && pgbench -n -c 8 -j 2 -t 50 -f short.sql "$(gw globex)" >bench.out 2>&1)
	grep -q "number of transactions actually processed: 400/400" "$TEST_DIR/bench.out"
}

@test "a master that is killed: its clients end at a boundary, and another gateway takes the address at once" {
	local address worker
	gateway_start gw
	address=$GATEWAY
	client idle initech
	workers_of gw >"$TEST_DIR/orphans"
	kill -9 "$(gateway_pid gw)"
	rm "$TEST_DIR/gateway.gw.pid"
	gateway_start next --listen "$address"
	while read -r worker; do until_true gone "$worker"; done <"$TEST_DIR/orphans" # each listened there, too
	[ "$(ask globex "SELECT 'next'")" = next ]
	echo "SELECT 'too late';" >&9
	until_true gone "$(cat "$TEST_DIR/idle.pid")"
	assert_contains "FATAL:  the gateway is going down" "$(cat "$TEST_DIR/idle.out")"
}

@test "workers that do not hear from their master park everything, and go on when they do" {
	gateway_start gw
	client lapsed globex
	kill -STOP "$(gateway_pid gw)"
	until_true silent "$TEST_DIR/lapsed.out"
	kill -CONT "$(gateway_pid gw)"
	until_true answered "$TEST_DIR/lapsed.out"
	assert_lacks ERROR "$(cat "$TEST_DIR/lapsed.out")"
	assert_lacks FATAL "$(cat "$TEST_DIR/lapsed.out")"
	[ "$(ask globex "SELECT 'goes on'")" = "goes on" ]
}

# One query more is asked; it is parked when it has no answer while another tenant's server would have had the time.
silent() {
	ASKED=$((${ASKED-0} + 1))
	echo "SELECT 'answer $ASKED';" >&9
	if timeout 1 tail -n +1 -f "$1" 2>/dev/null | grep -qm1 "answer $ASKED"; then return 1; fi
	echo "$ASKED" >"$TEST_DIR/asked"
}
answered() { grep -qx "answer $(cat "$TEST_DIR/asked")" "$1"; }

@test "SIGTERM in the middle of a storm ends no transaction" {
	local pid
	gateway_start gw --drain 1m
	(cd "$TEST_DIR" && exec pgbench -n -c 12 -j 2 -t 100000 -f short.sql "$(gw globex)" >drained.out 2>&1 3>&-) &
	pid=$!
	until_true has_clients 12
	kill -TERM "$(gateway_pid gw)"
	wait "$pid" || true
	until_true gone "$(gateway_pid gw)"
	rm "$TEST_DIR/gateway.gw.pid"
	assert_equal "$(grep -o 'FATAL: .*' "$TEST_DIR/drained.out" | sort -u)" "FATAL:  the gateway is going down"
	assert_equal "$(su_psql bj-1 "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'
		AND backend_type = 'client backend' AND pid <> pg_backend_pid()")" 0
}

@test "a gateway that runs out of descriptors refuses nobody who is there, and takes clients again" {
	(
		ulimit -n 256
		gateway_start gw --workers 1
	)
	GATEWAY=$(gateway_address gw)
	/usr/bin/python3 - "$(gw globex)" "$REPO/tests/lib" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[2])
		from pgwire import *
		first = Session(sys.argv[1])
		assert first.ask("SELECT 1") == "T D=1 C=SELECT 1 Z=I"
		many = [Session.raw(first.host, first.port) for _ in range(400)]
		for _ in range(20):
		    assert first.ask("SELECT 1") == "T D=1 C=SELECT 1 Z=I"
		for c in many:
		    c.close()
		last = Session(sys.argv[1])
		assert last.ask("SELECT 2") == "T D=2 C=SELECT 1 Z=I"
	PY
}

@test "more clients than a worker may have are told so" {
	gateway_start gw --workers 1 --max-clients 3
	/usr/bin/python3 - "$(gw globex)" "$REPO/tests/lib" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[2])
		from pgwire import *
		three = [Session(sys.argv[1]) for _ in range(3)]
		c = Session.raw(three[0].host, three[0].port)
		said = c.at_end()
		assert said == "E=53300:the gateway has as many clients as it may", said
		three[0].send(message("X"))
		three[0].at_end()
		assert Session(sys.argv[1]).ask("SELECT 1") == "T D=1 C=SELECT 1 Z=I"
	PY
}

@test "two gateways on one home: each serves, and one that goes leaves the other's clients alone" {
	local first
	gateway_start first
	first=$GATEWAY
	client stays globex
	gateway_start second
	[ "$(ask globex "SELECT 'second'")" = second ]
	gateway_stop second
	GATEWAY=$first
	echo "SELECT 'still here';" >&9
	until_true grep -q "still here" "$TEST_DIR/stays.out"
	[ "$(ask globex "SELECT 'first'")" = first ]
}

@test "who is unknown is shown the same by every gateway" {
	local one other
	gateway_start one
	one=$(challenges)
	gateway_stop one
	gateway_start other
	other=$(challenges)
	assert_equal "$other" "$one"
	assert_equal "$(sort -u <<<"$one" | wc -l)" 3
}

# The salts and rounds that a stranger, a stranger's tenant and an own user are asked for.
challenges() {
	/usr/bin/python3 - "$(gw globex)" "$REPO/tests/lib" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[2])
		from pgwire import *
		for user, database in (("app", "globex"), ("ghost", "globex"), ("app", "nobody")):
		    c = Session(sys.argv[1], log_in=False)
		    c.user, c.database = user, database
		    c.first()
		    c.nonce()
		    salt, rounds = c.challenge.split(",")[1:]
		    assert len(salt) == 26 and rounds == "i=4096", c.challenge
		    print(salt, rounds)
	PY
}

@test "limits of a login: over, too many, suspended; and none of them shows without the password" {
	local uri late few
	gateway_start gw --workers 1
	copyhold login add globex late --valid-until 2020-01-01 --yes --quiet
	copyhold login add globex few --connections 1 --yes --quiet
	late=$(gw globex late) few=$(gw globex few) uri=$(gw globex)
	/usr/bin/python3 - "$late" "$few" "$uri" "$REPO/tests/lib" <<-'PY'
		import sys
		sys.path.insert(0, sys.argv[4])
		from pgwire import *
		late, few, app = sys.argv[1:4]
		WRONG = "28P01:tenant, user or password is wrong"
		def told(dsn, **how):
		    try:
		        return Session(dsn, **how)
		    except Gone as e:
		        return str(e)
		assert told(late) == WRONG
		one = told(few)
		assert one.ask("SELECT 1") == "T D=1 C=SELECT 1 Z=I"
		assert told(few) == "53300:too many connections of this login"
		assert told(few, password="wrong") == WRONG
		one.send(message("X"))
		one.at_end()
		assert told(few).ask("SELECT 2") == "T D=2 C=SELECT 1 Z=I"
		# unknown tenant, unknown user, wrong password: the same messages, of the same length, with a salt that stays
		seen = {}
		for name, change in (("tenant", ("globex", "nobody")), ("user", ("app@", "ghost@")), ("password", ("", ""))):
		    dsn = app.replace("/" + change[0] + "?", "/" + change[1] + "?") if name == "tenant" else app.replace(*change)
		    for _ in range(2):
		        c = Session(dsn, log_in=False, password="wrong")
		        c.first()
		        c.nonce()
		        salt = c.challenge.split(",")[1]
		        shape = [len(p) for p in c.challenge.split(",")] + [c.challenge.split(",")[2]]
		        c.send(message("p", c.final()))
		        seen.setdefault(name, set()).add((salt, str(shape), c.at_end()))
		assert all(len(s) == 1 for s in seen.values()), seen
		assert len({(shape, end) for s in seen.values() for _, shape, end in s}) == 1, seen
		assert {end for s in seen.values() for _, _, end in s} == {"E=" + WRONG}, seen
	PY
	copyhold tenant suspend globex --yes --quiet
	run psql -X -At -d "$uri" -c "SELECT 1"
	assert_contains "FATAL:  the tenant is suspended"
	copyhold tenant resume globex --yes --quiet
}
