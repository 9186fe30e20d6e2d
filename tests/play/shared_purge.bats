load ../lib/home
load ../lib/cluster
load ../lib/shop

# The rows of one tenant leave the shared tables in batches; the others' stay.  The model has
# references in both directions.
setup_file() {
	clusters_setup
	cluster_start vendor --set fsync=off
	home_setup
	shop_setup
	sed -i 's/- {name: city, .*/&\n        - {name: main_note, type: reference, to: note, onDelete: set-null}/' \
		"$MANIFESTS/model.yaml"
	copyhold apply -f "$MANIFESTS" --yes
	fill acme 5000
	fill globex 20
	fill initech 4100
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	GLOBEX=$(everything)
}

# TENANT N: accounts, each with its parent, a note and that note as its main one.
fill() {
	as "$1" "INSERT INTO account (name, code) SELECT 'n' || i, 'c' || i FROM generate_series(1, $2) i;
		UPDATE account SET parent = (SELECT id FROM account WHERE code = 'c1');
		INSERT INTO note (account, body) SELECT id, code FROM account;
		UPDATE account SET main_note = (SELECT id FROM note WHERE body = code LIMIT 1) WHERE code < 'c11'"
}

everything() {
	as globex "SELECT a, n FROM account a LEFT JOIN note n ON n.account = a.id ORDER BY a.id"
}

# ID: how many of its rows are left.
left_of() {
	inside "SELECT (SELECT count(*) FROM wide.account WHERE _tenant = '$1')
		+ (SELECT count(*) FROM wide.note WHERE _tenant = '$1')"
}

last_run() { copyhold run list --limit 1 -o json | jq -r '.[0].id'; }

@test "a purge that is killed between batches goes on where it was" {
	local id n list=$TEST_DIR/list run
	id=$(catalogue "SELECT id FROM tenant WHERE name = 'acme'")
	COPYHOLD_FAULT=list:$list copyhold tenant delete initech --now --no-backup --confirm initech --yes
	n=$(grep -n 'shared.rows.batch$' "$list" | sed -n 2p | cut -d: -f1)
	[ -n "$n" ]
	COPYHOLD_FAULT=kill:$n try tenant delete acme --now --no-backup --confirm acme --yes
	assert_exit 137
	run=$(last_run)
	[ "$(left_of "$id")" -gt 0 ] && [ "$(left_of "$id")" -lt 10000 ]
	assert_equal "$(everything)" "$GLOBEX"
	try run undo "$run" --yes
	assert_exit 1
	assert_contains "is past its pivot" "$stderr"
	try run resume "$run"
	assert_exit 0
	assert_equal "$(left_of "$id")" 0
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_roles WHERE rolname LIKE '%$id%'")" 0
	assert_equal "$(everything)" "$GLOBEX"
}

@test "nothing of those that were purged is left, and the others are as they should be" {
	assert_equal "$(inside "SELECT count(*) FROM wide.account")" 20
	assert_equal "$(inside "SELECT count(*) FROM wide.note")" 20
	rm "$MANIFESTS/acme.yaml" "$MANIFESTS/initech.yaml"
	assert_settled
	assert_equal "$(everything)" "$GLOBEX"
}

@test "a purge changes nothing of a neighbour that references its own rows in a circle" {
	assert_equal "$(as globex "SELECT count(*) FROM account a JOIN note n ON n.id = a.main_note")" 2
	assert_equal "$(as globex "SELECT count(*) FROM account WHERE parent IS NULL")" 0
}
