load ../lib/home
load ../lib/cluster
load ../lib/estate
load ../lib/wait

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	copyhold apply -f "$MANIFESTS" --yes
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

state_of() { copyhold tenant show "$1" -o json | jq -r "$2"; }
as_tenant() { psql -X -q -At "$(copyhold route resolve "$1" --direct ${3:+--login "$3"})" -c "$2"; }

# --- provisioning -----------------------------------------------------------------------

@test "the quickstart's tenants are active, routed and each in the place that was said" {
	try tenant list
	assert_exit 0
	assert_out "TENANT   NAME                       MODE         CLUSTER  STATE   MODEL  VERSION
acme     Acme Köln GmbH             customer-db  acme-db  active  crm          1
globex   环球贸易有限公司           dedicated    bj-1     active  crm          1
initech  Initech Économie S.A.R.L.  dedicated    bj-1     active  crm          1"
	try route list -o json
	assert_equal "$(jq -c '[.[] | [.tenant, .state, .epoch, .cluster]]' <<<"$output")" \
		'[["acme","open",1,"acme-db"],["globex","open",1,"bj-1"],["initech","open",1,"bj-1"]]'
}

@test "a plan afterwards has nothing to do, and changes nothing anywhere" {
	local before
	before=$(sqlite3 "$COPYHOLD_HOME/catalog.db" .dump | sha256sum)
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	assert_out "nothing to do: 8 as they should be"
	assert_equal "$(sqlite3 "$COPYHOLD_HOME/catalog.db" .dump | sha256sum)" "$before"
}

@test "a tenant's own login reads and writes its own objects, unqualified" {
	as_tenant globex "INSERT INTO account (name, country) VALUES ('Größe 北京', 'CN')"
	assert_equal "$(as_tenant globex "SELECT name FROM account")" "Größe 北京"
	assert_equal "$(as_tenant initech "SELECT count(*) FROM account")" 0
	assert_equal "$(as_tenant acme "SELECT count(*) FROM account")" 0
}

