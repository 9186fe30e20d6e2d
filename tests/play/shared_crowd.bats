load ../lib/home
load ../lib/cluster
load ../lib/wait

# A shared database that is crowded: who takes how much of it, and the watchdog that ends sessions
# of tenants that harm everybody.  acme and globex are on the common views, initech has a field of its
# own, hooli an object.

setup_file() {
	clusters_setup
	cluster_start vendor --max-connections 40 --set max_locks_per_transaction=10
	home_setup
	export VENDOR_PASSWORD=crowd-canary-7d31
	crowd_manifests >"$TEST_DIR/shop.yaml"
	copyhold init
	copyhold cluster setup-script vendor -f "$TEST_DIR/shop.yaml" | su_psql vendor -
	copyhold apply -f "$TEST_DIR/shop.yaml" --yes
	DB=$(copyhold shared list -o json | jq -r '.[0].database')
	export DB
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	TAKERS=()
}

teardown() {
	local fd
	for fd in 7 8; do let_session $fd; done
	[ -z "${DOG-}" ] || kill -CONT "$DOG" 2>/dev/null || true
	[ -z "${DOG-}" ] || kill "$DOG" 2>/dev/null || true
	give_connections
	rm -f "$TEST_DIR"/hold.*
}

crowd_manifests() {
	cat <<-END
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: here}
		spec: {country: CN}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: vendor}
		spec:
		  region: here
		  modes: [shared]
		  capacity: 10
		  tenantRows: 200
		  connect:
		    host: 127.0.0.1
		    port: $(cluster_port vendor)
		    password: {secretRef: "env:VENDOR_PASSWORD"}
		---
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: shop}
		spec:
		  version: 1
		  objects:
		    - name: account
		      fields:
		        - {name: name, type: text, maxLength: 80, unique: true}
		    - name: note
		      fields:
		        - {name: account, type: reference, to: account, onDelete: cascade}
		        - {name: text, type: text}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: acme}
		spec: {model: shop, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: globex}
		spec: {model: shop, mode: shared, cluster: vendor}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: initech}
		spec:
		  model: shop
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  fields:
		    account:
		      - {name: x_tier, type: text}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: hooli}
		spec:
		  model: shop
		  mode: shared
		  cluster: vendor
		  acceptVisibleNames: true
		  objects:
		    - name: x_contract
		      fields:
		        - {name: account, type: reference, to: account, onDelete: cascade}
	END
}

PYTHON=/usr/bin/python3
"$PYTHON" -c 'import jsonschema' 2>/dev/null || PYTHON=python3

# DEFINITION [lines]: of standard input.
fits() { "$PYTHON" "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"; }

# TENANT SQL
as() { psql -XAtq -v ON_ERROR_STOP=1 "$(copyhold route resolve "$1" --direct)" -c "$2"; }

# FD TENANT: a session of the tenant that reads from that descriptor; what it says is in hold.FD.out.
open_session() {
	local uri
	uri=$(copyhold route resolve "$2" --direct)
	mkfifo "$TEST_DIR/hold.$1"
	psql -XAtq "$uri" <"$TEST_DIR/hold.$1" >"$TEST_DIR/hold.$1.out" 2>&1 3>&- 7>&- 8>&- &
	eval "exec $1>\"\$TEST_DIR/hold.$1\""
}

let_session() {
	eval "exec $1>&-"
	rm -f "$TEST_DIR/hold.$1"
}

# FD TEXT: the session has said it.
has_said() { grep -qF -- "$2" "$TEST_DIR/hold.$1.out"; }

# FD TEXT: sent; a session that was ended takes no more.
send() { (trap '' PIPE && printf '%s\n' "$2" >&"$1") 2>/dev/null || true; }

# FD SQL: sent, and done.
tell_session() {
	send "$1" "$2"
	send "$1" "\\echo told-$((TOLD += 1))"
	until_true has_said "$1" "told-$TOLD"
}

# FD: the server ended it.
is_ended() {
	send "$1" "SELECT 1;"
	until_true has_said "$1" "terminating connection due to administrator command"
}

# ARGUMENT...: the watchdog, in the background.
start_dog() {
	"$COPYHOLD_BIN" shared watch vendor --interval 100ms "$@" \
		>"$TEST_DIR/dog.out" 2>"$TEST_DIR/dog.err" 3>&- 7>&- 8>&- &
	DOG=$!
	until_true grep -q "open without gateway" "$TEST_DIR/dog.err"
}

dog_has_said() { grep -qE -- "$1" "$TEST_DIR/dog.out"; }
dog_has_complained() { grep -qE -- "$1" "$TEST_DIR/dog.err"; }

