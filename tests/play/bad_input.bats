load ../lib/home
load ../lib/cluster
load ../lib/estate

# Nothing that is tried here may change anything: each test ends with a look at the servers and
# the catalogue.
setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	mkdir "$TEST_DIR/ground"
	cp "$MANIFESTS"/{regions,clusters,model-crm}.yaml "$TEST_DIR/ground"
	copyhold apply -f "$TEST_DIR/ground" --yes
	export CERTS=$CLUSTERS/certs PORT
	PORT=$(cluster_port acme-db)
	server_state >"$TEST_DIR/untouched"
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home MANIFESTS=$TEST_DIR/manifests; }

server_state() {
	local name
	for name in bj-1 acme-db; do
		su_psql "$name" "SELECT datname, datdba::regrole, datacl FROM pg_database ORDER BY 1;
			SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles ORDER BY 1;
			SELECT roleid::regrole, member::regrole FROM pg_auth_members ORDER BY 1, 2"
	done
	su_psql acme-db "SELECT nspname FROM pg_namespace ORDER BY 1" acme
	su_psql bj-1 "SELECT nspname FROM pg_namespace ORDER BY 1" copyhold
}

# TENANT: the error about that tenant alone; what is about its cluster says the same.
error_about() {
	awk -v tenant="$1" 'function flush() { if (block ~ "tenant \"" tenant "\"") printf "%s", block; block = "" }
		/^error/ { flush() } /^(error| )/ { block = block $0 "\n" } END { flush() }' <<<"$stderr"
}

# TENANT EXIT TEXT: applying it ends so, and nothing is there that was not there before.
refused() {
	try apply -f "$MANIFESTS" -t "$1" --yes
	assert_exit "$2"
	assert_equal "$(error_about "$1")" "$3"
	try tenant list -o json
	assert_out "[]"
}

assert_untouched() { assert_equal "$(server_state)" "$(cat "$TEST_DIR/untouched")"; }

# CLUSTER SQL BACK TENANT TEXT: refused with exit 1 while that is so.
refused_while() {
	su_psql "$1" "$2"
	refused "$4" 1 "$5"
	su_psql "$1" "$3"
	assert_untouched
}

# --- the way to the server --------------------------------------------------------------

@test "a wrong password" {
	BJ1_PASSWORD=wrong-canary-77 refused globex 1 "error[login-refused]: \"bj-1\" refused the password of user \"copyhold\" (SQLSTATE 28P01)
  while: opening cluster \"bj-1\"
  while: checking the place of tenant \"globex\" (mode dedicated)
  hint:  Check the password, and that it is the one of this user. A new server is set up first: copyhold cluster setup-script bj-1."
	assert_lacks wrong-canary-77 "$output$stderr"
	assert_untouched
}

@test "a password that is not set" {
	local place
	place=$(grep -n 'env:BJ1_PASSWORD' "$MANIFESTS/clusters.yaml" | cut -d: -f1)
	unset BJ1_PASSWORD
	refused globex 1 "error[secret]: the secret \"env:BJ1_PASSWORD\" is not set
  while: opening cluster \"bj-1\"
  while: checking the place of tenant \"globex\" (mode dedicated)
  where: $MANIFESTS/clusters.yaml:$place:27
  hint:  Set it: export BJ1_PASSWORD=..."
	assert_untouched
}

@test "a server that is down: exit 4" {
	cluster_stop acme-db
	refused acme 4 "error[cluster-unreachable]: connection to \"acme-db\" refused (ECONNREFUSED)
  while: opening the database of \"acme\"
  while: checking the place of tenant \"acme\" (mode customer-db)
  hint:  Is PostgreSQL running on 127.0.0.1:$PORT? Try: copyhold doctor --cluster acme-db"
	cluster_start acme-db --tls
	assert_untouched
}

