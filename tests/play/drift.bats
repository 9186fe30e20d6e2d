load ../lib/home
load ../lib/cluster
load ../lib/estate

# One tenant of each mode, changed by hand again and again: each test leaves them as they should be.
setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	copyhold apply -f "$MANIFESTS" --yes
	DB=$(copyhold tenant show globex -o json | jq -r .database)
	ROLE=$(copyhold tenant show globex -o json | jq -r '.logins[0].role')
	OWNER=$(copyhold tenant show globex -o json | jq -r .owner)
	export DB ROLE OWNER
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# A test that failed must not fail the next ones.
teardown() {
	[ -n "${BATS_TEST_COMPLETED-}" ] || copyhold apply -f "$MANIFESTS" --prune --yes --confirm-removal || true
}

plan() { try plan -f "$MANIFESTS" --detailed-exitcode; }

# The lines of a plan that tell what differs, without the steps behind it.
differences() { grep -E '^ {4}[-+~] |^ {8}[a-z]' <<<"$output"; }

# TENANT LINES: the plan says these lines of that tenant alone.
assert_plan() {
	plan
	assert_exit 2
	assert_contains "tenant $1: "
	assert_equal "$(grep -c '^. tenant' <<<"$output")" 1
	assert_equal "$(differences)" "$2"
}

assert_mended() {
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	plan
	assert_exit 0
	assert_out "nothing to do: 8 as they should be"
}

# SQL LINES: done by hand in globex's database it is told so, and mended.
drift() {
	su_psql bj-1 "$1" "$DB"
	assert_plan globex "$2"
	assert_mended
}

# SQL LINES BACK: told, but left to a person, who takes it back.
drift_kept() {
	su_psql bj-1 "$1" "$DB"
	assert_plan globex "$2"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_plan globex "$2"
	su_psql bj-1 "$3" "$DB"
	plan
	assert_exit 0
}

@test "a fresh estate has nothing to mend" {
	plan
	assert_exit 0
	assert_out "nothing to do: 8 as they should be"
	assert_err ""
}

@test "a dropped column comes back with its limit" {
	drift "ALTER TABLE app.contact DROP COLUMN phone" \
		"    + field contact.phone: text(40) (changed by hand)
    + limit contact.phone: 40 characters (changed by hand)"
}

@test "a dropped table comes back" {
	drift "DROP TABLE app.activity" "    + object activity: 13 fields (changed by hand)"
	assert_equal "$(su_psql bj-1 "SELECT count(*) FROM pg_constraint
		WHERE conrelid = 'app.activity'::regclass AND contype = 'f'" "$DB")" 3
}

@test "a dropped default, one that was added, and one that was changed are mended" {
	drift "ALTER TABLE app.contact ALTER locale DROP DEFAULT" \
		"    + default contact.locale: en (changed by hand)"
	drift "ALTER TABLE app.contact ALTER phone SET DEFAULT '0'" \
		"    - default contact.phone: '0'::\"text\" (changed by hand)"
	drift "ALTER TABLE app.contact ALTER locale SET DEFAULT 'de'" \
		"    ~ default contact.locale: 'de'::\"text\" -> en (changed by hand)"
}

@test "NOT NULL that is gone and NOT NULL that was added are mended" {
	drift "ALTER TABLE app.contact ALTER locale DROP NOT NULL" \
		"    + required contact.locale: required (changed by hand)"
	drift "ALTER TABLE app.contact ALTER phone SET NOT NULL" \
		"    - required contact.phone: not null (changed by hand)"
}

@test "a dropped limit, unique rule, reference and key come back" {
	drift "ALTER TABLE app.contact DROP CONSTRAINT contact_phone_max" \
		"    + limit contact.phone: 40 characters (changed by hand)"
	drift "ALTER TABLE app.contact DROP CONSTRAINT contact_email_key" \
		"    + unique contact.email: contact_email_key (changed by hand)"
	drift "ALTER TABLE app.contact DROP CONSTRAINT contact_account_fkey" \
		"    + reference contact.account: account, on delete cascade (changed by hand)"
	drift "SET client_min_messages = error; ALTER TABLE app.contact DROP CONSTRAINT contact_pkey CASCADE" \
		"    + key contact: PRIMARY KEY (\"id\") (changed by hand)
    + reference account.main_contact: contact, on delete set-null (changed by hand)
    + reference opportunity.contact: contact, on delete set-null (changed by hand)
    + reference activity.contact: contact, on delete set-null (changed by hand)"
}

