# Tenants of one shared database, full of canaries: what each of them may read, try and break leads
# to no value of another; suspending and purging one touches no other.

load ../lib/home
load ../lib/cluster

setup_file() {
	export VENDOR_PASSWORD=vendor-canary-77aa
	clusters_setup
	cluster_start vendor
	home_setup
	manifests
	copyhold init
	copyhold cluster setup-script vendor -f "$TEST_DIR/m" | su_psql vendor -
	copyhold apply -f "$TEST_DIR/m" --yes --quiet
	DB=$(copyhold tenant show acme -o json | jq -r .database)
	export DB
	fill acme bexo cany dory rented
	su_psql vendor "ANALYZE" "$DB"
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

tenant() {
	cat <<-END
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: $1}
		spec: {model: crm, mode: ${2-shared}, cluster: vendor${3-}}
	END
}

manifests() {
	mkdir "$TEST_DIR/m"
	{
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
			  modes: [shared, dedicated]
			  capacity: 10
			  connect:
			    host: 127.0.0.1
			    port: $(cluster_port vendor)
			    password: {secretRef: "env:VENDOR_PASSWORD"}
			---
			apiVersion: copyhold/v1
			kind: Model
			metadata: {name: crm}
			spec:
			  version: 1
			  objects:
			    - name: account
			      fields:
			        - {name: name, type: text, maxLength: 80, required: true}
			        - {name: email, type: text, maxLength: 100, unique: true}
			        - {name: parent, type: reference, to: account, onDelete: set-null}
			    - name: contact
			      key: [number]
			      fields:
			        - {name: number, type: integer}
			        - {name: account, type: reference, to: account, required: true, onDelete: cascade}
			        - {name: note, type: text, maxLength: 200, indexed: true}
		END
		tenant acme
		tenant bexo
		tenant cany shared ", acceptVisibleNames: true, fields: {account: [{name: x_colour, type: text}]}"
		tenant dory shared ", acceptVisibleNames: true, fields: {account: [{name: x_code, type: text, maxLength: 9, unique: true}]}"
		tenant rented dedicated
	} >"$TEST_DIR/m/all.yaml"
}

# TENANT [ARGUMENT...]: psql as its login.
as_tenant() {
	local uri
	uri=$(copyhold route resolve "$1" --direct)
	psql -XqAt "$uri" "${@:2}"
}

# TENANT...: three hundred rows each, every value with the tenant's canary in it.
fill() {
	local name
	for name; do
		as_tenant "$name" -v ON_ERROR_STOP=1 <<-END
			INSERT INTO account (name, email)
				SELECT 'canary-$name-' || i, 'canary-$name-' || i || '@example.org' FROM generate_series(1, 300) i;
			UPDATE account SET parent = (SELECT min(id::text)::uuid FROM account);
			INSERT INTO contact (number, account, note)
				SELECT hashtext('$name') + row_number() OVER (), id, 'canary-$name' FROM account;
		END
	done
	as_tenant cany -c "UPDATE account SET x_colour = 'canary-cany'"
	as_tenant dory -c "UPDATE account SET x_code = substr(id::text, 1, 8)"
}

# What a tenant has, without saying it.
digest() {
	as_tenant "$1" -c "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM (SELECT a::text FROM account a UNION ALL SELECT c::text FROM contact c) t"
}

# Without the random names that tenants have there: they may have any of these names in them.
without_ids() {
	local id script=()
	while read -r id; do
		script+=(-e "s/$id//g")
	done < <(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT id FROM tenant UNION SELECT id FROM shared")
	sed "${script[@]}"
}

no_canary_but() {
	! grep -o 'canary-[a-z]*' "$2" | grep -v "^canary-$1\$"
}

@test "every tenant works, is isolated, and all was tried" {
	local name
	for name in acme bexo cany dory rented; do
		try tenant verify "$name" -o json
		assert_exit 0
		assert_lacks FAILED
		assert_lacks '"not tried"'
		assert_lacks canary-
	done
}

@test "each tenant sees its own rows and as many as it has" {
	local name
	for name in acme bexo cany dory rented; do
		run as_tenant "$name" -c "SELECT count(*), count(*) FILTER (WHERE name LIKE 'canary-$name-%') FROM account"
		assert_out "300|300"
	done
}

@test "whatever a tenant can read in the whole database, no value of another is in it" {
	local name queries=$BATS_TEST_TMPDIR/queries.sql
	su_psql vendor "SELECT 'SELECT r::text FROM ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' r;'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname !~ '^pg_(toast|temp)'" "$DB" >"$queries"
	[ "$(wc -l <"$queries")" -gt 200 ]
	for name in acme cany dory; do
		as_tenant "$name" -f "$queries" >"$BATS_TEST_TMPDIR/$name" 2>&1
		grep -q "canary-$name" "$BATS_TEST_TMPDIR/$name"
		no_canary_but "$name" "$BATS_TEST_TMPDIR/$name"
		run ! grep -E 'acme|bexo|cany|dory|rented' <(grep -v canary- "$BATS_TEST_TMPDIR/$name" | without_ids)
	done
}

@test "a dump brings a tenant's rows at most" {
	local uri
	uri=$(copyhold route resolve acme --direct)
	pg_dump "$uri" >"$BATS_TEST_TMPDIR/dump" 2>&1 || true
	pg_dump --enable-row-security "$uri" >>"$BATS_TEST_TMPDIR/dump" 2>&1 || true
	no_canary_but acme "$BATS_TEST_TMPDIR/dump"
	as_tenant acme -c "\\copy (SELECT * FROM account) TO STDOUT" >"$BATS_TEST_TMPDIR/copy"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/copy")" = 300 ]
	no_canary_but acme "$BATS_TEST_TMPDIR/copy"
}

