load ../lib/home
load ../lib/cluster
load ../lib/shop
load ../lib/wait

# Three tenants of one shared database: what is done to acme or initech is never felt by globex.
setup_file() {
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	copyhold apply -f "$MANIFESTS" --yes
	local tenant
	for tenant in acme globex initech; do
		as "$tenant" "INSERT INTO account (name, code) VALUES ('$tenant', 'same'), ('b', 'b');
			INSERT INTO note (account, body) SELECT id, '$tenant' FROM account"
	done
	GLOBEX=$(everything globex)
	export GLOBEX
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

everything() { as "$1" "SELECT a, n FROM account a LEFT JOIN note n ON n.account = a.id ORDER BY a.id"; }

assert_globex() { assert_equal "$(everything globex)" "$GLOBEX"; }

# --- provisioning -----------------------------------------------------------------------

@test "three tenants are active in one database, and a plan has nothing to do" {
	assert_equal "$(catalogue "SELECT name, state, layout, own_views FROM tenant ORDER BY name")" \
		$'acme active views 0\nglobex active views 0\ninitech active views 0'
	assert_equal "$(catalogue "SELECT count(DISTINCT dbname) FROM tenant")" 1
	assert_settled
	assert_out "nothing to do: 7 as they should be"
}

@test "each finds its own rows alone under the same names, keys and unique values" {
	local tenant
	for tenant in acme globex initech; do
		assert_equal "$(as "$tenant" "SELECT name FROM account WHERE code = 'same'")" "$tenant"
		assert_equal "$(as "$tenant" "SELECT count(*) FROM note")" 2
	done
	run as acme "INSERT INTO account (name, code) VALUES ('again', 'same')"
	assert_exit 1
	assert_contains 'duplicate key value violates unique constraint "account_code_key"'
}

@test "a tenant that joins takes one statement's time of the server: no schema, no table, no view" {
	local before
	before=$(inside "SELECT count(*) FROM pg_class")
	shop_tenant late
	assert_applied
	assert_contains "8 as they should be"
	assert_equal "$(inside "SELECT count(*) FROM pg_class")" "$before"
	assert_equal "$(as late "SELECT count(*) FROM account")" 0
	try tenant delete late --now --no-backup --confirm late --yes
	assert_exit 0
	rm "$MANIFESTS/late.yaml"
	assert_settled
}

# --- refused before the first change ----------------------------------------------------

@test "a server on which our login lacks a membership is refused with the GRANT it needs" {
	local role
	shop_tenant late
	for role in pg_signal_backend pg_read_all_stats; do
		su_psql vendor "REVOKE $role FROM copyhold"
		apply
		assert_exit 1
		assert_contains "error[missing-right]: login \"copyhold\" on \"vendor\" is not a member of $role
  while: looking at shared database \"vendor/shop\"
  hint:  GRANT $role TO \"copyhold\";" "$stderr"
		assert_equal "$(catalogue "SELECT count(*) FROM tenant WHERE name = 'late'")" 0
		su_psql vendor "GRANT $role TO \"copyhold\""
	done
	rm "$MANIFESTS/late.yaml"
	assert_settled
	assert_globex
}

last_run() { copyhold run list --limit 1 -o json | jq -r '.[0].id'; }

@test "of two applies at once one works, the other is told whose it is, and then has nothing to do" {
	sed -i 's/version: 1/version: 2/; s/maxLength: 40/maxLength: 41/' "$MANIFESTS/model.yaml"
	hold_at 4 first apply -f "$MANIFESTS" --yes
	apply
	assert_exit 1
	assert_contains "error[refused]: run $(last_run) has not finished with shared database \"vendor/shop\"
  hint:  Finish it: copyhold run resume $(last_run), or take it back: copyhold run undo $(last_run)." "$stderr"
	try run resume "$(last_run)"
	assert_exit 7
	assert_contains 'error[leased]: ' "$stderr"
	let_go "$HOLDER"
	assert_equal "$status" 0
	assert_applied
	assert_out "nothing to do: 7 as they should be"
}

@test "tenants that join one database in two runs at once both come in" {
	local spec
	shop_tenant late
	hold_at 4 first apply -f "$MANIFESTS" --yes -t late
	shop_tenant later
	apply -t later
	assert_exit 0
	let_go "$HOLDER"
	assert_equal "$status" 0
	assert_settled
	for spec in late later; do
		assert_equal "$(as "$spec" "SELECT count(*) FROM account")" 0
		copyhold tenant delete "$spec" --now --no-backup --confirm "$spec" --yes
		rm "$MANIFESTS/$spec.yaml"
	done
	assert_globex
}

# --- logins -----------------------------------------------------------------------------

@test "a login that reads only is added, rotated and removed" {
	local uri
	try login add acme report --read-only
	assert_exit 0
	assert_equal "$(as acme "SELECT count(*) FROM account" report)" 2
	run as acme "DELETE FROM account" report
	assert_exit 1
	assert_contains "permission denied for view account"
	uri=$(copyhold route resolve acme --direct --login report)
	mkdir "$TEST_DIR/old" && cp "$COPYHOLD_HOME"/run/pass/* "$TEST_DIR/old" && chmod 600 "$TEST_DIR"/old/*
	try login rotate acme report
	assert_exit 0
	run psql -XAt "${uri//"$COPYHOLD_HOME/run/pass"/"$TEST_DIR/old"}" -c "SELECT 1"
	assert_exit 2
	assert_contains "password authentication failed"
	assert_equal "$(as acme "SELECT count(*) FROM account" report)" 2
	try login add acme report
	assert_exit 1
	assert_err 'error[exists]: tenant "acme" has a login "report" already
  hint:  Choose another name, or: copyhold login rotate.'
	try login remove acme report --yes
	assert_exit 0
	try route resolve acme --direct --login report
	assert_exit 1
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_roles WHERE rolname LIKE 't_%'")" 3
	assert_settled
	assert_globex
}

@test "a second login that writes sees the rows of the first" {
	try login add acme batch
	assert_exit 0
	as acme "INSERT INTO note (body) VALUES ('by batch')" batch
	assert_equal "$(as acme "SELECT count(*) FROM note WHERE body = 'by batch'")" 1
	as acme "DELETE FROM note WHERE body = 'by batch'"
	try login remove acme batch --yes
	assert_exit 0
	assert_settled
}

# --- suspend ----------------------------------------------------------------------------

# TENANT: a session of it that sleeps in the background: its id is in $SESSION.
begin_session() {
	psql -X -q "$(copyhold route resolve "$1" --direct)" -c "SELECT pg_sleep(600)" >/dev/null 2>&1 3>&- &
	SESSION=$!
	until_true session_runs "$(state_of "$1" '.logins[0].role')"
}

session_runs() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'
		AND state = 'active' AND usename = '$1'")" = 1 ]
}

@test "suspend ends the tenant's sessions and no other's, and its route is closed" {
	local uri other
	uri=$(copyhold route resolve acme --direct)
	begin_session globex
	other=$SESSION
	begin_session acme
	try tenant suspend acme --yes
	assert_exit 0
	run wait "$SESSION"
	run psql -X "$uri" -c "SELECT 1"
	assert_exit 2
	assert_contains "is not permitted to log in"
	try route resolve acme --direct
	assert_exit 1
	assert_equal "$(state_of acme '.route + " " + .state')" "off suspended"
	session_runs "$(state_of globex '.logins[0].role')"
	kill "$other"
	wait "$other" || true
	try tenant suspend acme --yes
	assert_exit 0
	assert_out 'nothing to do: tenant "acme" is suspended'
	assert_globex
}

@test "apply does not open what was suspended by hand; resume does, with its rows" {
	apply
	assert_exit 0
	assert_equal "$(state_of acme .state)" suspended
	try tenant resume acme
	assert_exit 0
	[ "$(state_of acme .epoch)" -gt 1 ]
	assert_equal "$(as acme "SELECT count(*) FROM account")" 2
	assert_settled
	assert_globex
}

# --- delete -----------------------------------------------------------------------------

@test "delete seals, keeps the rows for the retention and can be taken back" {
	export COPYHOLD_NOW=1790000000000
	try tenant delete initech --yes
	assert_exit 0
	assert_equal "$(state_of initech '[.state, .route, .purgeAfter] | join(" ")')" \
		"sealed off 2026-10-21T14:13:20.000Z"
	try tenant delete initech --no-backup --yes
	assert_exit 1
	assert_err 'error[refused]: the data of tenant "initech" is kept until 2026-10-21T14:13:20.000Z
  hint:  Wait, or say --now.'
	try tenant delete initech --hand-back --yes
	assert_exit 1
	assert_err 'error[refused]: tenant "initech" is shared: there is no customer'"'"'s server to leave the data on
  hint:  Use delete without it.'
	try tenant resume initech
	assert_exit 0
	assert_equal "$(as initech "SELECT name FROM account WHERE code = 'same'")" initech
	assert_globex
}

@test "a purge takes the tenant's rows and roles, and nobody else's" {
	local id
	id=$(catalogue "SELECT id FROM tenant WHERE name = 'initech'")
	try tenant delete initech --now --no-backup --confirm initech --yes
	assert_exit 0
	assert_equal "$(inside "SELECT count(*) FROM wide.account WHERE _tenant = '$id'")" 0
	assert_equal "$(inside "SELECT count(*) FROM wide.note WHERE _tenant = '$id'")" 0
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%$id%'")" 0
	assert_equal "$(inside "SELECT count(*) FROM wide.account")" 4
	try tenant show initech
	assert_exit 1
	assert_contains 'error[not-found]: ' "$stderr"
	assert_globex
}

@test "a tenant of the same name afterwards has another id and no rows" {
	assert_applied
	assert_equal "$(as initech "SELECT count(*) FROM account")" 0
	assert_globex
}

@test "the shared database goes when nobody uses it and no manifest names a tenant, by --prune alone" {
	local db tenant
	db=$(shop_database)
	for tenant in acme globex initech; do
		copyhold tenant delete "$tenant" --now --no-backup --confirm "$tenant" --yes
		rm "$MANIFESTS/$tenant.yaml"
	done
	apply
	assert_exit 0
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_database WHERE datname = '$db'")" 1
	apply --prune --confirm-removal
	assert_exit 0
	assert_equal "$(su_psql vendor "SELECT (SELECT count(*) FROM pg_database WHERE datname = '$db')
		+ (SELECT count(*) FROM pg_roles WHERE rolname LIKE '$db%')")" 0
	try shared list -o json
	assert_out "[]"
}