@test "a constraint and an index that no manifest names are removed" {
	drift "ALTER TABLE app.contact ADD CONSTRAINT mine CHECK (phone <> '')" \
		"    - constraint mine: CHECK ((\"phone\" <> ''::\"text\")) (changed by hand)"
	drift "CREATE UNIQUE INDEX mine ON app.contact (last_name)" \
		"    - index mine: CREATE UNIQUE INDEX \"mine\" ON \"app\".\"contact\" USING \"btree\" (\"last_name\") (changed by hand)"
}

@test "a dropped index comes back" {
	drift "DROP INDEX app.contact_account_idx" \
		"    + index contact.account: contact_account_idx (changed by hand)"
	assert_equal "$(su_psql bj-1 "SELECT indisvalid FROM pg_index
		WHERE indexrelid = 'app.contact_account_idx'::regclass" "$DB")" t
}

@test "a changed type is mended with the data in it" {
	su_psql bj-1 "INSERT INTO app.account (id, name, country)
			VALUES ('00000000-0000-4000-8000-000000000001', 'Kept', 'DE');
		INSERT INTO app.contact (account, first_name, last_name, phone)
			VALUES ('00000000-0000-4000-8000-000000000001', 'K', 'Ept', '+49')" "$DB"
	drift "ALTER TABLE app.contact ALTER phone TYPE varchar(10)" \
		"    ~ field contact.phone: character varying(10) COLLATE \"default\" -> text(40) (changed by hand)
    ~ limit contact.phone: CHECK ((\"char_length\"((\"phone\")::\"text\") <= 40)) -> 40 characters (changed by hand)"
	assert_equal "$(su_psql bj-1 "SELECT phone FROM app.contact" "$DB")" +49
}

@test "an unlogged table is logged again" {
	drift "ALTER TABLE app.activity SET UNLOGGED" \
		"    ~ object activity: owner $OWNER, unlogged -> owner $OWNER (changed by hand)"
}

@test "extra grants on a table, a column, a schema and the database are taken back" {
	drift "GRANT SELECT ON app.contact TO PUBLIC" \
		"    - grant contact to PUBLIC: SELECT (changed by hand)"
	drift "GRANT TRUNCATE ON app.contact TO $ROLE" \
		"    ~ grant contact to $ROLE: DELETE,INSERT,SELECT,TRUNCATE,UPDATE -> DELETE,INSERT,SELECT,UPDATE (changed by hand)"
	drift "GRANT UPDATE (phone) ON app.contact TO PUBLIC" \
		"    - strange column rights phone (contact): for PUBLIC (changed by hand)"
	drift "GRANT CREATE ON SCHEMA app TO $ROLE" \
		"    ~ schema grant app to $ROLE: CREATE,USAGE -> USAGE (changed by hand)"
	drift "GRANT USAGE ON SCHEMA copyhold TO $ROLE" \
		"    - schema grant copyhold to $ROLE: USAGE (changed by hand)"
	drift "GRANT CONNECT ON DATABASE $DB TO PUBLIC" \
		"    - grant $DB.PUBLIC: CONNECT (changed by hand)"
	drift "ALTER DEFAULT PRIVILEGES FOR ROLE $OWNER GRANT SELECT ON TABLES TO PUBLIC" \
		"    - strange default rights r of $OWNER: for objects to come (changed by hand)"
}

@test "grants that are missing are given again" {
	drift "REVOKE SELECT ON app.contact FROM $ROLE" \
		"    ~ grant contact to $ROLE: DELETE,INSERT,UPDATE -> DELETE,INSERT,SELECT,UPDATE (changed by hand)"
	drift "REVOKE CONNECT ON DATABASE $DB FROM $ROLE" \
		"    + grant $DB.$ROLE: CONNECT (changed by hand)"
}

@test "settings of a role and of a database are mended" {
	drift "ALTER ROLE $ROLE SET search_path = public" \
		"    ~ setting $ROLE.search_path: public -> app (changed by hand)"
	drift "ALTER ROLE $ROLE SET work_mem = '1GB'" \
		"    - setting $ROLE.work_mem: 1GB (changed by hand)"
	drift "ALTER ROLE $ROLE RESET TimeZone" \
		"    + setting $ROLE.TimeZone: UTC (changed by hand)"
	drift "ALTER ROLE $ROLE IN DATABASE $DB SET search_path = public" \
		"    - setting $ROLE.search_path@$DB: public (changed by hand)"
	drift "ALTER DATABASE $DB SET search_path = public" \
		"    - setting search_path@$DB: public (changed by hand)"
}

@test "attributes and memberships of roles are mended" {
	drift "ALTER ROLE $ROLE CREATEDB" \
		"    ~ role $ROLE: login, createdb, connections 50 -> login, connections 50 (changed by hand)"
	drift "ALTER ROLE $ROLE CONNECTION LIMIT 3" \
		"    ~ role $ROLE: login, connections 3 -> login, connections 50 (changed by hand)"
	drift "ALTER ROLE $OWNER LOGIN PASSWORD 'x'" \
		"    ~ role $OWNER: login -> nologin (changed by hand)"
	drift "SET ROLE copyhold; GRANT $OWNER TO $ROLE" \
		"    - member $OWNER.$ROLE:  (changed by hand)"
}

# Since PostgreSQL 16 a membership is its grantor's to take back.
@test "a membership that a superuser gave is mended where the server lets us, else told" {
	if [ "$(su_psql bj-1 "SELECT current_setting('server_version_num')::int < 160000")" = t ]; then
		drift "GRANT pg_monitor TO $ROLE" "    - member pg_monitor.$ROLE:  (changed by hand)"
	else
		drift_kept "GRANT pg_monitor TO $ROLE" \
			"    - member pg_monitor.$ROLE (of another grantor):  (changed by hand) (kept)
        only who granted it can take it back" "REVOKE pg_monitor FROM $ROLE"
	fi
}

@test "a login that was turned off by hand works again" {
	drift "ALTER ROLE $ROLE NOLOGIN" \
		"    ~ role $ROLE: nologin, connections 50 -> login, connections 50 (changed by hand)
    ~ password app (changed by hand)"
	drift "ALTER ROLE $ROLE VALID UNTIL '2001-01-01'" \
		"    ~ role $ROLE: login, connections 50, valid until 2001-01-01 00:00 -> login, connections 50 (changed by hand)
    ~ password app (changed by hand)"
	assert_equal "$(psql -X -At "$(copyhold route resolve globex --direct)" -c "SELECT 1")" 1
}

@test "a password that the login changed itself is set again, in both modes" {
	local tenant uri
	for tenant in globex acme; do
		uri=$(copyhold route resolve "$tenant" --direct)
		psql -X "$uri" -c "ALTER ROLE CURRENT_USER PASSWORD 'stolen'"
		run psql -X -At "$uri" -c "SELECT 1"
		assert_exit 2
		assert_plan "$tenant" "    ~ password app (changed by hand)"
		assert_mended
		uri=$(copyhold route resolve "$tenant" --direct)
		assert_equal "$(psql -X -At "$uri" -c "SELECT 1")" 1
	done
}

@test "a trigger, a rule and row security on a tenant's table are removed" {
	su_psql bj-1 "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.spy() RETURNS trigger
		LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'" "$DB"
	su_psql bj-1 "CREATE TRIGGER spy BEFORE INSERT ON app.contact
		FOR EACH ROW EXECUTE FUNCTION elsewhere.spy()" "$DB"
	plan
	assert_exit 2
	assert_contains "    - strange trigger spy (contact): on a table (changed by hand)"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(su_psql bj-1 "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal" "$DB")" 0
	su_psql bj-1 "SET client_min_messages = error; DROP SCHEMA elsewhere CASCADE" "$DB"
	drift "CREATE RULE keep AS ON DELETE TO app.contact DO INSTEAD NOTHING" \
		"    - strange rule keep (contact): on a table (changed by hand)"
	drift "ALTER TABLE app.contact ENABLE ROW LEVEL SECURITY" \
		"    - strange row security (contact): is on (changed by hand)"
}

@test "what may hold data is told and kept: a table and a column" {
	drift_kept "CREATE TABLE app.extra (n int)" \
		"    - object extra: owner postgres (changed by hand) (removes data) (kept)
        not of the model: --prune removes it" "DROP TABLE app.extra"
	drift_kept "ALTER TABLE app.contact ADD extra int" \
		"    - field contact.extra: integer (changed by hand) (removes data) (kept)
        not of the model: --prune removes it" "ALTER TABLE app.contact DROP extra"
}

@test "with --prune a column that no manifest names is removed" {
	su_psql bj-1 "ALTER TABLE app.contact ADD extra int" "$DB"
	try apply -f "$MANIFESTS" --prune --yes
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: Remove the data named above? Type remove:
  hint:  Say --confirm-removal if you mean it."
	try apply -f "$MANIFESTS" --prune --yes --confirm-removal
	assert_exit 0
	plan
	assert_exit 0
}

@test "what only a superuser could take back is told and kept" {
	drift_kept "CREATE TABLE public.extra (n int)" \
		"    - strange table extra (public): beside the objects, owner postgres (changed by hand) (kept)
        only its owner or a superuser can remove it" "DROP TABLE public.extra"
	drift_kept "CREATE SCHEMA spy" \
		"    - strange schema spy: beside \"app\", owner postgres (changed by hand) (kept)
        only its owner or a superuser can remove it" "DROP SCHEMA spy"
	drift_kept "CREATE VIEW app.v AS SELECT 1 AS n" \
		"    - strange view v (app): beside the objects, owner postgres (changed by hand) (kept)
        only its owner or a superuser can remove it" "DROP VIEW app.v"
	drift_kept "ALTER ROLE $ROLE SUPERUSER" \
		"    ~ role $ROLE: login, superuser, connections 50 -> login, connections 50 (changed by hand) (kept)
        only a superuser can take NOSUPERUSER NOREPLICATION NOBYPASSRLS back" \
		"ALTER ROLE $ROLE NOSUPERUSER"
}

@test "a role that is gone is made again with its rights and its password" {
	su_psql bj-1 "ALTER ROLE $ROLE RENAME TO gone" "$DB"
	plan
	assert_exit 2
	assert_contains "    + role $ROLE: login, connections 50 (changed by hand)"
	assert_contains "    ~ password app (changed by hand)"
	assert_mended
	assert_equal "$(psql -X -At "$(copyhold route resolve globex --direct)" -c "SELECT current_user")" "$ROLE"
}

@test "a database that is gone is never made again silently" {
	local other
	other=$(copyhold tenant show initech -o json | jq -r .database)
	su_psql bj-1 "ALTER DATABASE $other RENAME TO away"
	plan
	assert_exit 1
	assert_err "error[different]: database \"$other\" of tenant \"initech\" is gone from \"bj-1\"
  while: looking at tenant \"initech\" (mode dedicated)
  hint:  Restore it from a backup, or give the tenant up: copyhold tenant delete."
	su_psql bj-1 "ALTER DATABASE away RENAME TO $other"
	plan
	assert_exit 0
}

@test "on the customer's server too a dropped column comes back" {
	su_psql acme-db "ALTER TABLE app.contact DROP COLUMN phone" acme
	assert_plan acme "    + field contact.phone: text(40) (changed by hand)
    + limit contact.phone: 40 characters (changed by hand)"
	assert_mended
}

@test "the plan as JSON marks what was changed by hand" {
	su_psql bj-1 "DROP INDEX app.contact_account_idx" "$DB"
	try plan -f "$MANIFESTS" -o json
	assert_exit 0
	assert_equal "$(jq -cS .counts <<<"$output")" \
		'{"add":0,"change":1,"drift":1,"failed":0,"kept":0,"remove":0,"unchanged":7}'
	assert_equal "$(jq -c '.entries[] | select(.op == "change") | .changes[0] | [.op, .what, .name, .drift]' <<<"$output")" \
		'["add","index","contact.account",true]'
	assert_mended
}