@test "what a tenant tries against its neighbour is refused, and says nothing of it" {
	local key id
	id=$(su_psql vendor "SELECT id FROM wide.account WHERE name = 'canary-bexo-1'" "$DB")
	key=$(su_psql vendor "SELECT number FROM wide.contact WHERE account = '$id'" "$DB")
	as_tenant acme >"$BATS_TEST_TMPDIR/said" 2>&1 <<-END || true
		\\set VERBOSITY verbose
		INSERT INTO contact (number, account) VALUES (1, '$id');
		INSERT INTO account (id, name, email) VALUES ('$id', 'x', 'canary-bexo-1@example.org');
		INSERT INTO account (id, name) VALUES ('$id', 'x');
		UPDATE account SET name = 'mine' WHERE id = '$id';
		DELETE FROM account WHERE name = 'mine';
		UPDATE contact SET account = gen_random_uuid() WHERE number = $key;
		SELECT * FROM wide.account;
		SET ROLE ${DB}_k;
		SET ROLE ${DB}_o;
		SELECT count(*) FROM account;
	END
	run cat "$BATS_TEST_TMPDIR/said"
	assert_contains '23503'
	assert_contains '23505'
	assert_contains 'permission denied for schema wide'
	assert_contains "permission denied to set role \"${DB}_k\""
	assert_contains "permission denied to set role \"${DB}_o\""
	assert_contains 300
	assert_lacks canary-bexo-1
	run as_tenant bexo -c "SELECT count(*) FROM account WHERE name LIKE 'canary-bexo-%'"
	assert_out 300
}

@test "a tenant with a database of its own cannot enter the shared one" {
	local uri
	uri=$(copyhold route resolve rented --direct)
	PGPASSWORD=$(cut -d: -f5 "$COPYHOLD_HOME/run/pass/rented.app")
	export PGPASSWORD
	run psql -XqAt "$uri" -c "\\connect $DB"
	unset PGPASSWORD
	assert_contains "permission denied for database \"$DB\""
}

@test "one tenant suspended leaves its neighbours alone, and comes back with all it had" {
	local before
	before=$(digest bexo)
	try tenant suspend bexo --yes
	assert_exit 0
	run as_tenant bexo -c "SELECT 1"
	[ "$status" != 0 ]
	run as_tenant acme -c "SELECT count(*) FROM account"
	assert_out 300
	try plan -f "$TEST_DIR/m" --detailed-exitcode
	assert_exit 0
	try tenant resume bexo --yes
	assert_exit 0
	assert_equal "$(digest bexo)" "$before"
}

@test "a tenant that turns to tables of its own takes its rows along" {
	local bexo
	bexo=$(digest bexo)
	sed -i 's/{name: x_colour, type: text}/&, {name: x_tag, type: text, maxLength: 20, unique: true}/' \
		"$TEST_DIR/m/all.yaml"
	try apply -f "$TEST_DIR/m" --yes
	assert_exit 0
	run as_tenant cany -c "SELECT count(*), count(x_colour), count(x_tag) FROM account"
	assert_out "300|300|0"
	run as_tenant cany -c "SELECT count(*) FROM contact c JOIN account a ON a.id = c.account"
	assert_out 300
	run su_psql vendor "SELECT count(*) FROM wide.account WHERE name LIKE 'canary-cany-%'" "$DB"
	assert_out 0
	assert_equal "$(digest bexo)" "$bexo"
	try plan -f "$TEST_DIR/m" --detailed-exitcode
	assert_exit 0
	try tenant verify cany -o json
	assert_exit 0
	assert_lacks FAILED
}

@test "a purge takes one tenant's rows and no other's" {
	local acme cany dory role
	role=$(as_tenant bexo -c "SELECT session_user")
	acme=$(digest acme) cany=$(digest cany) dory=$(digest dory)
	try tenant delete bexo --hand-back --yes
	assert_exit 1
	assert_contains 'error[refused]: tenant "bexo" is shared' "$stderr"
	try tenant delete bexo --now --no-backup --confirm bexo --yes
	assert_exit 0
	run su_psql vendor "SELECT count(*) FROM pg_roles WHERE rolname = '$role'"
	assert_out 0
	run su_psql vendor "SELECT (SELECT count(*) FROM wide.account WHERE name LIKE 'canary-bexo-%')
		+ (SELECT count(*) FROM wide.contact WHERE note = 'canary-bexo')" "$DB"
	assert_out 0
	assert_equal "$(digest acme)" "$acme"
	assert_equal "$(digest cany)" "$cany"
	assert_equal "$(digest dory)" "$dory"
	try tenant verify acme -o json
	assert_exit 0
}

@test "no value of a tenant is in the home, and no tenant's name on the server" {
	run ! grep -r canary- "$COPYHOLD_HOME"
	run su_psql vendor "SELECT string_agg(rolname, ' ') || (SELECT string_agg(datname, ' ') FROM pg_database) FROM pg_roles"
	output=$(without_ids <<<"$output")
	assert_lacks acme
	assert_lacks dory
}