stop_dog() {
	local code=0
	kill -TERM "$DOG"
	wait "$DOG" || code=$?
	DOG=
	assert_equal "$code" 0
}

events() {
	sqlite3 "$COPYHOLD_HOME/catalog.db" \
		"SELECT tenant, outcome FROM event JOIN log ON log.id = log
		WHERE verb = 'shared.watch.ended' ORDER BY seq"
}

# TENANT: all connections that there are left. One after the other: logins of a crowd hold slots
# while they are being refused, so that a crowd can refuse itself below the limit.
take_connections() {
	local uri taken=$TEST_DIR/taken
	uri=$(copyhold route resolve "$1" --direct)
	until none_is_left "$1"; do
		: >"$taken"
		psql -XAtq "$uri" -c "SELECT 'in'" -c "SELECT pg_sleep(600)" \
			>>"$taken" 2>&1 3>&- 7>&- 8>&- &
		TAKERS+=($!)
		until_true test -s "$taken"
	done
}

none_is_left() { as "$1" "SELECT 1" 2>&1 | grep -q "connection slots are reserved"; }

give_connections() {
	[ ${#TAKERS[@]} = 0 ] || kill "${TAKERS[@]}" 2>/dev/null || true
	TAKERS=()
}

savepoints() {
	local i
	for ((i = 0; i < $1; i++)); do
		echo "SAVEPOINT s; INSERT INTO note (text) VALUES ('$i');"
	done
}

@test "list and show tell what there is, as the schema says" {
	try shared list -o json
	assert_exit 0
	fits sharedList <<<"$output"
	assert_equal "$(jq -c '.[] | [.name, .cluster, .model, .modelVersion, .tenants, .state]' <<<"$output")" \
		'["vendor/shop","vendor","shop",1,4,"active"]'
	try shared list
	assert_equal "$(awk 'NR == 2 { print $1, $2, $3, $4, $5, $6 }' <<<"$output")" \
		"vendor/shop vendor shop 1 4 active"
	try shared show vendor/shop -o json
	assert_exit 0
	fits sharedShow <<<"$output"
	assert_equal "$(jq -c '[.versions, .ownViews, .ownTables]' <<<"$output")" \
		'[[{"modelVersion":1,"tenants":4}],["initech"],["hooli"]]'
	assert_equal "$(jq -c '.objects[] | select(.object == "account") | .spare[] | select(.type == "text") | .used' <<<"$output")" 1
	assert_equal "$(jq -c '.objects[] | select(.object == "note") | [.spare[].used] | add' <<<"$output")" 0
	try shared show vendor/shop
	assert_exit 0
	assert_contains "views     initech"
	assert_contains "tables    hooli"
	assert_contains "version   1: 4 tenants"
}

@test "usage counts rows per tenant and object, and points out who has outgrown the mode" {
	as acme "INSERT INTO account (name) SELECT 'a' || g FROM generate_series(1, 30) g;
		INSERT INTO note (text) SELECT repeat('x', 100) FROM generate_series(1, 171) g"
	as globex "INSERT INTO account (name) SELECT 'a' || g FROM generate_series(1, 3) g"
	as initech "INSERT INTO account (name, x_tier) VALUES ('one', 'gold')"
	as hooli "INSERT INTO account (name) VALUES ('one'), ('two'); INSERT INTO x_contract DEFAULT VALUES"
	try shared usage vendor/shop -o json
	assert_exit 0
	fits sharedUsage <<<"$output"
	assert_equal "$(jq -c '.tenants[] | [.tenant, .rows, .exact, .outgrown]' <<<"$output" | sort)" \
		'["acme",201,true,"201 rows of at most 200"]
["globex",3,true,null]
["hooli",3,true,null]
["initech",1,true,null]'
	assert_equal "$(jq -c '.tenants[] | select(.tenant == "acme") | [.objects[] | [.object, .rows]]' <<<"$output")" \
		'[["account",30],["note",171]]'
	assert_equal "$(jq -c '[.tables[] | [.object, .rows]]' <<<"$output")" '[["account",34],["note",171]]'
	try shared usage vendor/shop --detailed-exitcode
	assert_exit 2
	assert_contains "acme outgrows shared: 201 rows of at most 200: move it to dedicated"
	assert_lacks "globex outgrows"
}

@test "one tenant's usage is asked for alone" {
	try shared usage vendor/shop --tenant globex --detailed-exitcode -o json
	assert_exit 0
	assert_equal "$(jq -c '[.tenants[] | [.tenant, .rows]]' <<<"$output")" '[["globex",3]]'
	try shared usage vendor/shop --tenant nobody
	assert_exit 1
	assert_err 'error[not-found]: tenant "nobody" is not in shared database "vendor/shop"
  hint:  See: copyhold tenant list.'
}

@test "the first N are the largest, and whoever has outgrown the mode is among them" {
	try shared usage vendor/shop --top 1 -o json
	assert_equal "$(jq -c '[.withRows, [.tenants[].tenant]]' <<<"$output")" '[4,["acme"]]'
}

@test "a tenant's own login may not count anything of it" {
	run as acme "SELECT count(*) FROM wide.note"
	assert_exit 1
	assert_contains "permission denied for schema wide"
	run as acme "SELECT pg_total_relation_size('app.note'::regclass)"
	assert_exit 1
	assert_contains "permission denied for function pg_total_relation_size"
}

@test "a dry run lists and ends nobody; once more it ends, and there is an event" {
	open_session 7 acme
	tell_session 7 "BEGIN; INSERT INTO note (text) VALUES ('open'); SELECT pg_sleep(0.01);"
	try shared watch vendor/shop --once --dry-run --max-transaction 1ms
	assert_exit 0
	assert_contains "would end acme in vendor/shop (session "
	assert_contains "): a transaction of "
	tell_session 7 "SELECT 'still here';"
	has_said 7 "still here"
	assert_equal "$(events)" ""
	try shared watch vendor/shop --once --max-transaction 1ms -o json
	assert_exit 0
	fits sharedWatch <<<"$output"
	assert_equal "$(jq -c '[.shared, .tenant, .ended]' <<<"$output")" '["vendor/shop","acme",true]'
	is_ended 7
	assert_equal "$(events)" "acme|ok"
	try shared watch vendor/shop --once --max-transaction 1ms
	assert_out ""
}

@test "running, it ends who idles, who locks a table and who holds too many locks; others go on" {
	start_dog --max-idle-in-transaction 50ms --max-lock-table 50ms --max-locks 100
	open_session 7 acme
	send 7 "BEGIN; SELECT count(*) FROM note;"
	until_true dog_has_said 'ended acme in vendor/shop .*: idle in a transaction for '
	is_ended 7
	let_session 7
	stop_dog
	start_dog --max-lock-table 50ms --max-locks 100
	open_session 7 acme
	send 7 "BEGIN; LOCK TABLE note IN ACCESS EXCLUSIVE MODE;"
	until_true dog_has_said 'ended acme in vendor/shop .*: a transaction with LOCK TABLE for '
	is_ended 7
	as globex "INSERT INTO note (text) VALUES ('goes on')"
	let_session 7
	open_session 7 acme
	send 7 "BEGIN; $(savepoints 300)"
	until_true dog_has_said 'ended acme in vendor/shop .*: [0-9,]+ locks, at most 100'
	is_ended 7
	assert_equal "$(as globex "SELECT count(*) FROM note WHERE text = 'goes on'")" 1
	stop_dog
	assert_equal "$(events | sort | uniq -c | awk '{ print $2 }')" "acme|ok"
}

@test "a full lock table and taken connections do not stop it" {
	start_dog --max-locks 100
	open_session 7 acme
	tell_session 7 "SELECT 1;"
	open_session 8 globex
	tell_session 8 "SELECT 1;"
	take_connections initech
	kill -STOP "$DOG"
	until_true is_stopped "$DOG"
	send 7 "BEGIN; $(savepoints 3000)"
	until_true has_said 7 "out of shared memory"
	send 8 "BEGIN; $(savepoints 200) ROLLBACK;"
	until_true has_said 8 "out of shared memory"
	kill -CONT "$DOG"
	until_true dog_has_said 'ended acme in vendor/shop .*: [0-9,]+ locks, at most 100'
	is_ended 7
	tell_session 8 "INSERT INTO note (text) VALUES ('after it');"
	tell_session 8 "SELECT 'counted ' || count(*) FROM note WHERE text = 'after it';"
	has_said 8 "counted 1"
	give_connections
	stop_dog
	assert_equal "$(grep -c '^error' "$TEST_DIR/dog.err")" 0
}

@test "it comes back when the server does, and says both once" {
	start_dog --max-transaction 50ms
	cluster_crash vendor
	until_true dog_has_complained '^error\[cluster-unreachable\]'
	cluster_start vendor
	until_true dog_has_complained '^watching vendor again$'
	open_session 7 acme
	send 7 "BEGIN; SELECT count(*) FROM note;"
	until_true dog_has_said 'ended acme '
	stop_dog
	assert_equal "$(grep -c '^error' "$TEST_DIR/dog.err")" 1
}
