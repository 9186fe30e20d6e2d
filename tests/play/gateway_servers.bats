# Servers that misbehave: between the gateway and a real one stands a relay that does what it is told.

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
	relay_start
	sed -i "/metadata: {name: bj-1/,/^---/ s/port: .*/port: $RELAY/" "$MANIFESTS/clusters.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw --workers 1 --limits "$(gateway_limits_file gw)"
	GLOBEX=$(gw globex) ACME=$(gw acme)
	WORKER=$(pgrep -P "$(gateway_pid gw)")
	export GLOBEX ACME WORKER
}

teardown_file() {
	gateways_stop
	kill "$(cat "$TEST_DIR/relay.pid")"
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# Whatever the server did: the same worker goes on, other servers' tenants were served, and this one's are
# again as soon as their server is well.
teardown() {
	kill -0 "$WORKER"
	gateway_limits gw
	[ "$(psql -X -At -d "$ACME" -c "SELECT 'served'")" = served ]
	behave relay
	until_true psql -X -At -d "$GLOBEX" -c "SELECT 1"
}

relay_start() {
	mkfifo "$TEST_DIR/relay.in"
	/usr/bin/python3 "$REPO/tests/lib/fakeserver.py" 0 "$(cluster_port bj-1)" \
		<>"$TEST_DIR/relay.in" >"$TEST_DIR/relay.out" 2>"$TEST_DIR/relay.err" 3>&- &
	echo $! >"$TEST_DIR/relay.pid"
	until_true grep -q listening "$TEST_DIR/relay.out"
	RELAY=$(sed -n 's/listening //p' "$TEST_DIR/relay.out")
	export RELAY
}

behave() {
	local before
	before=$(wc -l <"$TEST_DIR/relay.out")
	echo "$*" >"$TEST_DIR/relay.in"
	until_true more_than "$before"
}

more_than() { [ "$(wc -l <"$TEST_DIR/relay.out")" -gt "$1" ]; }

# The server is well, and the gateway has no connection to it.
fresh() {
	behave relay
	until_true psql -X -At -d "$GLOBEX" -c "SELECT 1"
	su_psql bj-1 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()" >/dev/null
	until_true no_servers
	LOG_FROM=$(($(wc -l <"$TEST_DIR/gateway.gw.log") + 1))
}

no_servers() { [ "$(copyhold gateway servers bj-1 -o json | jq length)" = 0 ]; }
in_log() { tail -n "+$LOG_FROM" "$TEST_DIR/gateway.gw.log" | grep -qF "$1"; }

# The gateway tries again for so long, and then the client is told.
SHORT=("wait: 3s" "connectTimeout: 1s")

# WORD TEXT: the server behaves so; the log says why, and the client hears of it without a detail.
refuses() {
	fresh
	behave "$1"
	run psql -X -At -d "$GLOBEX" -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  the database of this tenant refuses the gateway"
	until_true in_log "no connection to its database: $2"
}

# WORD TEXT: the same of what may yet be mended.
is_tried_again() {
	gateway_limits gw
	fresh
	gateway_limits gw "${SHORT[@]}"
	behave "$1"
	run psql -X -At -d "$GLOBEX" -c "SELECT 1"
	assert_exit 2
	assert_contains "FATAL:  no connection to the database became free in time"
	until_true in_log "no connection to its database: $2"
}

@test "a server that asks for a password in clear, for MD5, for nothing, or for another mechanism is refused" {
	refuses cleartext "it asks for a password in clear"
	refuses md5 "it asks for MD5 authentication"
	refuses nothing "it asks for no proof and gives none"
	refuses sasl-other "it does not offer SCRAM-SHA-256"
}

@test "a server that breaks SCRAM is refused" {
	refuses nonce-long "its SCRAM challenge is not well formed"
	refuses nonce-other "its SCRAM challenge is not well formed"
	refuses signature "it could not prove that it knows the role"
}

@test "a server that skips a step of the login, or takes one twice, is refused" {
	local word
	for word in final-first final-second sasl-twice challenge-twice; do
		refuses "$word" "its login messages are not in their order"
	done
	for word in ok-second ok-unsigned; do
		refuses "$word" "it asks for no proof and gives none"
	done
}

@test "a server that asks for a new key at each login does not keep the master busy" {
	fresh
	gateway_limits gw "${SHORT[@]}"
	behave salts
	until_true asked_too_often
	until_true in_log "no connection to its database: its login keys cannot be had now"
	assert_equal "$(psql -X -At -d "$ACME" -c "SELECT 'served'")" served
}

# As many dials at once as the tenant may have, each with a salt of its own.
asked_too_often() {
	WIRE_NAMES=GLOBEX wire <<-'PY'
		many = [Session(GLOBEX, log_in=False) for _ in range(20)]
		for c in many:
		    c.first()
		    c.nonce()
		last = [message("p", c.final()) for c in many]
		for c, m in zip(many, last):
		    c.send(m)
		for c in many:
		    assert c.at_end().endswith("E=53300:no connection to the database became free in time")
	PY
	in_log 'the server of tenant "globex" asks for new keys again and again'
}

@test "what a server says behind its first ReadyForQuery is heard" {
	local pid
	fresh
	behave ready
	psql -X -At -d "$GLOBEX" -c "SELECT 'in'" >"$TEST_DIR/out" 2>&1 3>&- &
	pid=$!
	until_true in_log "no connection to its database: going down"
	behave relay
	wait "$pid"
	assert_equal "$(cat "$TEST_DIR/out")" in
}

@test "a server's machine that vanishes is noticed in half a minute" {
	psql -X -At -d "$GLOBEX" -c "SELECT 1" >/dev/null
	until_true keeps_alive dst "127.0.0.1:$RELAY"
	mkfifo "$TEST_DIR/there.sql"
	psql -X -At -q -d "$GLOBEX" <"$TEST_DIR/there.sql" >/dev/null 2>&1 3>&- &
	exec 9>"$TEST_DIR/there.sql"
	until_true keeps_alive src "$GATEWAY"
	exec 9>&-
	wait $!
}

# WHICH ADDRESS: a connection that says nothing is asked after within 15 s.  A timer of less than 10 s is shown
# with its milliseconds, and one that has something to send again is another.
keeps_alive() {
	local timer
	timer=$(ss -Htno state established "$1" "$2" | sed -n 's/.*(keepalive,\([0-9]*\)\(sec\|\.[0-9]*ms\),.*/\1/p' | head -n 1)
	[ "$timer" -le 15 ]
}

@test "a server that does not speak the protocol at login is tried again, and the client waits in vain" {
	is_tried_again garbage "it does not speak the protocol"
	is_tried_again long "it does not speak the protocol"
	is_tried_again zero "it does not speak the protocol"
	is_tried_again error-bare "it refused the login"
}

@test "a server that hangs is given up after its time" {
	is_tried_again hang "it did not answer in time"
	is_tried_again refuse "it does not speak the protocol"
}

@test "a login that is cut off anywhere is tried again, and the client comes in when it is well" {
	local n pid
	for n in 1 8 9 24 100 180 300; do
		fresh
		behave cut "$n"
		psql -X -At -d "$GLOBEX" -c "SELECT 'in'" >"$TEST_DIR/out" 2>&1 3>&- &
		pid=$!
		until_true in_log "it closed the connection"
		behave relay
		wait "$pid"
		assert_equal "$(cat "$TEST_DIR/out")" in
	done
}

# What psql says of the query, and whether its session is there afterwards.
after() {
	fresh
	behave after "$1"
	run psql -X -At -d "$GLOBEX" -c "SELECT 1" -c "SELECT 'next'"
}

@test "what nobody asked for never reaches a client" {
	local word
	for word in row extra-z; do
		after "$word"
		assert_lacks next
		assert_contains "the database server sent what nobody asked for"
	done
	for word in long garbage zero; do
		after "$word"
		assert_exit 2
		assert_contains "the database server broke the protocol"
	done
	after status
	assert_contains "the database server broke the protocol"
}

@test "an error without SQLSTATE, or without an end, is survived" {
	after error-bare
	assert_lacks served
	kill -0 "$WORKER"
	after error-cut
	assert_exit 2
	after eof
	assert_exit 2
	assert_contains "the connection to the database was lost"
}

@test "a dead server's clients wait, and go on when it is back" {
	local pid
	behave relay
	mkfifo "$TEST_DIR/stay.sql"
	psql -X -At -q -d "$GLOBEX" <"$TEST_DIR/stay.sql" >"$TEST_DIR/stay.out" 2>&1 3>&- &
	pid=$!
	exec 9>"$TEST_DIR/stay.sql"
	echo "SELECT 'before';" >&9
	until_true grep -q before "$TEST_DIR/stay.out"
	cluster_crash bj-1
	until_true no_servers
	gateway_limits gw "${SHORT[@]}"
	echo "SELECT 'in vain';" >&9
	until_true grep -q "ERROR:  no connection to the database became free in time" "$TEST_DIR/stay.out"
	assert_equal "$(psql -X -At -d "$ACME" -c "SELECT 'served'")" served
	gateway_limits gw
	cluster_start bj-1
	until_true asks_again
	exec 9>&-
	wait "$pid"
	rm "$TEST_DIR/stay.sql"
	assert_lacks FATAL "$(cat "$TEST_DIR/stay.out")"
}

asks_again() {
	echo "SELECT 'after';" >&9
	grep -q after "$TEST_DIR/stay.out"
}
