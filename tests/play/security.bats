load ../lib/home
load ../lib/cluster
load ../lib/estate

# What somebody may try who writes manifests, owns a customer's server, or has a tenant's login.
setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	copyhold apply -f "$MANIFESTS" --yes
	DB=$(copyhold tenant show globex -o json | jq -r .database)
	export DB
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home MANIFESTS=$TEST_DIR/manifests; }

# HOST-LINES...: a folder with one more cluster, reached as the lines say.
one_cluster() {
	write "evil/all.yaml" <<-YAML
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: nowhere}
		spec: {country: DE}
		---
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: evil}
		spec:
		  region: nowhere
		  connect:
		    host: 127.0.0.1
		    port: $(cluster_port acme-db)
		    user: copyhold
		    database: acme
	YAML
	printf '    %s\n' "$@" >>"$TEST_DIR/evil/all.yaml"
}

# --- whoever writes a manifest ----------------------------------------------------------

@test "a client key that names a library does not have it loaded" {
	one_cluster "sslmode: require" "sslcert: $CLUSTERS/certs/client.crt" \
		"sslkey: $TEST_DIR/evil/library.so:key"
	try plan -f "$TEST_DIR/evil"
	assert_exit 1
	assert_contains "error[tls]: the client key \"$TEST_DIR/evil/library.so:key\" is no file that can be used" \
		"$stderr"
}

@test "no file of the home is a password" {
	local name
	for name in keys/master.key catalog.db; do
		one_cluster "password: {secretRef: \"file:$COPYHOLD_HOME/$name\"}"
		try plan -f "$TEST_DIR/evil"
		assert_exit 1
		assert_contains "error[secret]: the secret \"file:$COPYHOLD_HOME/$name\" is a file of the home" \
			"$stderr"
	done
	mkdir -p "$TEST_DIR/evil"
	ln -sfn "$COPYHOLD_HOME" "$TEST_DIR/evil/link"
	one_cluster "password: {secretRef: \"file:link/keys/master.key\"}"
	try plan -f "$TEST_DIR/evil"
	assert_exit 1
	assert_contains 'is a file of the home' "$stderr"
}

@test "a private key is no password" {
	one_cluster "password: {secretRef: \"file:$TEST_DIR/private.key\"}"
	printf -- '-----BEGIN PRIVATE KEY-----\ncanary-4711\n-----END PRIVATE KEY-----\n' \
		>"$TEST_DIR/private.key"
	chmod 600 "$TEST_DIR/private.key"
	try plan -f "$TEST_DIR/evil"
	assert_exit 1
	assert_contains "error[secret]: the file of the secret \"file:$TEST_DIR/private.key\" holds more than one line of text" \
		"$stderr"
	assert_lacks canary "$output$stderr"
}

@test "a tenant's password on its way to a customer's administrator is no secret of the store" {
	one_cluster 'password: {secretRef: "store:pending/acme/app"}'
	try plan -f "$TEST_DIR/evil"
	assert_exit 1
	assert_contains 'error[secret]: the secret "store:pending/acme/app" is none that can be put into the store' \
		"$stderr"
}

# NAME LINES...: a tenant on acme's server, in a folder with what it needs.
rival() {
	rm -rf "$TEST_DIR/rival"
	cp -r "$MANIFESTS" "$TEST_DIR/rival"
	rm "$TEST_DIR/rival/tenants.yaml"
	write rival/rival.yaml <<-YAML
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: $1}
		spec:
		  model: crm
		  mode: customer-db
		  cluster: acme-db
	YAML
	printf '  %s\n' "${@:2}" >>"$TEST_DIR/rival/rival.yaml"
}

@test "no tenant is given the database, the login or the owner of another" {
	local before
	before=$(su_psql acme-db "SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ '^(acme|copyhold)' ORDER BY 1")
	rival zeta "database: acme_x" "ownerRole: acme_app"
	try tenant setup-script zeta -f "$TEST_DIR/rival"
	assert_exit 1
	assert_equal "$stderr" 'error[exists]: role "acme_app" on cluster "acme-db" is that of tenant "acme" already
  hint:  Choose another name in the manifest.'
	rival zeta "database: acme" "login: other"
	try tenant setup-script zeta -f "$TEST_DIR/rival"
	assert_exit 1
	assert_equal "$stderr" 'error[exists]: database "acme" on cluster "acme-db" is that of tenant "acme" already
  hint:  Choose another name in the manifest.'
	rival zeta "database: copy" "login: hold" "ownerRole: copyhold"
	try tenant setup-script zeta -f "$TEST_DIR/rival"
	assert_exit 1
	assert_equal "$stderr" 'error[exists]: role "copyhold" on cluster "acme-db" is our own login
  hint:  Choose another name in the manifest.'
	assert_equal "$(su_psql acme-db "SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ '^(acme|copyhold)' ORDER BY 1")" \
		"$before"
}

