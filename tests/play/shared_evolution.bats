load ../lib/home
load ../lib/cluster
load ../lib/shop
load ../lib/wait

# A shared database that all its tenants write to all the time: acme is on the common views, globex has
# a field in a spare column, initech tables of its own.
setup_file() {
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	shop_fields globex "{name: x_tier, type: text}"
	shop_fields initech "{name: x_tax, type: text, maxLength: 20, unique: true}"
	copyhold apply -f "$MANIFESTS" --yes
	DB=$(shop_database)
	export DB
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

teardown() {
	: >"$TEST_DIR/enough"
	exec 7>&-
	[ -z "${HOLDER-}" ] || kill "$HOLDER" 2>/dev/null || true
	wait
}

# Writes until it is told to end; what fails goes to $TEST_DIR/TENANT.failed.
writer() {
	local uri
	uri=$(copyhold route resolve "$1" --direct)
	while [ ! -e "$TEST_DIR/enough" ]; do
		echo "BEGIN; INSERT INTO account (name) VALUES ('w');
			UPDATE account SET city = 'X' WHERE id = (SELECT id FROM account LIMIT 1);
			INSERT INTO note (account, body) SELECT id, 'n' FROM account LIMIT 1; COMMIT;"
	done | psql -X -q -At "$uri" 2>"$TEST_DIR/$1.failed" >"$TEST_DIR/$1.said"
}

rows_of() { as "$1" "SELECT count(*) FROM account"; }

has_more() { [ "$(rows_of "$1")" -gt "$2" ]; }

# OPTION...: an apply while all three write; no statement of theirs fails, and each goes on after it.
evolve() {
	local tenant before
	rm -f "$TEST_DIR/enough"
	for tenant in acme globex initech; do
		as "$tenant" "DELETE FROM note; DELETE FROM account"
		writer "$tenant" 3>&- &
	done
	for tenant in acme globex initech; do
		until_true has_more "$tenant" 0
	done
	apply "$@"
	for tenant in acme globex initech; do
		before=$(rows_of "$tenant")
		until_true has_more "$tenant" "$before"
	done
	: >"$TEST_DIR/enough"
	wait
	assert_exit 0
	assert_equal "$(cat "$TEST_DIR"/{acme,globex,initech}.failed)" ""
}

all() {
	local tenant
	for tenant in acme globex initech; do
		as "$tenant" "$1"
	done | paste -sd ' '
}

model() { sed -i "$1" "$MANIFESTS/model.yaml"; }

invalid_indexes() { inside "SELECT count(*) FROM pg_index WHERE NOT indisvalid"; }

# --- while they write -------------------------------------------------------------------

@test "a required field with a default is added while all write, and old rows have it" {
	model 's/version: 1/version: 2/
		s/- {name: city, .*/&\n        - {name: rating, type: integer, required: true, default: 3}/'
	evolve
	assert_settled
	assert_equal "$(all "SELECT DISTINCT rating FROM account")" "3 3 3"
}

@test "a text is widened, an index built and a unique rule built while all write" {
	model 's/version: 2/version: 3/
		s/{name: name, type: text, maxLength: 80/{name: name, type: text, maxLength: 120/
		s/{name: city, type: text, maxLength: 40}/{name: city, type: text, maxLength: 40, indexed: true}/
		s/- {name: city, .*/&\n        - {name: serial, type: uuid, unique: true}/'
	evolve
	assert_settled
	assert_equal "$(invalid_indexes)" 0
	assert_equal "$(inside "SELECT count(*) FROM pg_constraint WHERE conname = 'account_serial_key'")" 2
	assert_equal "$(inside "SELECT pg_get_constraintdef(oid) FROM pg_constraint
		WHERE conname = 'account_serial_key' AND conrelid = 'wide.account'::regclass")" \
		"UNIQUE (_tenant, serial)"
}

@test "an object with a reference is added while all write" {
	cat >>"$MANIFESTS/model.yaml" <<-YAML
	    - name: task
	      fields:
	        - {name: title, type: text, maxLength: 80, required: true}
	        - {name: account, type: reference, to: account, onDelete: cascade}
	YAML
	model 's/version: 3/version: 4/'
	evolve
	assert_settled
	assert_equal "$(all "INSERT INTO task (title, account) SELECT 't', id FROM account LIMIT 1;
		SELECT count(*) FROM task")" "1 1 1"
}

@test "a field and an object are renamed with the data in them" {
	model 's/version: 4/version: 5/
		s/- name: task/- name: job\n      was: task/
		s/{name: title,/{name: subject, was: title,/'
	as acme "UPDATE task SET title = 'kept'"
	assert_applied
	assert_equal "$(as acme "SELECT subject FROM job")" kept
	assert_equal "$(as globex "SELECT subject FROM job")" t
}

@test "a field leaves only with the model's word and a confirmation, while all write" {
	model 's/version: 5/version: 6/; /{name: code,/d'
	try plan -f "$MANIFESTS"
	assert_exit 0
	assert_contains "    - field account.code (kept)
        the views do not show it any more; add \"account.code\" to drop and say --prune to remove it"
	model 's/^  version: 6/  version: 6\n  drop: [account.code]/'
	apply --prune
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: Remove the data named above? Type remove:
  hint:  Say --confirm-removal if you mean it."
	evolve --prune --confirm-removal
	assert_contains "    - field account.code (kept)
        tenant \"globex\" still has it: apply again when it has not"
	evolve --prune --confirm-removal
	assert_settled
	assert_equal "$(inside "SELECT count(*) FROM pg_attribute WHERE attname = 'code' AND NOT attisdropped
		AND attrelid IN (SELECT oid FROM pg_class WHERE relname = 'account')")" 0
}

# --- two versions side by side ----------------------------------------------------------

@test "one tenant goes ahead of the others, and they follow" {
	model 's/version: 6/version: 7/; s/- {name: city, .*/&\n        - {name: zip, type: text, maxLength: 20, default: none}/'
	apply -t acme
	assert_exit 0
	assert_equal "$(catalogue "SELECT name, model_version, own_views FROM tenant ORDER BY name")" \
		$'acme 7 1\nglobex 6 1\ninitech 6 0'
	as acme "INSERT INTO account (name) VALUES ('ahead')"
	assert_equal "$(as acme "SELECT zip FROM account WHERE name = 'ahead'")" none
	run as globex "SELECT zip FROM account"
	assert_exit 1
	assert_contains 'column "zip" does not exist'
	as globex "INSERT INTO account (name) VALUES ('behind')"
	evolve
	assert_settled
	assert_equal "$(catalogue "SELECT name, model_version, own_views, layout FROM tenant ORDER BY name")" \
		$'acme 7 0 views\nglobex 7 1 views\ninitech 7 0 tables'
	assert_equal "$(as globex "SELECT DISTINCT zip FROM account")" none
}

@test "what is more than an addition is refused for one tenant alone, with the reason" {
	model 's/version: 7/version: 8/; s/maxLength: 120/maxLength: 130/'
	apply -t acme
	assert_exit 1
	assert_contains 'error[refused]: version 8 of model "shop" changes "account.name", which the tenants of a shared database can only do together
  hint:  Apply it for all of them: leave --tenant out.' "$stderr"
	assert_equal "$(catalogue "SELECT DISTINCT model_version FROM tenant")" 7
	assert_equal "$(catalogue "SELECT json_extract(spec, '$.spec.version') FROM object WHERE kind = 'Model'")" 7
	assert_applied
	assert_equal "$(catalogue "SELECT DISTINCT model_version FROM tenant")" 8
}

# --- what the data forbids --------------------------------------------------------------

@test "a unique rule that rows of one tenant forbid is refused with their count, and leaves nothing" {
	all "DELETE FROM note; DELETE FROM account" >/dev/null
	as acme "INSERT INTO account (name, city) VALUES ('a', '1'), ('b', '1'), ('c', '2')"
	as globex "INSERT INTO account (name, city) VALUES ('a', '1')"
	model 's/version: 8/version: 9/; s/{name: city, type: text, maxLength: 40, indexed: true}/{name: city, type: text, maxLength: 40, unique: true}/'
	apply
	assert_exit 1
	assert_contains 'error[data-forbids]: "account.city" has 1 value that occurs more than once, in 2 rows' "$stderr"
	assert_equal "$(invalid_indexes)" 0
	assert_equal "$(inside "SELECT count(*) FROM pg_class WHERE relname = 'account_city_key'")" 0
	as acme "UPDATE account SET city = '3' WHERE name = 'b'"
	assert_applied
	assert_equal "$(inside "SELECT count(*) FROM pg_constraint WHERE conname = 'account_city_key'")" 2
}

@test "a unique rule that is broken while its index is built fails and leaves no invalid index" {
	local uri
	model 's/version: 9/version: 10/; s/{name: zip, type: text, maxLength: 20, default: none}/{name: zip, type: text, maxLength: 20, default: none, unique: true}/'
	all "DELETE FROM note; DELETE FROM account" >/dev/null
	as acme "INSERT INTO account (name, zip) VALUES ('a', 'same')"
	uri=$(copyhold route resolve acme --direct)
	mkfifo "$TEST_DIR/hold"
	psql -X -q "$uri" <"$TEST_DIR/hold" >/dev/null 2>&1 3>&- &
	exec 7>"$TEST_DIR/hold"
	echo "BEGIN; INSERT INTO account (name, zip) VALUES ('b', 'same');" >&7
	until_true has_written
	"$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes >"$TEST_DIR/apply.out" 2>"$TEST_DIR/apply.err" 3>&- 7>&- &
	HOLDER=$!
	until_true index_is_building
	echo "COMMIT;" >&7
	exec 7>&-
	status=0
	wait "$HOLDER" || status=$?
	HOLDER=
	output=$(cat "$TEST_DIR/apply.out") stderr=$(cat "$TEST_DIR/apply.err")
	[ "$status" != 0 ]
	assert_contains "error[data-forbids]: " "$stderr"
	assert_equal "$(invalid_indexes)" 0
	assert_equal "$(inside "SELECT count(*) FROM pg_class WHERE relname LIKE 'account_zip_key%'")" 0
	as acme "DELETE FROM account WHERE name = 'b'"
	assert_applied
}

has_written() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity WHERE datname = '$DB'
		AND state = 'idle in transaction' AND query LIKE 'INSERT INTO account%'")" = 1 ]
}

index_is_building() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity
		WHERE query LIKE 'CREATE UNIQUE INDEX CONCURRENTLY%' AND state = 'active'")" -ge 1 ]
}

# --- locks ------------------------------------------------------------------------------

@test "a lock that a tenant holds is waited for in short portions, and others write meanwhile" {
	local missed
	model 's/version: 10/version: 11/; s/- {name: city, .*/&\n        - {name: fax, type: text}/'
	mkfifo "$TEST_DIR/hold2"
	psql -X -q "$(copyhold route resolve globex --direct)" <"$TEST_DIR/hold2" >/dev/null 2>&1 3>&- &
	exec 7>"$TEST_DIR/hold2"
	echo "BEGIN; LOCK TABLE account IN ACCESS SHARE MODE;" >&7
	until_true lock_is_held
	missed=$(locks_missed)
	"$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes >"$TEST_DIR/apply.out" 2>"$TEST_DIR/apply.err" 3>&- 7>&- &
	HOLDER=$!
	until_true lock_was_missed "$missed"
	as acme "INSERT INTO account (name) VALUES ('meanwhile')"
	echo "COMMIT;" >&7
	exec 7>&-
	status=0
	wait "$HOLDER" || status=$?
	HOLDER=
	output=$(cat "$TEST_DIR/apply.out") stderr=$(cat "$TEST_DIR/apply.err")
	assert_exit 0
	assert_settled
}

lock_is_held() {
	[ "$(su_psql vendor "SELECT count(*) FROM pg_stat_activity WHERE datname = '$DB'
		AND state = 'idle in transaction' AND query LIKE 'LOCK TABLE account%'")" = 1 ]
}

locks_missed() { cluster_log vendor | grep -c "canceling statement due to lock timeout" || true; }

# N: more often than that.
lock_was_missed() { [ "$(locks_missed)" -gt "$1" ]; }

@test "what another run has begun with a shared database is said in full once, not for each tenant" {
	local run said
	model 's/version: .*/version: 12/; s/- {name: city, .*/&\n        - {name: telex, type: text}/'
	hold_at 6 first apply -f "$MANIFESTS" --yes
	run=$(copyhold run list --limit 1 -o json | jq -r '.[0].id')
	said="run $run has not finished with shared database \"vendor/shop\""
	shop_tenant hooli
	try apply -f "$MANIFESTS" -t hooli --yes
	assert_exit 1
	assert_err "error[refused]: $said
  hint:  Finish it: copyhold run resume $run, or take it back: copyhold run undo $run.
error[refused]: tenant \"hooli\", as above: $said"
	let_go "$HOLDER"
	HOLDER=
	assert_applied
}
