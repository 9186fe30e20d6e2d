# The gateway between real clients and real servers: every kind of tenant, the programs that people use,
# what follows a client, what pins it, what is refused.

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
	pooled globex
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# TENANT: takes a server connection for a transaction only.
pooled() {
	awk -v name="$1" '{ print } $0 ~ "metadata: {name: " name "," { on = 1 }
		on && /^spec:/ { print "  gateway: {pool: transaction, connections: 4}"; on = 0 }' \
		"$MANIFESTS/tenants.yaml" >"$TEST_DIR/pooled.yaml"
	mv "$TEST_DIR/pooled.yaml" "$MANIFESTS/tenants.yaml"
}

# TENANT SQL...: what psql says, without decoration.
ask() {
	local tenant=$1 args=() sql
	shift
	for sql; do args+=(-c "$sql"); done
	psql -X -At -d "$(gw "$tenant")" "${args[@]}" 2>&1
}

@test "a tenant of every mode finds its own database" {
	local tenant
	for tenant in globex initech acme hooli vandelay; do
		ask "$tenant" "INSERT INTO account (name, country) VALUES ('$tenant', 'CN')"
		[ "$(ask "$tenant" "SELECT name FROM account")" = "$tenant" ]
	done
}

@test "route resolve names the gateway, and --direct the server" {
	local through direct
	through=$(copyhold route resolve globex)
	direct=$(copyhold route resolve globex --direct)
	[[ $through == "postgresql://app@127.0.0.1:${GATEWAY##*:}/globex?passfile="* ]]
	[[ $direct == "postgresql://t_"*"@127.0.0.1:$(cluster_port bj-1)/t_"* ]]
	copyhold audit list --tenant globex --output jsonl >"$TEST_DIR/events"
	grep -q '"verb":"route.direct"' "$TEST_DIR/events"
}

@test "what the application's password opens at the gateway it does not open at the server" {
	local file role
	file=$(copyhold route resolve globex | sed 's/.*passfile=\([^&]*\).*/\1/; s/%2F/\//g')
	role=$(copyhold route resolve globex --direct | sed 's/.*:\/\/\([^@]*\)@.*/\1/')
	run env PGPASSWORD="$(awk -F: '{ print $5 }' "$file")" psql -X -At -h 127.0.0.1 \
		-p "$(cluster_port bj-1)" -U "$role" -d "$role" -c "SELECT 1"
	[ "$status" = 2 ]
	[[ $output == *"password authentication failed"* ]]
}

@test "an unknown tenant, an unknown user and a wrong password are told the same" {
	local who texts
	for who in "dbname=nobody user=app" "dbname=globex user=nobody" "dbname=globex user=app"; do
		PGPASSWORD=wrong psql -X -At "host=127.0.0.1 port=${GATEWAY##*:} $who" -c "SELECT 1" \
			>>"$TEST_DIR/told" 2>&1 || true
	done
	texts=$(sed 's/.*FATAL/FATAL/' "$TEST_DIR/told" | sort | uniq -c | sed 's/^ *//')
	[ "$texts" = "3 FATAL:  tenant, user or password is wrong" ]
}