@test "a script that names an administrator's role stops before it changes anything" {
	local before
	before=$(su_psql acme-db "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1;
		SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2")
	rival zeta "ownerRole: postgres"
	copyhold tenant setup-script zeta -f "$TEST_DIR/rival" >"$TEST_DIR/zeta.sql"
	run su_psql acme-db - <"$TEST_DIR/zeta.sql"
	[ "$status" != 0 ]
	assert_contains 'role "postgres" has rights of an administrator: name another one'
	assert_equal "$(su_psql acme-db "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1;
		SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2")" "$before"
}

# --- a customer's administrator -----------------------------------------------------------

@test "a customer's server does not use up the fences of all tenants" {
	local was
	was=$(su_psql acme-db "SELECT fence FROM copyhold.fence" acme)
	su_psql acme-db "UPDATE copyhold.fence SET fence = 9223372036854775807" acme
	try home probe
	assert_exit 4
	assert_contains 'error[server-error]: tenant "acme" on cluster "acme-db" shows the fence 9223372036854775807, which no home gave out' \
		"$stderr"
	su_psql acme-db "UPDATE copyhold.fence SET fence = $was" acme
	try home probe
	assert_exit 0
	try tenant suspend globex --yes
	assert_exit 0
	try tenant resume globex --yes
	assert_exit 0
}

@test "nulls where none can be do not stop the work on other tenants" {
	su_psql acme-db "ALTER TABLE copyhold.home ALTER id DROP NOT NULL; UPDATE copyhold.home SET id = NULL" acme
	try plan -f "$MANIFESTS"
	assert_exit 1
	assert_contains 'error[foreign-home]: "acme-db" belongs to another copyhold home' "$stderr"
	assert_contains "7 as they should be, 1 cannot be planned"
	su_psql acme-db "UPDATE copyhold.home SET id = '$(sqlite3 "$COPYHOLD_HOME/catalog.db" \
		"SELECT value FROM meta WHERE key = 'home'")'; ALTER TABLE copyhold.home ALTER id SET NOT NULL" acme
}

@test "a name on a customer's server reaches the terminal as text" {
	su_psql acme-db "CREATE VIEW app.\"$(printf 'x\033]0;owned\007\033[8m\n+ tenant forged')\" AS SELECT 1" acme
	try plan -f "$MANIFESTS"
	su_psql acme-db "DROP VIEW app.\"$(printf 'x\033]0;owned\007\033[8m\n+ tenant forged')\"" acme
	assert_contains 'view x?]0;owned??[8m + tenant forged'
	assert_lacks $'\033'
	assert_lacks $'\n+ tenant forged'
}

# --- a tenant's login ------------------------------------------------------------------------

@test "a login cannot keep its tenant from being looked at and mended" {
	local role uri
	role=$(copyhold tenant show globex -o json | jq -r '.logins[0].role')
	uri=$(copyhold route resolve globex --direct)
	psql -qX "$uri" -c "ALTER ROLE $role SET idle_in_transaction_session_timeout = 1" \
		-c "ALTER ROLE $role SET local_preload_libraries = 'nothing'"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	try plan -f "$MANIFESTS"
	assert_out "nothing to do: 8 as they should be"
	assert_equal "$(psql -AtX "$uri" -c "SELECT 1")" 1
}

@test "a login cannot keep itself from being removed" {
	local role uri
	copyhold login add globex clinging
	role=$(copyhold tenant show globex -o json | jq -r '.logins[] | select(.user == "clinging").role')
	uri=$(copyhold route resolve globex --direct --login clinging)
	psql -qX "$uri" -c "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC" \
		-c "ALTER ROLE $role SET work_mem = '1MB'"
	try login remove globex clinging --yes
	assert_exit 0
	assert_equal "$(su_psql bj-1 "SELECT count(*) FROM pg_roles WHERE rolname = '$role'")" 0
	try plan -f "$MANIFESTS"
	assert_out "nothing to do: 8 as they should be"
}

# --- what stays behind -----------------------------------------------------------------------

@test "the passfile of a login goes with the login" {
	copyhold login add globex report
	copyhold route resolve globex --direct --login report >/dev/null
	[ -f "$COPYHOLD_HOME/run/pass/globex.report" ]
	copyhold login remove globex report --yes
	[ ! -e "$COPYHOLD_HOME/run/pass/globex.report" ]
}

@test "a backup leaves no copy of the catalogue behind" {
	mkdir "$TEST_DIR/tmp"
	TMPDIR=$TEST_DIR/tmp PASS=correct-horse-battery try home backup "$TEST_DIR/b" --passphrase env:PASS
	assert_exit 0
	assert_equal "$(ls -A "$TEST_DIR/tmp")" ""
	assert_equal "$(ls "$COPYHOLD_HOME/run")" $'audit\nlease\npass'
}