@test "the URI that is resolved names a passfile of mode 0600 and holds no password" {
	try route resolve globex --direct
	assert_exit 0
	assert_contains "passfile="
	local file=${output##*passfile=}
	file=${file%%&*}
	file=$(printf '%b' "${file//%/\\x}")
	assert_equal "$(stat -c %a "$file")" 600
	assert_lacks "$(cut -d: -f5 "$file")"
}

@test "a change without --yes and without a terminal is refused, never assumed" {
	sed 's/maxLength: 254/maxLength: 255/' "$MANIFESTS/model-crm.yaml" >"$TEST_DIR/model-crm.yaml"
	mkdir -p "$TEST_DIR/changed"
	cp "$MANIFESTS"/*.yaml "$TEST_DIR/changed"
	mv "$TEST_DIR/model-crm.yaml" "$TEST_DIR/changed"
	run --separate-stderr sh -c "\"$COPYHOLD_BIN\" apply -f '$TEST_DIR/changed' </dev/null"
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: Apply these changes? Type yes:
  hint:  Say --yes if you mean it."
	try tenant suspend globex
	assert_exit 1
	assert_equal "$(state_of globex .state)" active
}

# --- saved plans ------------------------------------------------------------------------

@test "a saved plan is applied once, and refused when anything has moved" {
	try plan -f "$TEST_DIR/changed" --out "$TEST_DIR/saved.plan"
	assert_exit 0
	cp "$TEST_DIR/saved.plan" "$TEST_DIR/again.plan"

	sed -i 's/maxLength: 255/maxLength: 256/' "$TEST_DIR/changed/model-crm.yaml"
	try apply --plan "$TEST_DIR/saved.plan"
	assert_exit 1
	assert_contains "error[plan-stale]: " "$stderr"
	sed -i 's/maxLength: 256/maxLength: 255/' "$TEST_DIR/changed/model-crm.yaml"

	local db
	db=$(state_of globex .database)
	su_psql bj-1 "DROP INDEX app.contact_account_idx" "$db"
	try apply --plan "$TEST_DIR/saved.plan"
	assert_exit 1
	assert_contains "error[plan-stale]: " "$stderr"
	su_psql bj-1 "CREATE INDEX contact_account_idx ON app.contact (account)" "$db"

	try apply --plan "$TEST_DIR/saved.plan"
	assert_exit 0
	try apply --plan "$TEST_DIR/again.plan"
	assert_exit 1
	assert_contains "error[plan-stale]: " "$stderr"
	cp "$TEST_DIR/changed/model-crm.yaml" "$MANIFESTS"
}

# --- logins -----------------------------------------------------------------------------

@test "a login is added, reads only if it was said, rotated and removed" {
	try login add globex report --read-only
	assert_exit 0
	assert_equal "$(as_tenant globex "SELECT count(*) FROM account" report)" 1
	run psql -X "$(copyhold route resolve globex --direct --login report)" -c "DELETE FROM account"
	assert_exit 1
	assert_contains "cannot execute DELETE in a read-only transaction"
	run psql -X "$(copyhold route resolve globex --direct --login report)" \
		-c "SET default_transaction_read_only = off" -c "DELETE FROM account"
	assert_exit 1
	assert_contains "permission denied for table account"

	local uri
	uri=$(copyhold route resolve globex --direct --login report)
	cp "$COPYHOLD_HOME"/run/pass/* "$TEST_DIR/" && chmod 600 "$TEST_DIR"/*
	try login rotate globex report
	assert_exit 0
	run psql -X -At "${uri//"$COPYHOLD_HOME/run/pass"/"$TEST_DIR"}" -c "SELECT 1"
	assert_exit 2
	assert_contains "password authentication failed"
	assert_equal "$(as_tenant globex "SELECT 1" report)" 1

	try login add globex report
	assert_exit 1
	assert_err "error[exists]: tenant \"globex\" has a login \"report\" already
  hint:  Choose another name, or: copyhold login rotate."
	try login remove globex report --yes
	assert_exit 0
	try route resolve globex --direct --login report
	assert_exit 1
	try login remove globex report --yes
	assert_exit 1
	assert_contains 'error[not-found]: tenant "globex" has no login "report"' "$stderr"
}

# --- suspend ----------------------------------------------------------------------------

# A session of a tenant that sleeps in the background: its id is in $SESSION.
begin_session() {
	psql -X -q "$(copyhold route resolve "$1" --direct)" -c "SELECT pg_sleep(600)" >/dev/null 2>&1 3>&- &
	SESSION=$!
	until_true session_runs "$2" "$3"
}

session_runs() {
	[ "$(su_psql "$1" "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'
		AND state = 'active' AND usename = '$2'")" = 1 ]
}

@test "suspend ends the sessions, turns the logins off and closes the route, in both modes" {
	local tenant cluster uri
	for tenant in globex acme; do
		cluster=$(state_of "$tenant" .cluster)
		uri=$(copyhold route resolve "$tenant" --direct)
		begin_session "$tenant" "$cluster" "$(state_of "$tenant" '.logins[0].role')"
		try tenant suspend "$tenant" --yes
		assert_exit 0
		run wait "$SESSION"
		assert_equal "$(su_psql "$cluster" "SELECT count(*) FROM pg_stat_activity
			WHERE query = 'SELECT pg_sleep(600)'")" 0
		run psql -X "$uri" -c "SELECT 1"
		assert_exit 2
		try route resolve "$tenant" --direct
		assert_exit 1
		assert_equal "$(state_of "$tenant" '.route + " " + .state')" "off suspended"
		try tenant suspend "$tenant" --yes
		assert_exit 0
		assert_out "nothing to do: tenant \"$tenant\" is suspended"
	done
}

@test "apply does not open what was suspended by hand" {
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(state_of globex .state)" suspended
}

@test "resume opens it again with a higher epoch and its data" {
	local tenant
	for tenant in globex acme; do
		try tenant resume "$tenant"
		assert_exit 0
		[ "$(state_of "$tenant" .epoch)" -gt 1 ]
	done
	assert_equal "$(as_tenant globex "SELECT count(*) FROM account")" 1
	assert_equal "$(as_tenant acme "SELECT count(*) FROM account")" 0
}

# --- delete -----------------------------------------------------------------------------

@test "delete seals first, keeps the data for its retention and can be taken back" {
	export COPYHOLD_NOW=1790000000000
	try tenant delete initech --yes
	assert_exit 0
	assert_equal "$(state_of initech '[.state, .route, .purgeAfter] | join(" ")')" \
		"sealed off 2026-12-20T14:13:20.000Z"
	try tenant delete initech --yes
	assert_exit 1
	assert_err "error[refused]: purging tenant \"initech\" wants a backup reference
  hint:  Name it: --backup REF; or say --no-backup."
	try tenant delete initech --no-backup --yes
	assert_exit 1
	assert_err "error[refused]: the data of tenant \"initech\" is kept until 2026-12-20T14:13:20.000Z
  hint:  Wait, or say --now."
	try tenant delete initech --now --no-backup --yes
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: This removes its data for ever. Type the tenant's name:
  hint:  Say --confirm initech if you mean it."
	try tenant delete initech --now --no-backup --confirm globex
	assert_exit 1
	assert_err "error[refused]: --confirm \"globex\" is not the tenant's name
  hint:  Nothing was changed."
	try tenant resume initech
	assert_exit 0
	assert_equal "$(as_tenant initech "SELECT count(*) FROM account")" 0
}

@test "after the retention a purge leaves nothing on the server" {
	local db
	db=$(state_of initech .database)
	COPYHOLD_NOW=1790000000000 copyhold tenant delete initech --yes
	COPYHOLD_NOW=1800000000000 try tenant delete initech --backup tape-17 --yes
	assert_exit 0
	assert_equal "$(su_psql bj-1 "SELECT (SELECT count(*) FROM pg_database WHERE datname = '$db')
		+ (SELECT count(*) FROM pg_roles WHERE rolname LIKE '$db%')")" 0
	try tenant show initech
	assert_exit 1
	assert_contains 'error[not-found]: ' "$stderr"
	assert_equal "$(sqlite3 "$COPYHOLD_HOME/catalog.db" \
		"SELECT count(*) FROM event WHERE verb = 'tenant.purge' AND CAST(bytes AS TEXT) LIKE '%\"before\":\"tape-17\"%'")" 1
}

@test "a tenant of the same name afterwards gets a database of another name" {
	local before
	before=$(sqlite3 "$COPYHOLD_HOME/catalog.db" "SELECT group_concat(args) FROM step")
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_lacks "$(state_of initech .database)" "$before"
}

@test "apply removes no tenant without --prune and a confirmation of its own" {
	mkdir -p "$TEST_DIR/fewer"
	cp "$MANIFESTS"/*.yaml "$TEST_DIR/fewer"
	awk 'BEGIN { RS = "---\n"; ORS = "---\n" } !/name: initech/' "$MANIFESTS/tenants.yaml" \
		>"$TEST_DIR/fewer/tenants.yaml"
	try apply -f "$TEST_DIR/fewer" --yes
	assert_exit 0
	assert_contains "= tenant initech: no manifest names it; it stays (apply --prune deletes it)"
	assert_equal "$(state_of initech .state)" active
	run --separate-stderr sh -c "\"$COPYHOLD_BIN\" apply -f '$TEST_DIR/fewer' --prune </dev/null"
	assert_exit 1
	assert_equal "$(state_of initech .state)" active
}

@test "delete --hand-back leaves the customer's data and roles, and nothing of ours" {
	local owner
	try tenant delete globex --hand-back --yes
	assert_exit 1
	assert_err "error[refused]: tenant \"globex\" is dedicated: there is no customer's server to leave the data on
  hint:  Use delete without it."
	su_psql acme-db "INSERT INTO app.account (name, country) VALUES ('kept', 'DE')" acme
	owner=$(su_psql acme-db "SELECT relowner::regrole FROM pg_class WHERE oid = 'app.account'::regclass" acme)
	try tenant delete acme --hand-back --confirm acme --yes
	assert_exit 0
	assert_equal "$(su_psql acme-db "SELECT name FROM app.account" acme)" kept
	assert_equal "$(su_psql acme-db "SELECT relowner::regrole FROM pg_class
		WHERE oid = 'app.account'::regclass" acme)" "$owner"
	assert_equal "$(su_psql acme-db "SELECT count(*) FROM pg_roles
		WHERE rolname IN ('acme_owner', 'acme_app')")" 2
	assert_equal "$(su_psql acme-db "SELECT count(*) FROM pg_namespace WHERE nspname = 'copyhold'" acme)" 0
	try tenant show acme
	assert_exit 1
}
