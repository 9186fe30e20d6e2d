# An existing database becomes a model and a tenant: imported, loaded, compared, verified.

load ../lib/home
load ../lib/cluster
load ../lib/places

# The package is one of the system's Python, which need not be the first in PATH.
setup_file() {
	PYTHON=/usr/bin/python3
	"$PYTHON" -c 'import jsonschema' 2>/dev/null || PYTHON=python3
	export PYTHON
	export VENDOR_PASSWORD=vendor-canary-5f2c CUSTOMER_PASSWORD=customer-canary-91ab
	clusters_setup
	cluster_start vendor
	cluster_start customer --tls
	home_setup
	load ../lib/estate
	SOURCE=$(chinook_source vendor)
	export SOURCE SCHEMA=$REPO/manifests/schema/output-v1.json
	mkdir "$TEST_DIR/m"
	copyhold model import --from "$SOURCE" --name shop >"$TEST_DIR/m/shop.yaml"
	two_places shop acme >"$TEST_DIR/m/places.yaml"
	copyhold init
	copyhold cluster setup-script vendor -f "$TEST_DIR/m" | su_psql vendor -
	copyhold tenant setup-script own -f "$TEST_DIR/m" | su_psql customer -
	copyhold apply -f "$TEST_DIR/m" --yes --quiet
	DB=$(copyhold tenant show acme -o json | jq -r .database)
	export DB
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

fits() { "$PYTHON" "$REPO/tests/lib/schema.py" "$SCHEMA" "$@"; }

empty() {
	su_psql vendor "TRUNCATE app.playlist_track, app.playlist, app.invoice_line, app.invoice,
		app.customer, app.employee, app.track, app.album, app.artist, app.genre, app.media_type" "$DB"
}

events() { sqlite3 "$COPYHOLD_HOME/catalog.db" "SELECT verb, outcome FROM event
	WHERE verb LIKE 'data.%' AND verb <> 'data.compare'"; }

# The table's columns that are the same in every run.
counted() { awk '{ print $1, $2, $3, $4 }' <<<"$output" | grep -v "^OBJECT"; }

@test "an import says on both sides what it carries otherwise" {
	try model import --from "$SOURCE" --name shop
	assert_exit 0
	assert_equal "$(head -4 <<<"$output")" "# Imported from schema \"public\" of database \"chinook\".
# column \"employee.birth_date\": type timestamp without time zone: its values are taken as UTC
# column \"employee.hire_date\": type timestamp without time zone: its values are taken as UTC
# column \"invoice.invoice_date\": type timestamp without time zone: its values are taken as UTC"
	assert_err "column \"employee.birth_date\": type timestamp without time zone: its values are taken as UTC
column \"employee.hire_date\": type timestamp without time zone: its values are taken as UTC
column \"invoice.invoice_date\": type timestamp without time zone: its values are taken as UTC"
}

@test "a name in a foreign catalogue cannot leave the comment it stands in" {
	su_psql vendor "CREATE DATABASE hostile"
	su_psql vendor $'CREATE TABLE "a\nspec: {evil: true}\n#" (id integer PRIMARY KEY)' hostile
	try model import --from "host=$(cluster_socket vendor) port=$(cluster_port vendor) user=postgres dbname=hostile" --name x
	assert_exit 0
	assert_lacks $'\nspec: {evil'
	copyhold model import --from "host=$(cluster_socket vendor) port=$(cluster_port vendor) user=postgres dbname=hostile" \
		--name x 2>/dev/null | copyhold check -f -
	su_psql vendor "DROP DATABASE hostile"
}

@test "the recorded model is shown as the manifest it came from" {
	try model show shop
	assert_exit 0
	assert_equal "$output" "$(grep -v '^#' "$TEST_DIR/m/shop.yaml")"
	try model show shpo
	assert_exit 1
	assert_err "error[not-found]: no model \"shpo\" in the catalogue
  hint:  Did you mean \"shop\"?"
}

@test "a dry run counts and changes nothing" {
	try data load acme --from "$SOURCE" --dry-run
	assert_exit 0
	assert_contains "all             -               15607"
	assert_equal "$(su_psql vendor "SELECT count(*) FROM app.track" "$DB")" 0
	assert_equal "$(events)" ""
}

@test "a load brings 15,607 rows, and a comparison agrees" {
	try data load acme --from "$SOURCE" --output json
	assert_exit 0
	fits dataLoad <<<"$output"
	assert_equal "$(jq -c '[.rows, (.objects | length)]' <<<"$output")" "[15607,11]"
	try data compare acme --with "$SOURCE"
	assert_exit 0
	assert_equal "$(counted | head -3)" "album 347 347 -
artist 275 275 -
customer 59 59 -"
	assert_lacks differs
	try data compare acme --with "$SOURCE" --output json
	assert_exit 0
	fits dataCompare <<<"$output"
	assert_equal "$(jq .equal <<<"$output")" true
	assert_equal "$(events)" "data.load.begin|ok
data.load|ok"
}

@test "a tenant on its own server is loaded and compared in the same way" {
	try data load own --from "$SOURCE" --quiet
	assert_exit 0
	try data compare own --with "$SOURCE" --output json
	assert_exit 0
	assert_equal "$(jq -c '[.equal, ([.objects[].rowsHere] | add)]' <<<"$output")" "[true,15607]"
	try plan -f "$TEST_DIR/m" --detailed-exitcode
	assert_exit 0
}

@test "the application reads what was loaded" {
	run psql -X -At "$(copyhold route resolve acme --direct)" -c "SELECT a.name, count(*) FROM artist a
		JOIN album USING (artist_id) GROUP BY a.name ORDER BY 2 DESC, 1 LIMIT 2"
	assert_out "Iron Maiden|21
Led Zeppelin|14"
}

@test "the tenant works and is isolated with its data in it" {
	try tenant verify acme --output json
	assert_exit 0
	assert_equal "$(jq -r '.[] | select(.heading == "works") | .result' <<<"$output")" "11 of 11 objects"
	try data compare acme --with "$SOURCE" --quiet
	assert_exit 0
}

@test "a second load is refused and says why" {
	try data load acme --from "$SOURCE"
	assert_exit 1
	assert_contains "error[refused]: the tenant has rows already: \"album\" has 347, " "$stderr"
	assert_equal "$(events | tail -2)" "data.load.begin|ok
data.load|refused"
}

@test "rows that differ are told by surrogates, and by their keys only as an event" {
	su_psql vendor "UPDATE app.customer SET phone = 'canary-77' WHERE customer_id = 17" "$DB"
	su_psql vendor "INSERT INTO app.genre VALUES (4711, 'canary-78')" "$DB"
	try data compare acme --with "$SOURCE"
	assert_exit 1
	assert_err "error[different]: 2 of 11 objects of tenant \"acme\" differ from the source
  hint:  Keys are shown as surrogates of this comparison; --show-values shows them, as an event."
	assert_lacks canary
	assert_equal "$(grep -cw 4711 <<<"$output")" 0 # within a surrogate it may be
	run grep -Ec '^(customer +different +[0-9a-f]{12} +phone|genre +missing there +[0-9a-f]{12} +-)$' <<<"$output"
	assert_out 2
	assert_lacks show-values "$(events)"
	try data compare acme --with "$SOURCE" --show-values --output json
	assert_exit 1
	fits dataCompare <<<"$output"
	assert_equal "$(jq -c '.objects[] | select(.equal | not) | .rows' <<<"$output")" \
		'[{"what":"different","key":"(17)","fields":["phone"]}]
[{"what":"missing there","key":"(4711)","fields":[]}]'
	assert_lacks canary
	assert_equal "$(events | tail -1)" "data.compare.show-values|ok"
}

@test "a source is named by a file or the environment, and its password is in no message" {
	empty
	printf '%s' "$SOURCE" >"$TEST_DIR/dsn"
	chmod 600 "$TEST_DIR/dsn"
	try data load acme --from "file:$TEST_DIR/dsn" --quiet
	assert_exit 0
	BAD=${SOURCE/reader:reader/reader:canary-79} try data load acme --from env:BAD
	assert_exit 1
	assert_err "error[login-refused]: \"chinook\" refused the password of user \"reader\" (SQLSTATE 28P01)
  while: opening the source \"chinook\"
  hint:  Check the password, and that it is the one of this user."
	try data load acme --from "host=127.0.0.1 port=1 dbname=x user=y password=canary-80"
	assert_exit 4
	assert_lacks canary "$stderr"
	try data load acme --from "nonsense"
	assert_exit 64
}

@test "a tenant that is suspended is not loaded" {
	copyhold tenant suspend acme --yes --quiet
	try data load acme --from "$SOURCE"
	assert_exit 1
	assert_err "error[refused]: tenant \"acme\" is suspended
  hint:  See copyhold tenant show acme."
	copyhold tenant resume acme --yes --quiet
	try data compare acme --with "$SOURCE" --quiet
	assert_exit 0
}

# PID: until it is stopped.
await_stop() {
	local i
	for ((i = 0; i < 600; i++)); do
		[ "$(cut -d' ' -f3 "/proc/$1/stat")" = T ] && return
		sleep 0.1
	done
	return 1
}

@test "a load that is killed leaves nothing on either side, and its lease ends with it" {
	empty
	COPYHOLD_FAULT=stop:1 "$COPYHOLD_BIN" data load acme --from "$SOURCE" --quiet 3>&- &
	await_stop $!
	try data load acme --from "$SOURCE" --quiet
	assert_exit 7
	assert_contains "error[leased]: " "$stderr"
	kill -KILL $!
	wait $! || true
	assert_equal "$(su_psql vendor "SELECT count(*) FROM app.track" "$DB")" 0
	COPYHOLD_FAULT=kill:2 run copyhold data load acme --from "$SOURCE" --quiet
	assert_exit 137
	try data compare acme --with "$SOURCE" --quiet
	assert_exit 0
	assert_equal "$(events | tail -2)" "data.load.begin|ok
data.load.begin|ok"
}

@test "an unknown tenant has the nearest name in its hint" {
	try data compare acne --with "$SOURCE"
	assert_exit 1
	assert_contains "acme" "$stderr"
}

@test "nothing personal is left in the catalogue" {
	run grep -c "canary-7" "$COPYHOLD_HOME/catalog.db"
	assert_out 0
}
