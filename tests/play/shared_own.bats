load ../lib/home
load ../lib/cluster
load ../lib/shop

# Fields and objects of a tenant's own: in spare columns, and in tables of its own.  globex is the
# neighbour that says nothing.
setup_file() {
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	copyhold apply -f "$MANIFESTS" --yes
	local tenant
	for tenant in acme globex initech; do
		as "$tenant" "INSERT INTO account (name, code) VALUES ('one', '1'), ('two', '2');
			UPDATE account SET parent = (SELECT id FROM account WHERE code = '1') WHERE code = '2';
			INSERT INTO note (account, body) SELECT id, name FROM account"
	done
	remember
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

teardown() { [ "$(everything globex)" = "$(cat "$TEST_DIR/globex")" ]; }

everything() { as "$1" "SELECT a, n FROM account a LEFT JOIN note n ON n.account = a.id ORDER BY a.id"; }

# What the neighbour has, and keeps whatever the others go through.
remember() { everything globex >"$TEST_DIR/globex"; }

# TENANT: "OBJECT.FIELD=COLUMN/GENERATION" of each field in a spare column, the free ones without name.
slots() {
	catalogue "SELECT group_concat(s, ' ') FROM (SELECT field || '=' || spare || '/' || generation AS s
		FROM slot WHERE tenant = '$1' AND object = 'account' ORDER BY spare)"
}

# TENANT: how many values of its own rows are in spare columns.
spare_values() {
	inside "SELECT count(*) FROM wide.account a, jsonb_each_text(to_jsonb(a)) v
		WHERE a._tenant = '$(catalogue "SELECT id FROM tenant WHERE name = '$1'")'
		AND v.key ~ '^_(text|integer|number|boolean|date|timestamp|uuid|json)_' AND v.value IS NOT NULL"
}

layout() { catalogue "SELECT layout || ' ' || own_views FROM tenant WHERE name = '$1'"; }

# --- spare columns ----------------------------------------------------------------------

@test "a field of its own is refused until acceptVisibleNames is said" {
	shop_fields acme "{name: x_tier, type: text}"
	sed -i '/acceptVisibleNames/d' "$MANIFESTS/acme.yaml"
	apply
	assert_exit 64
	assert_err "error[manifest]: tenant \"acme\" has fields of its own, whose names other tenants of its database can see
  where: $MANIFESTS/acme.yaml:9:5
  hint:  Add acceptVisibleNames: true if that may be so, or take mode dedicated."
	assert_equal "$(slots acme)" ""
}

@test "an own field takes a spare column; old rows have its default, and the neighbours see none" {
	shop_fields acme "{name: x_tier, type: text, default: silver}" "{name: x_visits, type: integer}"
	assert_applied
	assert_equal "$(slots acme)" "x_visits=_integer_1/1 x_tier=_text_1/1"
	assert_equal "$(layout acme)" "views 1"
	assert_equal "$(as acme "SELECT name, x_tier, x_visits FROM account ORDER BY code")" \
		$'one|silver|\ntwo|silver|'
	as acme "INSERT INTO account (name) VALUES ('three'); UPDATE account SET x_visits = 3 WHERE name = 'one'"
	assert_equal "$(as acme "SELECT x_tier FROM account WHERE name = 'three'")" silver
	run as globex "SELECT x_tier FROM account"
	assert_exit 1
	assert_contains 'column "x_tier" does not exist'
}

@test "two tenants take the same column for fields of different names" {
	shop_fields initech "{name: x_colour, type: text}"
	assert_applied
	assert_equal "$(slots initech)" "x_colour=_text_1/1"
	as initech "UPDATE account SET x_colour = 'red'"
	assert_equal "$(as acme "SELECT DISTINCT x_tier FROM account")" silver
	assert_equal "$(as initech "SELECT DISTINCT x_colour FROM account")" red
}

