load ../lib/home
load ../lib/cluster
load ../lib/shop
load ../lib/wait

# A shared database that was changed by hand again and again: each test leaves it as it should be.
# acme is on the common views, globex has a field in a spare column, initech tables of its own.
setup_file() {
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	shop_fields globex "{name: x_tier, type: text}"
	shop_fields initech "{name: x_tax, type: text, maxLength: 20, unique: true}"
	copyhold apply -f "$MANIFESTS" --yes
	DB=$(shop_database)
	ROLE=$(state_of acme '.logins[0].role')
	OWN=app_$(catalogue "SELECT id FROM tenant WHERE name = 'initech'")
	VIEWS=app_$(catalogue "SELECT id FROM tenant WHERE name = 'globex'")
	export DB ROLE OWN VIEWS
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# A test that failed must not fail the next ones.
teardown() { [ -n "${BATS_TEST_COMPLETED-}" ] || apply --prune --confirm-removal || true; }

# SCOPE LINES [OPTION...]: the plan says these lines of that scope alone, and apply mends them.
assert_mended() {
	try plan -f "$MANIFESTS" --detailed-exitcode "${@:3}"
	assert_exit 2
	assert_contains "~ $1: "
	assert_equal "$(grep -cE '^[-+~!] ' <<<"$output")" 1
	assert_equal "$(differences)" "$2"
	apply "${@:3}"
	assert_exit 0
	try plan -f "$MANIFESTS" --detailed-exitcode "${@:3}"
	assert_exit 0
	assert_contains "nothing to do: "
}

# SQL LINES: done by hand in the shared database it is told of that, and mended.
drift() {
	inside "$1"
	assert_mended "shared vendor/shop" "$2"
}

# TENANT SQL LINES: the same of a tenant, whether it is named or not.  Ten thousand tenants on the common
# views are looked at together; alone is looked at who is named, or whose login is odd.
drift_of() {
	inside "$2"
	assert_mended "tenant $1" "$3"
	inside "$2"
	assert_mended "tenant $1" "$3" -t "$1"
}

# The same of what is seen only if the tenant is named.
drift_of_named() {
	inside "$2"
	assert_mended "tenant $1" "$3" -t "$1"
}

# --- row security -----------------------------------------------------------------------

@test "row security that was switched off, or no longer forced, is switched on again" {
	drift "ALTER TABLE wide.account NO FORCE ROW LEVEL SECURITY" \
		"    ~ row security account: enabled -> enabled, forced (changed by hand)"
	drift "ALTER TABLE wide.account DISABLE ROW LEVEL SECURITY" \
		"    ~ row security account: forced -> enabled, forced (changed by hand)"
	assert_equal "$(inside "SELECT relrowsecurity, relforcerowsecurity FROM pg_class
		WHERE oid = 'wide.account'::regclass")" "t|t"
}

@test "a policy that is gone comes back; one that was widened is narrowed; a strange one goes" {
	local rows='("_tenant" = "substr"((SESSION_USER)::"text", 3, 12))'
	drift "DROP POLICY tenant_rows ON wide.account" \
		"    + policy tenant_rows of account: FOR ALL TO \"${DB}_o\" USING ($rows) WITH CHECK ($rows) (changed by hand)"
	drift "DROP POLICY keeper_rows ON wide.note" \
		"    + policy keeper_rows of note: FOR ALL TO \"${DB}_k\" USING (true) WITH CHECK (true) (changed by hand)"
	drift "ALTER POLICY tenant_rows ON wide.account USING (true)" \
		"    ~ policy tenant_rows of account: FOR ALL TO \"${DB}_o\" USING (true) WITH CHECK ($rows) ->\
 FOR ALL TO \"${DB}_o\" USING ($rows) WITH CHECK ($rows) (changed by hand)"
	drift "CREATE POLICY spy ON wide.account USING (true)" \
		"    - policy spy: FOR ALL TO PUBLIC USING (true) (changed by hand)"
}

# --- rights -----------------------------------------------------------------------------

@test "rights on the shared tables and their schema are taken from logins, and given to the keeper" {
	drift "GRANT SELECT ON wide.account TO $ROLE" \
		"    - grant account to $ROLE: SELECT (changed by hand)"
	drift "GRANT USAGE ON SCHEMA wide TO $ROLE" \
		"    - schema grant wide to $ROLE: USAGE (changed by hand)"
	drift "GRANT SELECT ON wide.account TO PUBLIC" \
		"    - grant account to PUBLIC: SELECT (changed by hand)"
	drift "REVOKE SELECT ON wide.account FROM ${DB}_k" \
		"    ~ grant account to ${DB}_k: DELETE,INSERT,UPDATE -> DELETE,INSERT,SELECT,UPDATE (changed by hand)"
}

@test "rights on the common views and the database are mended" {
	drift "GRANT SELECT ON app.account TO PUBLIC" \
		"    - grant app.account to PUBLIC: SELECT (changed by hand)"
	drift "REVOKE INSERT ON app.account FROM ${DB}_w" \
		"    ~ grant app.account to ${DB}_w: DELETE,SELECT,UPDATE -> DELETE,INSERT,SELECT,UPDATE (changed by hand)"
	drift "GRANT CONNECT ON DATABASE $DB TO PUBLIC" \
		"    - grant $DB.PUBLIC: CONNECT (changed by hand)"
	drift "REVOKE CONNECT ON DATABASE $DB FROM ${DB}_w" \
		"    + grant $DB.${DB}_w: CONNECT (changed by hand)"
}

@test "a login that was given the keeper's or the owner's role loses it" {
	drift "GRANT ${DB}_k TO $ROLE" "    - member ${DB}_k.$ROLE:  (changed by hand)"
	drift "GRANT ${DB}_o TO $ROLE" "    - member ${DB}_o.$ROLE:  (changed by hand)"
	drift "ALTER ROLE ${DB}_o LOGIN" "    ~ role ${DB}_o: login -> nologin (changed by hand)"
}

@test "what only a superuser could take back is told and kept" {
	inside "ALTER ROLE $ROLE BYPASSRLS"
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 2
	assert_equal "$(differences)" \
		"    ~ role $ROLE: bypassrls, inherit, connections 50 -> inherit, connections 50 (changed by hand) (kept)
        only a superuser can take NOSUPERUSER NOREPLICATION NOBYPASSRLS back"
	inside "ALTER ROLE $ROLE NOBYPASSRLS"
	assert_settled
}

# --- views ------------------------------------------------------------------------------

@test "a common view that shows all rows, has other options, another owner or is gone is made anew" {
	local columns="account: id, name, code, city, parent"
	local right="owner ${DB}_o, $columns"
	drift "CREATE OR REPLACE VIEW app.account AS SELECT id, name, code, city, parent FROM wide.account" \
		"    ~ view app.account: owner ${DB}_o, SELECT \"account\".\"id\", \"account\".\"name\", \"account\".\"code\",\
 \"account\".\"city\", \"account\".\"parent\" FROM \"wide\".\"account\"; -> $right (changed by hand)"
	drift "ALTER VIEW app.account SET (security_barrier = true)" \
		"    ~ view app.account: $right; options security_barrier=true -> $right (changed by hand)"
	drift "ALTER VIEW app.account SET (security_invoker = true)" \
		"    ~ view app.account: $right; options security_invoker=true -> $right (changed by hand)"
	drift "ALTER VIEW app.account OWNER TO postgres" \
		"    + grant app.account to ${DB}_o: ALL (changed by hand)
    ~ view app.account: owner postgres, $columns -> $right (changed by hand)
    - grant app.account to postgres: ALL (changed by hand)"
	drift "DROP VIEW app.note" \
		"    + view app.note: owner ${DB}_o, note: id, account, body (changed by hand)"
	as acme "INSERT INTO note (body) VALUES ('written')"
	assert_equal "$(as acme "SELECT body FROM note")" written
	assert_equal "$(as globex "SELECT count(*) FROM note")" 0
}

@test "a tenant's own view that is gone comes back, and strangers lose their rights on its schema" {
	inside "DROP VIEW $VIEWS.account"
	assert_mended "tenant globex" \
		"    + view $VIEWS.account: owner ${DB}_o, account: id, name, code, city, parent, x_tier=_text_1 (changed by hand)"
	inside "GRANT USAGE ON SCHEMA $VIEWS TO $ROLE"
	assert_mended "tenant globex" "    - schema grant $VIEWS to $ROLE: USAGE (changed by hand)"
}

# --- settings and logins ----------------------------------------------------------------

@test "settings of logins and of the database are mended" {
	drift "ALTER ROLE $ROLE SET search_path = public" \
		"    - setting $ROLE.search_path: public (changed by hand)"
	drift "ALTER ROLE $ROLE IN DATABASE $DB SET search_path = wide" \
		"    - setting $ROLE.search_path@$DB: wide (changed by hand)"
	drift "ALTER ROLE $ROLE SET work_mem = '1GB'" \
		"    - setting $ROLE.work_mem: 1GB (changed by hand)"
	drift "ALTER DATABASE $DB SET search_path = public" \
		"    ~ setting search_path@$DB: public -> app (changed by hand)"
	drift "ALTER DATABASE $DB RESET TimeZone" \
		"    + setting TimeZone@$DB: UTC (changed by hand)"
}

@test "a login that lost its group, was given the other or turned off works again" {
	drift_of acme "REVOKE ${DB}_w FROM $ROLE" "    + member ${DB}_w.$ROLE:  (changed by hand)"
	drift_of acme "GRANT ${DB}_r TO $ROLE" "    - member ${DB}_r.$ROLE:  (changed by hand)"
	drift_of acme "ALTER ROLE $ROLE NOLOGIN" \
		"    ~ role $ROLE: nologin, inherit, connections 50 -> login, inherit, connections 50 (changed by hand)
    ~ password app (changed by hand)"
	drift_of acme "ALTER ROLE $ROLE NOLOGIN; REVOKE ${DB}_w FROM $ROLE; GRANT ${DB}_r TO $ROLE" \
		"    ~ role $ROLE: nologin, inherit, connections 50 -> login, inherit, connections 50 (changed by hand)
    + member ${DB}_w.$ROLE:  (changed by hand)
    - member ${DB}_r.$ROLE:  (changed by hand)
    ~ password app (changed by hand)"
	drift_of_named acme "ALTER ROLE $ROLE PASSWORD 'stolen'" "    ~ password app (changed by hand)"
	assert_equal "$(as acme "SELECT count(*) FROM account")" 0
}

@test "a login that is gone is made again with its group and its password" {
	drift_of acme "DROP OWNED BY $ROLE; DROP ROLE $ROLE" \
		"    + role $ROLE: login, inherit, connections 50 (changed by hand)
    + member ${DB}_w.$ROLE:  (changed by hand)
    ~ password app (changed by hand)"
	assert_equal "$(as acme "SELECT session_user")" "$ROLE"
}

@test "a tenant that lost the way to its own views finds them again" {
	local role
	role=$(state_of globex '.logins[0].role')
	drift_of globex "ALTER ROLE $role IN DATABASE $DB RESET search_path" \
		"    + setting $role.search_path@$DB: $VIEWS, app (changed by hand)"
	assert_equal "$(as globex "SELECT count(x_tier) FROM account")" 0
}

# --- tables -----------------------------------------------------------------------------

@test "statistics of values that were switched on are switched off again" {
	drift "ALTER TABLE wide.account ALTER name SET STATISTICS 100" \
		"    ~ statistics account.name: 100 -> 0 (changed by hand)"
	drift "ALTER TABLE wide.account ALTER name SET STATISTICS -1" \
		"    + statistics account.name: 0 (changed by hand)"
}

@test "a spare column, a default, a rule, a reference, an index and storage settings come back" {
	drift "ALTER TABLE wide.account DROP COLUMN _text_4" \
		"    + field account._text_4: text (changed by hand)"
	drift "ALTER TABLE wide.account ALTER _tenant DROP DEFAULT" \
		"    + default account._tenant: \"substr\"((SESSION_USER)::\"text\", 3, 12) (changed by hand)"
	drift "ALTER TABLE wide.account DROP CONSTRAINT account_code_key" \
		"    + unique account.code: account_code_key (changed by hand)"
	drift "ALTER TABLE wide.account DROP CONSTRAINT account_parent_fkey" \
		"    + reference account.parent: account, on delete set-null (changed by hand)"
	drift "DROP INDEX wide.note_account_idx" \
		"    + index note.account: note_account_idx (changed by hand)"
	local rest="autovacuum_analyze_scale_factor=0.02, autovacuum_vacuum_cost_delay=1, autovacuum_vacuum_insert_scale_factor=0.05"
	drift "ALTER TABLE wide.account RESET (autovacuum_vacuum_scale_factor)" \
		"    ~ storage account: $rest, fillfactor=90 ->\
 $rest, autovacuum_vacuum_scale_factor=0.02, fillfactor=90 (changed by hand)"
}

@test "a spare column that a field lies in comes back, for every tenant that has it" {
	inside "ALTER TABLE wide.account DROP COLUMN _text_1 CASCADE"
	apply
	assert_exit 0
	assert_settled
	as globex "INSERT INTO account (name, x_tier) VALUES ('again', 'gold')"
	assert_equal "$(as globex "SELECT x_tier FROM account WHERE name = 'again'")" gold
}

@test "a trigger and a rule on a shared table are removed" {
	drift "CREATE TRIGGER spy BEFORE INSERT ON wide.account FOR EACH ROW
		EXECUTE FUNCTION suppress_redundant_updates_trigger()" \
		"    - strange trigger spy (account): on a table (changed by hand)"
	drift "CREATE RULE spy AS ON DELETE TO wide.note DO INSTEAD NOTHING" \
		"    - strange rule spy (note): on a table (changed by hand)"
}

@test "a tenant's own tables are mended as those of a database of its own" {
	inside "GRANT SELECT ON $OWN.account TO $ROLE"
	assert_mended "tenant initech" "    - grant account to $ROLE: SELECT (changed by hand)"
	inside "DROP TABLE $OWN.note"
	assert_mended "tenant initech" "    + object note: 3 fields (changed by hand)"
	inside "ALTER TABLE $OWN.account DROP COLUMN city"
	assert_mended "tenant initech" "    + field account.city: text(40) (changed by hand)
    + limit account.city: 40 characters (changed by hand)"
}

@test "a shared database that is gone is never made again silently" {
	su_psql vendor "ALTER DATABASE $DB RENAME TO away"
	try plan -f "$MANIFESTS"
	assert_exit 1
	assert_contains "error[different]: database \"$DB\" of shared database \"vendor/shop\" is gone from \"vendor\"
  while: looking at shared database \"vendor/shop\"
  hint:  Restore it from a backup: its tenants' rows are not kept anywhere else." "$stderr"
	su_psql vendor "ALTER DATABASE away RENAME TO $DB"
	assert_settled
}

# --- taken back -------------------------------------------------------------------------

last_run() { copyhold run list --limit 1 -o json | jq -r '.[0].id'; }

@test "a mending that was stopped is taken back or finished, and mended in the end" {
	local n=1 last
	inside "ALTER TABLE wide.account NO FORCE ROW LEVEL SECURITY; DROP POLICY tenant_rows ON wide.note;
		DROP INDEX wide.note_account_idx; DROP VIEW app.note"
	COPYHOLD_FAULT=list:$TEST_DIR/list copyhold apply -f "$MANIFESTS" --yes
	last=$(wc -l <"$TEST_DIR/list")
	for ((n = 2; n <= last; n += 3)); do
		inside "ALTER TABLE wide.account NO FORCE ROW LEVEL SECURITY; DROP POLICY tenant_rows ON wide.note;
			DROP INDEX wide.note_account_idx; DROP VIEW app.note"
		COPYHOLD_FAULT=kill:$n apply
		assert_exit 137
		try run undo "$(last_run)" --yes
		assert_exit 0
		apply
		assert_exit 0
		assert_settled
	done
}