@test "a host that has no address: exit 4" {
	mkdir "$TEST_DIR/nowhere"
	cp "$MANIFESTS"/*.yaml "$TEST_DIR/nowhere"
	sed -i 's/host: 127.0.0.1/host: no..such..host/' "$TEST_DIR/nowhere/clusters.yaml"
	MANIFESTS=$TEST_DIR/nowhere refused globex 4 "error[cluster-unreachable]: host \"no..such..host\" has no address
  while: opening cluster \"bj-1\"
  while: checking the place of tenant \"globex\" (mode dedicated)
  hint:  Check the name, and the name service of this machine."
	assert_untouched
}

# FILE: acme's server is to be trusted by this CA.
trusting() {
	rm -rf "$TEST_DIR/trusting"
	mkdir "$TEST_DIR/trusting"
	cp "$TEST_DIR/manifests"/*.yaml "$TEST_DIR/trusting"
	sed -i "s|$CERTS/ca.crt|$1|" "$TEST_DIR/trusting/clusters.yaml"
	MANIFESTS=$TEST_DIR/trusting
}

tls_refused() {
	refused acme 1 "error[tls]: $1
  while: opening the database of \"acme\"
  while: checking the place of tenant \"acme\" (mode customer-db)
  hint:  $2"
}

@test "a certificate of another CA, and a CA's file that is not there" {
	trusting "$CERTS/other-ca.crt"
	tls_refused 'the certificate of "acme-db" was not signed by the CA that was given' \
		"Give the certificate of the CA that signed it; now \"$CERTS/other-ca.crt\" is used."
	trusting "$CERTS/none.crt"
	tls_refused "the CA's certificate \"$CERTS/none.crt\" cannot be read" \
		"Check that the file is there, may be read, and holds PEM."
	assert_untouched
}

@test "a certificate that has expired, is for another host, or was signed by another CA" {
	cluster_stop acme-db
	cluster_start acme-db --server-cert expired
	tls_refused 'the certificate of "acme-db" has expired' "Renew the certificate on the server."
	cluster_stop acme-db
	cluster_start acme-db --server-cert elsewhere
	tls_refused 'the certificate of "acme-db" is not for host "127.0.0.1"' \
		"Use the host name that the certificate is for, or have one made for this name."
	cluster_stop acme-db
	cluster_start acme-db --server-cert other
	tls_refused 'the certificate of "acme-db" was not signed by the CA that was given' \
		"Give the certificate of the CA that signed it; now \"$CERTS/ca.crt\" is used."
	cluster_stop acme-db
	cluster_start acme-db
	tls_refused '"acme-db" does not offer TLS' "Turn ssl on there, or choose a weaker TLS mode."
	cluster_stop acme-db
	cluster_start acme-db --tls
	assert_untouched
}

# --- rights -----------------------------------------------------------------------------

@test "rights that are missing on the vendor's cluster are named with their GRANT" {
	local while_='
  while: checking the place of tenant "globex" (mode dedicated)
  hint:  '
	refused_while bj-1 "ALTER ROLE copyhold NOCREATEDB" "ALTER ROLE copyhold CREATEDB" globex \
		"error[missing-right]: login \"copyhold\" on \"bj-1\" may not create databases and roles${while_}ALTER ROLE \"copyhold\" CREATEDB CREATEROLE;"
	refused_while bj-1 "ALTER ROLE copyhold NOCREATEROLE" "ALTER ROLE copyhold CREATEROLE" globex \
		"error[missing-right]: login \"copyhold\" on \"bj-1\" may not create databases and roles${while_}ALTER ROLE \"copyhold\" CREATEDB CREATEROLE;"
	refused_while bj-1 "ALTER DATABASE copyhold_template RENAME TO away" \
		"ALTER DATABASE away RENAME TO copyhold_template" globex \
		"error[unprepared]: cluster \"bj-1\" is not set up: there is no template database copyhold_template${while_}A superuser runs the output of: copyhold cluster setup-script bj-1."
	refused_while bj-1 "ALTER ROLE copyhold SUPERUSER" "ALTER ROLE copyhold NOSUPERUSER" globex \
		"error[refused]: login \"copyhold\" on \"bj-1\" is a superuser: more than we ask${while_}Name another user: copyhold cluster setup-script makes it."
}

@test "rights that are missing on the customer's server are named with their GRANT" {
	local while_='
  while: checking the place of tenant "acme" (mode customer-db)
  hint:  '
	refused_while acme-db "REVOKE acme_owner FROM copyhold" "GRANT acme_owner TO copyhold" acme \
		"error[missing-right]: login \"copyhold\" on \"acme-db\" is not a member of \"acme_owner\"${while_}GRANT \"acme_owner\" TO \"copyhold\";"
	refused_while acme-db "REVOKE acme_app FROM copyhold" "GRANT acme_app TO copyhold" acme \
		"error[missing-right]: login \"copyhold\" on \"acme-db\" is not a member of \"acme_app\"${while_}GRANT \"acme_app\" TO \"copyhold\";"
	refused_while acme-db "REVOKE CREATE ON DATABASE acme FROM acme_owner" \
		"GRANT CREATE ON DATABASE acme TO acme_owner" acme \
		"error[missing-right]: role \"acme_owner\" on \"acme-db\" may not create schemas${while_}GRANT CREATE ON DATABASE \"acme\" TO \"acme_owner\";"
	refused_while acme-db "ALTER ROLE acme_owner RENAME TO away" "ALTER ROLE away RENAME TO acme_owner" acme \
		"error[unprepared]: there is no role \"acme_owner\" on \"acme-db\"${while_}The customer's administrator runs the output of: copyhold tenant setup-script acme."
	refused_while acme-db "ALTER ROLE copyhold SUPERUSER" "ALTER ROLE copyhold NOSUPERUSER" acme \
		"error[refused]: login \"copyhold\" on \"acme-db\" is a superuser: more than we ask${while_}ALTER ROLE \"copyhold\" NOSUPERUSER NOCREATEROLE;"
}

# --- names ------------------------------------------------------------------------------

# FILE FROM TO EXIT TEXT: check refuses the manifests with that in them.
check_refuses() {
	rm -rf "$TEST_DIR/odd"
	mkdir "$TEST_DIR/odd"
	cp "$MANIFESTS"/*.yaml "$TEST_DIR/odd"
	sed -i "s|$2|$3|" "$TEST_DIR/odd/$1"
	try apply -f "$TEST_DIR/odd" --yes
	assert_exit 64
	assert_contains "$4" "$stderr"
	assert_untouched
}

@test "names that try SQL or a shell never reach either" {
	local name
	for name in '"a; DROP TABLE x"' "\"a' OR 1=1\"" '"$(touch pwned)"' '"`touch pwned`"' '"../../etc"' \
		'"A"' '"ä"' '"a b"' '""' '"-a"'; do
		check_refuses tenants.yaml '{name: globex,' "{name: $name," "error[manifest]: "
		check_refuses model-crm.yaml '{name: website,' "{name: $name," "error[manifest]: "
	done
	check_refuses model-crm.yaml '{name: website,' '{name: select,' "error[manifest]: "
	[ ! -e pwned ] && [ ! -e "$TEST_DIR/pwned" ]
}

@test "a tenant that is named on the command line is only looked for" {
	local name
	for name in "'; DROP TABLE tenant; --" '$(touch pwned)' '../globex' "$(printf 'a%.0s' {1..300})"; do
		try tenant show "$name"
		assert_exit 1
		assert_contains "error[not-found]: " "$stderr"
	done
	[ ! -e pwned ]
	try doctor
	assert_contains "sound"
}

@test "a name of 40 characters is a tenant's longest, of 48 a field's" {
	check_refuses tenants.yaml '{name: globex,' "{name: a$(printf 'b%.0s' {1..40})," "error[manifest]: "
	check_refuses model-crm.yaml '{name: website,' "{name: a$(printf 'b%.0s' {1..48})," "error[manifest]: "
}

@test "two manifests of one name, two fields of one name" {
	check_refuses tenants.yaml '{name: initech,' '{name: globex,' "error[manifest]: "
	check_refuses model-crm.yaml '{name: website,' '{name: city,' "error[manifest]: "
}

# --- the home ---------------------------------------------------------------------------

@test "a catalogue of a newer copyhold is refused by reading and writing commands" {
	cp -a "$COPYHOLD_HOME" "$TEST_DIR/newer"
	sqlite3 "$TEST_DIR/newer/catalog.db" "PRAGMA user_version = 999"
	for command in "tenant list" "login rotate globex app"; do
		# shellcheck disable=SC2086 # words
		try --home "$TEST_DIR/newer" $command
		assert_exit 1
		assert_contains "error[catalog-newer]: " "$stderr"
	done
	assert_equal "$(sqlite3 "$TEST_DIR/newer/catalog.db" "PRAGMA user_version")" 999
}

@test "a catalogue that is no database is refused" {
	cp -a "$COPYHOLD_HOME" "$TEST_DIR/broken"
	rm -f "$TEST_DIR/broken"/catalog.db-*
	head -c 8192 /dev/urandom >"$TEST_DIR/broken/catalog.db"
	try --home "$TEST_DIR/broken" tenant list
	assert_exit 1
	assert_contains "error[catalog]: " "$stderr"
}

@test "a home on a read-only file system can be read but not written" {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	mkdir "$TEST_DIR/ro"
	cp -a "$COPYHOLD_HOME" "$TEST_DIR/to-ro"
	mount --bind "$TEST_DIR/to-ro" "$TEST_DIR/ro" || skip "this machine lets nobody mount"
	mount -o remount,bind,ro "$TEST_DIR/ro"
	try --home "$TEST_DIR/ro" login rotate globex app
	first=$status error=$stderr
	try --home "$TEST_DIR/ro" tenant list
	umount "$TEST_DIR/ro"
	assert_equal "$first" 1
	assert_contains "error[" "$error"
	assert_contains "hint:" "$error"
	assert_exit 0
}

@test "a full disk under the home: an error that says so, and the catalogue stays sound" {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	mkdir "$TEST_DIR/tiny"
	mount -t tmpfs -o size=1500k,mode=0700 none "$TEST_DIR/tiny" || skip "this machine lets nobody mount"
	copyhold --home "$TEST_DIR/tiny/home" init
	head -c 3000000 /dev/zero >"$TEST_DIR/tiny/filler" 2>/dev/null || true
	head -c 60000 /dev/urandom | base64 -w 0 | head -c 60000 >"$TEST_DIR/big"
	run --separate-stderr sh -c "\"$COPYHOLD_BIN\" --home '$TEST_DIR/tiny/home' secret set big <'$TEST_DIR/big'"
	first=$status error=$stderr
	rm "$TEST_DIR/tiny/filler"
	try --home "$TEST_DIR/tiny/home" secret list -o json
	second=$output
	umount "$TEST_DIR/tiny"
	assert_equal "$first" 1
	assert_contains "error[disk-full]: " "$error"
	assert_exit 0
	assert_equal "$second" "[]"
}

@test "a home that others may read is refused with the fix" {
	chmod 0755 "$COPYHOLD_HOME"
	try tenant list
	chmod 0700 "$COPYHOLD_HOME"
	assert_exit 1
	assert_err "error[home]: \"$COPYHOLD_HOME\" is open to other users (mode 0755)
  while: opening the home
  hint:  Run: chmod 0700 $COPYHOLD_HOME"
}

# --- two homes --------------------------------------------------------------------------

# The last one: it changes the servers.
@test "a server and a database that belong to another home are refused" {
	local second=$TEST_DIR/second
	copyhold apply -f "$MANIFESTS" -t globex -t acme --yes
	copyhold --home "$second" init
	copyhold --home "$second" tenant setup-script acme -f "$MANIFESTS" >/dev/null
	try --home "$second" apply -f "$MANIFESTS" -t globex -t acme --yes
	assert_exit 1
	assert_equal "$(error_about globex)" "error[foreign-home]: \"bj-1\" belongs to another copyhold home
  while: checking the place of tenant \"globex\" (mode dedicated)
  hint:  Work from the home that has it, or restore that home here: copyhold home restore."
	assert_equal "$(error_about acme)" "error[foreign-home]: \"acme-db\" belongs to another copyhold home
  while: checking the place of tenant \"acme\" (mode customer-db)
  hint:  Work from the home that has it, or restore that home here: copyhold home restore."
	BJ1_PASSWORD=wrong try --home "$second" apply -f "$MANIFESTS" -t globex --yes
	assert_exit 1
	assert_equal "$(copyhold --home "$second" run list -o json | jq -c .)" "[]"
	try plan -f "$MANIFESTS" -t globex -t acme --detailed-exitcode
	assert_exit 0
}