@test "an own field leaves only with the tenant's word and a confirmation, and its values with it" {
	shop_fields acme "{name: x_visits, type: integer}"
	apply
	assert_exit 0
	assert_contains "    - field account.x_tier: text (removes data) (kept)"
	assert_equal "$(spare_values acme)" 4
	shop_fields acme "{name: x_tier, type: text, default: silver}" "{name: x_visits, type: integer}"
	assert_applied
	assert_equal "$(as acme "SELECT DISTINCT x_tier FROM account")" silver
	shop_fields acme "{name: x_visits, type: integer}"
	sed -i 's/^spec:/&\n  drop: [account.x_tier]/' "$MANIFESTS/acme.yaml"
	apply --prune
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: Remove the data named above? Type remove:
  hint:  Say --confirm-removal if you mean it."
	apply --prune --confirm-removal
	assert_exit 0
	run as acme "SELECT x_tier FROM account"
	assert_exit 1
	assert_equal "$(spare_values acme)" 1
	assert_equal "$(as initech "SELECT DISTINCT x_colour FROM account")" red
	assert_settled
}

@test "a spare column that was given up is empty when it is taken again, a generation higher" {
	shop_fields acme "{name: x_visits, type: integer}" "{name: x_rank, type: text}"
	assert_applied
	assert_equal "$(slots acme)" "x_visits=_integer_1/1 x_rank=_text_1/2"
	assert_equal "$(as acme "SELECT count(x_rank) FROM account")" 0
}

@test "an indexed own field gets an index that begins with the tenant" {
	shop_fields acme "{name: x_visits, type: integer, indexed: true}" "{name: x_rank, type: text}"
	assert_applied
	assert_equal "$(inside "SELECT count(*) FROM pg_indexes
		WHERE schemaname = 'wide' AND indexdef LIKE '%(_tenant, _integer_1)%'")" 1
	assert_equal "$(as acme "SELECT name FROM account WHERE x_visits = 3")" one
}

