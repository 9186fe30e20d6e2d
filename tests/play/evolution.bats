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

teardown() {
	: >"$TEST_DIR/enough"
	wait
}

# Writes until it is told to end; what fails goes to $TEST_DIR/TENANT.failed.
writer() {
	local uri
	uri=$(copyhold route resolve "$1" --direct)
	while [ ! -e "$TEST_DIR/enough" ]; do
		echo "BEGIN; INSERT INTO account (name, country) VALUES ('w', 'DE');
			UPDATE account SET country = 'CN' WHERE id = (SELECT id FROM account LIMIT 1); COMMIT;"
	done | psql -X -q -At "$uri" 2>"$TEST_DIR/$1.failed"
}

rows_of() { both "SELECT count(*) FROM app.account"; }

# "N M": has each of them more rows than that?
written() {
	local now
	now=$(rows_of | paste -sd ' ')
	[ "${now% *}" -gt "${1% *}" ] && [ "${now#* }" -gt "${1#* }" ]
}

# SED: changes the model while both are written to; no statement of theirs fails.
evolve() {
	rm -f "$TEST_DIR/enough"
	both "TRUNCATE app.account CASCADE"
	writer globex 3>&- &
	writer acme 3>&- &
	until_true written "0 0"
	sed -i "$1" "$MANIFESTS/model-crm.yaml"
	try apply -f "$MANIFESTS" -t globex -t acme --yes "${@:2}"
	until_true written "$(rows_of | paste -sd ' ')"
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
	cat >>"$MANIFESTS/model-crm.yaml" <<-YAML
	    - name: branch
	      fields: [{name: label, type: text, maxLength: 40}]
	YAML
	copyhold apply -f "$MANIFESTS" -t globex -t acme --yes
	both "INSERT INTO app.branch (label) VALUES ('steel')"
	evolve 's/- name: branch/- name: sector\n      was: branch/; s/{name: label,/{name: title, was: label,/'
	assert_equal "$(both "SELECT title FROM app.sector")" $'steel\nsteel'
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
	assert_equal "$(both "SELECT count(*) FROM pg_attribute
		WHERE attrelid = 'app.account'::regclass AND attname = 'street'")" $'1\n1'
	sed -i 's/^  version: 1/  version: 1\n  drop: [account.street]/' "$MANIFESTS/model-crm.yaml"
	run --separate-stderr sh -c "\"$COPYHOLD_BIN\" apply -f '$MANIFESTS' -t globex -t acme --prune --yes </dev/null"
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: Remove the data named above? Type remove:
  hint:  Say --confirm-removal if you mean it."
	evolve 's/^$//' --prune --confirm-removal
	assert_equal "$(both "SELECT count(*) FROM pg_attribute
		WHERE attrelid = 'app.account'::regclass AND attname = 'street'")" $'0\n0'
}

@test "a unique rule that the data forbids is refused with the count of duplicates" {
	both "TRUNCATE app.account CASCADE"
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
	assert_contains "\"account.postal_code\" is empty in 2 rows" "$stderr"
}
