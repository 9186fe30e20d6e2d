load ../lib/home
load ../lib/cluster
load ../lib/estate
load ../lib/wait

# A tenant of each mode that is written to all the time.
setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	copyhold apply -f "$MANIFESTS" -t globex -t acme --yes
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# Writes until it is told to end; what fails goes to $TEST_DIR/TENANT.failed.
writer() {
	local uri
	uri=$(copyhold route resolve "$1")
	: >"$TEST_DIR/$1.failed"
	while [ ! -e "$TEST_DIR/enough" ]; do
		echo "BEGIN; INSERT INTO account (name, country) VALUES ('w', 'DE');
			UPDATE account SET name = name || 'x' WHERE length(name) < 20; COMMIT;
			SELECT count(*) FROM account;"
	done | psql -X -q -At "$uri" 2>>"$TEST_DIR/$1.failed" | while read -r n; do
		echo "$n" >"$TEST_DIR/$1.count"
	done
}

written() { [ "$(cat "$TEST_DIR/$1.count")" -gt "$2" ]; }

# SED: changes the model while both are written to; no statement of theirs fails.
evolve() {
	local tenant before
	rm -f "$TEST_DIR"/enough "$TEST_DIR"/*.count
	for tenant in globex acme; do
		writer "$tenant" 3>&- &
		until_true written "$tenant" 0
	done
	sed -i "$1" "$MANIFESTS/model-crm.yaml"
	try apply -f "$MANIFESTS" -t globex -t acme --yes "${@:2}"
	for tenant in globex acme; do
		before=$(cat "$TEST_DIR/$tenant.count")
		until_true written "$tenant" "$before"
	done
	: >"$TEST_DIR/enough"
	wait
	assert_exit 0
	assert_equal "$(cat "$TEST_DIR"/{globex,acme}.failed)" ""
	try plan -f "$MANIFESTS" -t globex -t acme --detailed-exitcode
	assert_exit 0
}

both() {
	su_psql bj-1 "$1" "$(copyhold tenant show globex -o json | jq -r .database)"
	su_psql acme-db "$1" acme
}

@test "a field with a default is added while it is written to" {
	evolve '/name: website/a\        - {name: rating, type: integer, required: true, default: 3}'
	assert_equal "$(both "SELECT DISTINCT rating FROM app.account")" $'3\n3'
}

@test "a text is widened while it is written to, and is never a varchar" {
	evolve 's/{name: name, type: text, maxLength: 200/{name: name, type: text, maxLength: 300/'
	assert_equal "$(both "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
		WHERE attrelid = 'app.account'::regclass AND attname = 'name'")" $'text\ntext'
	assert_equal "$(both "SELECT pg_get_constraintdef(oid) FROM pg_constraint
		WHERE conname = 'account_name_max'")" $'CHECK ((char_length(name) <= 300))\nCHECK ((char_length(name) <= 300))'
}

@test "an index is built while it is written to" {
	evolve 's/{name: city, type: text, maxLength: 100}/{name: city, type: text, maxLength: 100, indexed: true}/'
	assert_equal "$(both "SELECT indisvalid FROM pg_index
		WHERE indexrelid = 'app.account_city_idx'::regclass")" $'t\nt'
}

@test "a unique rule is built while it is written to" {
	evolve 's/{name: website, type: text, maxLength: 200}/{name: website, type: text, maxLength: 200, unique: true}/'
	assert_equal "$(both "SELECT contype FROM pg_constraint WHERE conname = 'account_website_key'")" $'u\nu'
}

@test "a field and an object are renamed by \"was\" with the data in them" {
	both "UPDATE app.account SET industry = 'steel'"
	evolve 's/{name: industry, type: text/{name: branch, was: industry, type: text/'
	assert_equal "$(both "SELECT DISTINCT branch FROM app.account WHERE branch IS NOT NULL")" $'steel\nsteel'
	sed -i 's/was: industry, //' "$MANIFESTS/model-crm.yaml"
	try plan -f "$MANIFESTS" -t globex -t acme
	assert_exit 0
	assert_lacks "branch"
}

@test "an object is added while others are written to" {
	cat >>"$MANIFESTS/model-crm.yaml" <<-YAML
	    - name: campaign
	      fields:
	        - {name: title, type: text, maxLength: 80, required: true}
	        - {name: account, type: reference, to: account, onDelete: cascade}
	YAML
	evolve 's/^$//'
	assert_equal "$(both "SELECT count(*) FROM app.campaign")" $'0\n0'
}

@test "a field leaves only with the model's word and a confirmation" {
	sed -i '/{name: street,/d' "$MANIFESTS/model-crm.yaml"
	try plan -f "$MANIFESTS" -t globex
	assert_exit 0
	assert_contains "    - field account.street: text(200) (removes data) (kept)"
	try apply -f "$MANIFESTS" -t globex --yes
	assert_exit 0
	assert_equal "$(both "SELECT count(*) FROM pg_attribute
		WHERE attrelid = 'app.account'::regclass AND attname = 'street'")" $'1\n1'
	sed -i 's/^  version: 1/  version: 1\n  drop: [account.street]/' "$MANIFESTS/model-crm.yaml"
	run --separate-stderr sh -c "\"$COPYHOLD_BIN\" apply -f '$MANIFESTS' -t globex -t acme --yes </dev/null"
	assert_exit 1
	assert_contains "error[refused]: nobody is there to be asked: Remove the data named above?" "$stderr"
	evolve 's/^$//' --confirm-removal
	assert_equal "$(both "SELECT count(*) FROM pg_attribute
		WHERE attrelid = 'app.account'::regclass AND attname = 'street'")" $'0\n0'
}

@test "a unique rule that the data forbids is refused with the count of duplicates" {
	both "DELETE FROM app.account"
	both "INSERT INTO app.account (name, country, postal_code)
		VALUES ('a', 'DE', '1'), ('b', 'DE', '1'), ('c', 'DE', '2'), ('d', 'DE', '2'), ('e', 'DE', '2')"
	cp "$MANIFESTS/model-crm.yaml" "$TEST_DIR/before.yaml"
	sed -i 's/{name: postal_code, type: text, maxLength: 20}/{name: postal_code, type: text, maxLength: 20, unique: true}/' \
		"$MANIFESTS/model-crm.yaml"
	try apply -f "$MANIFESTS" -t globex --yes
	assert_exit 1
	assert_contains "error[data-forbids]: " "$stderr"
	assert_contains "2 " "$stderr"
	assert_lacks "'1'" "$stderr"
	assert_equal "$(both "SELECT count(*) FROM pg_constraint WHERE conname = 'account_postal_code_key'")" $'0\n0'
	cp "$TEST_DIR/before.yaml" "$MANIFESTS/model-crm.yaml"
	try plan -f "$MANIFESTS" -t globex -t acme --detailed-exitcode
	assert_equal "$(grep -c 'postal_code' <<<"$output")" 0
}

@test "a required field that has rows without it is refused with their count" {
	sed -i 's/{name: postal_code, type: text, maxLength: 20}/{name: postal_code, type: text, maxLength: 20, required: true}/' \
		"$MANIFESTS/model-crm.yaml"
	both "UPDATE app.account SET postal_code = NULL WHERE name IN ('a', 'b')"
	try apply -f "$MANIFESTS" -t globex --yes
	assert_exit 1
	assert_contains "error[data-forbids]: " "$stderr"
	assert_contains "2 rows" "$stderr"
}