@test "more fields than there are spare columns of a type add columns online" {
	local fields=("{name: x_visits, type: integer, indexed: true}" "{name: x_rank, type: text}")
	local i before
	before=$(inside "SELECT count(*) FROM information_schema.columns
		WHERE table_schema = 'wide' AND table_name = 'account' AND column_name LIKE '\_integer\_%'")
	assert_equal "$before" 2
	for i in 2 3 4 5; do
		fields+=("{name: x_n$i, type: integer}")
	done
	shop_fields acme "${fields[@]}"
	assert_applied
	[ "$(inside "SELECT count(*) FROM information_schema.columns
		WHERE table_schema = 'wide' AND table_name = 'account' AND column_name LIKE '\_integer\_%'")" -ge 5 ]
	as acme "UPDATE account SET x_n2 = 2, x_n3 = 3, x_n4 = 4, x_n5 = 5 WHERE code = '1'"
	assert_equal "$(as acme "SELECT x_visits, x_n2, x_n3, x_n4, x_n5 FROM account WHERE code = '1'")" \
		"3|2|3|4|5"
	assert_equal "$(inside "SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide.account'::regclass
		AND attnum > 0 AND NOT attisdropped AND attname <> '_tenant' AND attstattarget <> 0")" 0
}

# --- tables of its own ------------------------------------------------------------------

@test "a unique own field turns to tables of its own, with the rows and what they refer to" {
	local before
	before=$(as initech "SELECT id, name, code, parent, x_colour FROM account ORDER BY id")
	shop_fields initech "{name: x_colour, type: text}" "{name: x_tax, type: text, maxLength: 20, unique: true}"
	try plan -f "$MANIFESTS"
	assert_contains "    ~ tables initech: shared -> its own"
	assert_applied
	assert_equal "$(layout initech)" "tables 0"
	assert_equal "$(as initech "SELECT id, name, code, parent, x_colour FROM account ORDER BY id")" "$before"
	assert_equal "$(as initech "SELECT count(*) FROM note n JOIN account a ON a.id = n.account")" 2
	assert_equal "$(inside "SELECT (SELECT count(*) FROM wide.account WHERE _tenant = of_it)
		+ (SELECT count(*) FROM wide.note WHERE _tenant = of_it)
		FROM (VALUES ('$(catalogue "SELECT id FROM tenant WHERE name = 'initech'")')) t (of_it)")" 0
	as initech "UPDATE account SET x_tax = 'T1' WHERE code = '1'"
	run as initech "UPDATE account SET x_tax = 'T1'"
	assert_exit 1
	assert_contains 'duplicate key value violates unique constraint "account_x_tax_key"'
	run as initech "INSERT INTO note (account) VALUES ('00000000-0000-4000-8000-000000000009')"
	assert_exit 1
	assert_contains 'violates foreign key constraint "note_account_fkey"'
}

@test "its rows are no other tenant's to see, and no other's name leads there" {
	local schema
	schema=app_$(catalogue "SELECT id FROM tenant WHERE name = 'initech'")
	run as globex "SELECT count(*) FROM $schema.account"
	assert_exit 1
	assert_contains "permission denied for schema $schema"
	as initech "DELETE FROM account WHERE code = '1'"
	assert_equal "$(as initech "SELECT count(*), count(parent) FROM account")" "1|0"
	assert_equal "$(as initech "SELECT count(*) FROM note")" 1
}

@test "it keeps its tables when the field that asked for them goes" {
	shop_fields initech "{name: x_colour, type: text}"
	sed -i 's/^spec:/&\n  drop: [account.x_tax]/' "$MANIFESTS/initech.yaml"
	apply --prune --confirm-removal
	assert_exit 0
	assert_equal "$(layout initech)" "tables 0"
	assert_equal "$(as initech "SELECT x_colour FROM account")" red
	assert_settled
}

@test "an object of its own makes tables of its own, and may refer to the model's" {
	shop_tenant late '  objects:
    - name: x_contract
      fields:
        - {name: account, type: reference, to: account, required: true, onDelete: cascade}'
	assert_applied
	assert_equal "$(layout late)" "tables 0"
	as late "INSERT INTO account (name) VALUES ('a'); INSERT INTO x_contract (account) SELECT id FROM account"
	run as late "INSERT INTO x_contract (account) VALUES (NULL)"
	assert_exit 1
	as late "DELETE FROM account"
	assert_equal "$(as late "SELECT count(*) FROM x_contract")" 0
}

@test "a new version of the model reaches tenants of every kind in one apply" {
	sed -i 's/version: 1/version: 2/; s/maxLength: 80/maxLength: 90/; s/- {name: city, .*/&\n        - {name: zip, type: text, maxLength: 10, default: none}/' "$MANIFESTS/model.yaml"
	assert_applied
	local tenant
	for tenant in acme initech; do
		assert_equal "$(as "$tenant" "SELECT DISTINCT zip FROM account")" none
		as "$tenant" "UPDATE account SET name = repeat('x', 90) WHERE code = '2'"
	done
	assert_equal "$(as late "SELECT count(zip) FROM account")" 0
	assert_equal "$(as globex "SELECT DISTINCT zip FROM account")" none
	remember
}

@test "a tenant with a field in a spare column turns to tables of its own while the model changes" {
	sed -i 's/version: 2/version: 3/; s/maxLength: 90/maxLength: 95/; s/maxLength: 40/maxLength: 41/' \
		"$MANIFESTS/model.yaml"
	shop_fields acme "{name: x_visits, type: integer, indexed: true}" "{name: x_rank, type: text}" \
		"{name: x_n2, type: integer}" "{name: x_n3, type: integer}" "{name: x_n4, type: integer}" \
		"{name: x_n5, type: integer, unique: true}"
	assert_applied
	assert_equal "$(layout acme)" "tables 0"
	assert_equal "$(as acme "SELECT x_visits, x_n2, x_n3, x_n4, x_n5 FROM account WHERE code = '1'")" \
		"3|2|3|4|5"
	assert_equal "$(spare_values acme)" 0
	remember
}

@test "a turn that the data forbids is taken back with every row where it was" {
	shop_fields globex "{name: x_code, type: text}"
	assert_applied
	as globex "UPDATE account SET x_code = 'same'"
	local before
	before=$(as globex "SELECT id, name, x_code FROM account ORDER BY id")
	shop_fields globex "{name: x_code, type: text, maxLength: 20, unique: true}"
	apply
	assert_exit 5
	assert_contains 'error[data-forbids]: "account.x_code" has 1 value that occurs more than once, in 2 rows' "$stderr"
	assert_equal "$(layout globex)" "views 1"
	assert_equal "$(as globex "SELECT id, name, x_code FROM account ORDER BY id")" "$before"
	shop_fields globex "{name: x_code, type: text}"
	assert_settled
	remember
}

@test "a purge of a tenant with tables of its own takes its schema and its roles" {
	local id
	id=$(catalogue "SELECT id FROM tenant WHERE name = 'initech'")
	try tenant delete initech --now --no-backup --confirm initech --yes
	assert_exit 0
	assert_equal "$(inside "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%$id%'")" 0
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%$id%'")" 0
	rm "$MANIFESTS/initech.yaml"
	assert_settled
}