@test "tenants are named in four ways, and two that disagree are refused" {
	local file=$TEST_DIR/pass port=${GATEWAY##*:} dsn
	copyhold route resolve globex >"$TEST_DIR/uri"
	cp "$(sed 's/.*passfile=\([^&]*\).*/\1/; s/%2F/\//g' "$TEST_DIR/uri")" "$file"
	sed -i 's/^[^:]*:[^:]*:[^:]*:[^:]*:/*:*:*:*:/' "$file"
	chmod 600 "$file"
	for dsn in "dbname=globex user=app" "dbname=app.globex user=app.globex" \
		"dbname=app user=app options='-c tenant=globex'"; do
		[ "$(psql -X -At "host=127.0.0.1 port=$port passfile=$file $dsn" \
			-c "SELECT name FROM account")" = globex ]
	done
	run psql -X -At "host=127.0.0.1 port=$port passfile=$file dbname=initech user=app.globex" -c "SELECT 1"
	[ "$status" = 2 ]
	[[ $output == *"FATAL"*"tenant"* ]]
}

@test "psql, pgbench, pg_dump and pg_restore work unchanged" {
	local uri
	uri=$(gw initech)
	psql -X -q -v ON_ERROR_STOP=1 -d "$uri" -c '\d account' >"$TEST_DIR/d"
	grep -q 'account_pkey' "$TEST_DIR/d"
	echo "SELECT name FROM account LIMIT 1;" >"$TEST_DIR/q.sql"
	for mode in simple extended prepared; do
		(cd "$TEST_DIR" && pgbench -n -M "$mode" -c 8 -j 2 -t 200 -f q.sql "$uri" >"$TEST_DIR/bench.$mode" 2>&1)
		grep -q 'number of transactions actually processed: 1600/1600' "$TEST_DIR/bench.$mode"
		grep -q 'number of failed transactions: 0 ' "$TEST_DIR/bench.$mode"
	done
	# the vendor's servers hide pg_database from logins, and pg_dump reads it
	uri=$(gw acme)
	psql -X -q -d "$uri" -c "INSERT INTO account (name, country)
		SELECT repeat('x', 100), 'CN' FROM generate_series(1, 5000)"
	pg_dump -Fc -a -t app.account -f "$TEST_DIR/dump" "$uri"
	psql -X -q -d "$uri" -c "DELETE FROM account"
	pg_restore -a -d "$uri" "$TEST_DIR/dump"
	[ "$(ask acme "SELECT count(*) FROM account")" = 5001 ]
}

@test "COPY goes in and out, also when it fails in the middle" {
	local uri
	uri=$(gw initech)
	seq 1 20000 | awk '{ print "c" $1 "\tCN" }' >"$TEST_DIR/rows"
	psql -X -q -d "$uri" -c "\copy account (name, country) FROM '$TEST_DIR/rows'"
	[ "$(psql -X -At -d "$uri" -c "COPY (SELECT name FROM account WHERE name ~ '^c') TO STDOUT" | wc -l)" = 20000 ]
	{ head -n 15000 "$TEST_DIR/rows"; printf 'bad\tTOOLONG\n'; cat "$TEST_DIR/rows"; } >"$TEST_DIR/bad"
	run psql -X -q -d "$uri" -c "\copy account (name, country) FROM '$TEST_DIR/bad'" -c "SELECT 'still here'"
	[[ $output == *"ERROR"* ]]
	[[ $output == *"still here"* ]]
	[ "$(ask initech "DELETE FROM account WHERE name ~ '^c[0-9]'")" = "DELETE 20000" ]
}

@test "a value of 20 MB goes through both ways" {
	local uri
	uri=$(gw initech)
	[ "$(psql -X -At -d "$uri" -c "SELECT repeat('x', 20000000)" | wc -c)" = 20000001 ]
	{ printf "SELECT length('"; head -c 20000000 /dev/zero | tr '\0' y; echo "')"; } >"$TEST_DIR/long.sql"
	[ "$(psql -X -At -d "$uri" -f "$TEST_DIR/long.sql")" = 20000000 ]
}

@test "settings and prepared statements follow a client through a transaction pool" {
	local said
	said=$(ask globex "SET TimeZone = 'Asia/Tokyo'" "SET application_name = 'follows'" "BEGIN" "SELECT 1" "COMMIT" \
		"SHOW TimeZone" "SHOW application_name")
	[ "$said" = $'SET\nSET\nBEGIN\n1\nCOMMIT\nAsia/Tokyo\nfollows' ]
	run copyhold route pins globex
	[[ $output != *app* ]]
}

@test "guarded routes refuse what a bare server cannot bound" {
	local sql
	for sql in "LOCK TABLE account" "SELECT 1; LISTEN x" "NOTIFY x" "SELECT pg_notify('x', '')" \
		"SET work_mem = '1GB'" "SELECT set_config('work_mem', '1GB', false)" "DO 'begin end'" \
		"SELECT pg_advisory_lock(1)" "SELECT query_to_xml('SELECT 1', true, true, '')" \
		"ALTER ROLE CURRENT_USER PASSWORD 'mine'" "SELECT 1; ALTER USER CURRENT_USER SET work_mem = '1GB'"; do
		[[ $(ask hooli "$sql") == *"not allowed through this gateway" ]]
	done
	[ "$(ask hooli "BEGIN" "SELECT 1" "LISTEN x" "SELECT 2" "ROLLBACK" "SELECT 3" | tr '\n' ' ')" = \
		"BEGIN 1 ERROR:  LISTEN and NOTIFY are not allowed through this gateway ERROR:  current transaction is aborted, commands ignored until end of transaction block ROLLBACK 3 " ]
}

@test "guarded routes refuse settings in the first packet that SET is refused, too" {
	local uri
	uri=$(gw hooli)
	run env PGOPTIONS="-c work_mem=4GB" psql -X -At -d "$uri" -c "SHOW work_mem"
	[ "$status" = 2 ]
	[[ $output == *"FATAL:  settings at connecting but client_encoding, "*" are not allowed through this gateway" ]]
	[ "$(env PGOPTIONS="-c TimeZone=Asia/Tokyo -c extra_float_digits=0" psql -X -At -d "$uri" -c "SHOW TimeZone")" = Asia/Tokyo ]
	[ "$(env PGOPTIONS="-c work_mem=5MB" psql -X -At -d "$(gw initech)" -c "SHOW work_mem")" = 5MB ]
}

@test "what pins a session is listed" {
	{
		echo "LISTEN news;"
		echo "SELECT pg_advisory_lock(7);"
		echo "\\! touch $TEST_DIR/pinned; while [ -e $TEST_DIR/pinned ]; do sleep 0.05; done"
	} >"$TEST_DIR/pin.sql"
	psql -X -q -d "$(gw initech)" -f "$TEST_DIR/pin.sql" >"$TEST_DIR/pin.out" 2>&1 3>&- &
	until_true test -e "$TEST_DIR/pinned"
	copyhold route pins initech -o json >"$TEST_DIR/pins"
	rm "$TEST_DIR/pinned"
	wait $!
	python3 - "$TEST_DIR/pins" <<-'PY'
		import json, sys
		pins = json.load(open(sys.argv[1]))
		assert [sorted(p["why"]) for p in pins] == [["LISTEN", "advisory lock"]], pins
	PY
}

@test "a hold parks at a transaction's end, and ends by itself" {
	local uri
	uri=$(gw globex)
	copyhold route hold globex --max 2s
	run psql -X -At -d "$uri" -c "SELECT 'after'"
	[ "$output" = after ]
	copyhold route hold globex --max 60s
	psql -X -At -d "$uri" -c "SELECT 'released'" >"$TEST_DIR/held" 2>&1 3>&- &
	copyhold route release globex
	wait $!
	[ "$(cat "$TEST_DIR/held")" = released ]
}

@test "a suspended tenant is told so only with the right password" {
	local uri
	uri=$(gw vandelay)
	copyhold tenant suspend vandelay --yes --quiet
	run psql -X -At -d "$uri" -c "SELECT 1"
	[[ $output == *"FATAL:  the tenant is suspended" ]]
	run env PGPASSWORD=wrong psql -X -At "host=127.0.0.1 port=${GATEWAY##*:} dbname=vandelay user=app" -c "SELECT 1"
	[[ $output == *"FATAL:  tenant, user or password is wrong" ]]
	copyhold tenant resume vandelay --yes --quiet
	[ "$(ask vandelay "SELECT name FROM account")" = vandelay ]
}

@test "a worker that dies is started again, and a new tenant is served at once" {
	local worker
	worker=$(pgrep -P "$(gateway_pid gw)" | head -n 1)
	kill -9 "$worker"
	until_true gone "$worker"
	for _ in 1 2 3 4 5 6 7 8; do
		until_true psql -X -At -d "$(gw globex)" -c "SELECT 1"
	done
	copyhold login add initech second --yes --quiet
	[ "$(psql -X -At -d "$(gw initech second)" -c "SELECT count(*) FROM account WHERE name = 'initech'")" = 1 ]
}
