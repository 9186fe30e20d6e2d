# shellcheck shell=bash
# chain.bash - for bats files: a chain of commands on two tenants, and what is there after each.
#
#   load ../lib/home
#   load ../lib/cluster
#   load ../kill/chain
#   setup_file() { chain_servers; }
#
# A chain has a number N; all its names have it at their end, so that chains stand side by side in
# one home and on the same two servers: d-N is dedicated, c-N is on the customer's server.  What
# is compared is what is there by definition, with the number and the opaque ids taken out.

# shellcheck disable=SC2034 # for the file that loads this one
chain_commands=(provision widen drop suspend resume login-add login-rotate login-remove delete purge
	hand-back)

# Nothing here looks at what a power cut leaves: fsync is off.
chain_servers() {
	clusters_setup
	export VENDOR_PASSWORD=vendor CUSTOMER_PASSWORD=customer COPYHOLD_NOW=1790000000000
	cluster_start vendor --set fsync=off --set log_statement=ddl
	cluster_start customer --set fsync=off --set log_statement=ddl
	home_setup
	export COPYHOLD_HOME=$TEST_DIR/home
	copyhold init
}

chain_enter() { export COPYHOLD_HOME=$TEST_DIR/home; }

# NAME PORT DATABASE REGION MODE VARIABLE
chain_cluster() {
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Cluster
		metadata: {name: $1}
		spec:
		  region: $4
		  modes: [$5]
		  capacity: 100
		  connect: {host: 127.0.0.1, port: $2, user: copyhold, database: $3,
		    password: {secretRef: "env:$6"}}
		---
	YAML
}

# N OBJECTS [DROP]: the manifests of one version of the model.
chain_manifests() {
	local n=$1
	printf 'apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: r-%s}\nspec: {country: CN}\n---\n' "$n"
	chain_cluster "v-$n" "$(cluster_port vendor)" copyhold "r-$n" dedicated VENDOR_PASSWORD
	chain_cluster "u-$n" "$(cluster_port customer)" "db_$n" "r-$n" customer-db CUSTOMER_PASSWORD
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: m-$n}
		spec: {version: 1, drop: [${3-}], objects: [$2]}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: d-$n, displayName: Dedicated}
		spec: {model: m-$n, mode: dedicated, cluster: v-$n}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: c-$n, displayName: Customer}
		spec: {model: m-$n, mode: customer-db, cluster: u-$n, database: db_$n, ownerRole: owner_$n}
	YAML
}

chain_begin() {
	local n=$1 dir=$TEST_DIR/chain/$1
	mkdir -p "$dir"
	chain_manifests "$n" "
		{name: account, fields: [{name: name, type: text, maxLength: 80, required: true},
		  {name: code, type: text, maxLength: 20}, {name: city, type: text, maxLength: 40},
		  {name: old, type: text, maxLength: 30}]},
		{name: contact, fields: [{name: account, type: reference, to: account, onDelete: cascade},
		  {name: email, type: text, maxLength: 100}]}" >"$dir/1.yaml"
	chain_manifests "$n" "
		{name: account, fields: [{name: name, type: text, maxLength: 120, required: true},
		  {name: code, type: text, maxLength: 20, unique: true},
		  {name: city, type: text, maxLength: 40, indexed: true},
		  {name: old, type: text, maxLength: 30},
		  {name: score, type: integer, required: true, default: 5}]},
		{name: contact, fields: [{name: account, type: reference, to: account, onDelete: cascade},
		  {name: email, type: text, maxLength: 100}]},
		{name: note, fields: [{name: body, type: text}]}" >"$dir/2.yaml"
	chain_manifests "$n" "
		{name: account, fields: [{name: name, type: text, maxLength: 120, required: true},
		  {name: code, type: text, maxLength: 20, unique: true},
		  {name: city, type: text, maxLength: 40, indexed: true},
		  {name: score, type: integer, required: true, default: 5}]},
		{name: contact, fields: [{name: account, type: reference, to: account, onDelete: cascade},
		  {name: mail, was: email, type: text, maxLength: 100}]},
		{name: memo, was: note, fields: [{name: body, type: text}]}" account.old >"$dir/3.yaml"
	if [ ! -e "$TEST_DIR/chain/vendor-is-set-up" ]; then
		copyhold cluster setup-script "v-$n" -f "$dir/1.yaml" | su_psql vendor -
		: >"$TEST_DIR/chain/vendor-is-set-up"
	fi
	copyhold tenant setup-script "c-$n" -f "$dir/1.yaml" | su_psql customer -
}

# Rows that all the rest of the chain must leave alone.
chain_fill() {
	local rows="INSERT INTO app.account (id, name, code, city, old)
		SELECT ('00000000-0000-4000-8000-00000000000' || i)::uuid, 'n' || i, 'c' || i, 'x', 'o'
		FROM generate_series(1, 3) i"
	su_psql vendor "$rows" "$(chain_database "$1")"
	su_psql customer "$rows" "db_$1"
}

# N: of the dedicated tenant; kept in a file, for the catalogue forgets it.
chain_database() {
	local file=$TEST_DIR/chain/$1/database
	[ -s "$file" ] || sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" \
		"SELECT dbname FROM tenant WHERE name = 'd-$1'" >"$file"
	[ -s "$file" ] && cat "$file" || echo no_such_database
}

# N COMMAND: runs it.
chain_do() {
	local n=$1 dir=$TEST_DIR/chain/$1
	case $2 in
	provision) copyhold apply -f "$dir/1.yaml" -t "d-$n" -t "c-$n" --yes ;;
	widen) copyhold apply -f "$dir/2.yaml" -t "d-$n" -t "c-$n" --yes ;;
	drop) copyhold apply -f "$dir/3.yaml" -t "d-$n" -t "c-$n" --yes --prune \
		--confirm-removal ;;
	suspend) copyhold tenant suspend "d-$n" --yes ;;
	resume) copyhold tenant resume "d-$n" --yes ;;
	login-add) copyhold login add "d-$n" batch --read-only ;;
	login-rotate) copyhold login rotate "d-$n" app ;;
	login-remove) copyhold login remove "d-$n" batch --yes ;;
	delete) copyhold tenant delete "d-$n" --yes ;;
	purge) copyhold tenant delete "d-$n" --now --no-backup --confirm "d-$n" --yes ;;
	hand-back) copyhold tenant delete "c-$n" --hand-back --confirm "c-$n" --yes ;;
	esac
}

# COMMAND: what follows it that is not killed.
chain_between() {
	[ "$2" != provision ] || chain_fill "$1"
}

chain_last_run() {
	sqlite3 "$COPYHOLD_HOME/catalog.db" "SELECT max(id) FROM run"
}

# --- what is there ------------------------------------------------------------------------

# Straight to psql: there are hundreds of these.
chain_psql() {
	psql -X -q -At -v ON_ERROR_STOP=1 -h "$(<"$CLUSTERS/$1/socket")" -p "$(<"$CLUSTERS/$1/port")" \
		-U postgres -d "$2" -c "$3"
}

# N: the opaque role of each login that there ever was, and what the ledger calls its tenants.
chain_note_roles() {
	sqlite3 -readonly -separator ' ' "$COPYHOLD_HOME/catalog.db" \
		"SELECT role, client_user FROM login WHERE tenant = 'd-$1'" >>"$TEST_DIR/chain/$1/roles"
	sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" \
		"SELECT id FROM tenant WHERE name IN ('d-$1', 'c-$1')" >>"$TEST_DIR/chain/$1/tenants"
}

# N: takes out of stdin what differs between equal chains.
chain_normal() {
	local n=$1 role user script=()
	while read -r role user; do
		script+=(-e "s/\b$role\b/t_ID_$user/g")
	done < <(sort -u "$TEST_DIR/chain/$n/roles")
	script+=(-e "s/\b$(chain_database "$n")(_|\b)/t_ID\1/g")
	script+=(-e "s/\b([a-z]|db|owner)([-_])$n(_|\b)/\1\2N\3/g")
	script+=(-e "s/SCRAM-SHA-256[^']*/SCRAM/g" -e "/^\\\\(un)?restrict /d")
	sed -E "${script[@]}"
}

chain_catalogue() {
	sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" <<-SQL
		SELECT 'tenant', name, display, state, mode, cluster, dbname, owner, model, model_version,
			purge_after FROM tenant WHERE name IN ('d-$1', 'c-$1') ORDER BY 2;
		SELECT 'login', tenant, client_user, role, access, on_now, sealed IS NOT NULL
			FROM login WHERE tenant IN ('d-$1', 'c-$1') ORDER BY 2, 3;
		SELECT 'route', tenant, state, cluster, dbname FROM route
			WHERE tenant IN ('d-$1', 'c-$1') ORDER BY 2;
		SELECT 'object', kind, name, spec, generation FROM object
			WHERE name IN ('d-$1', 'c-$1', 'm-$1', 'r-$1', 'u-$1', 'v-$1') ORDER BY 2, 3;
		SELECT 'shape', t.name, s.body FROM tenant t JOIN shape s ON s.hash = t.shape
			WHERE t.name IN ('d-$1', 'c-$1') ORDER BY 2;
		SELECT 'ident', scope, object, field FROM ident
			WHERE scope LIKE '%-$1' ORDER BY 2, 3, 4;
		SELECT 'life', key, value FROM meta WHERE key IN ('life/d-$1', 'life/c-$1');
		SELECT 'open step', scope, kind, state FROM step WHERE scope LIKE '%-$1'
			AND state NOT IN ('done', 'undone', 'abandoned') ORDER BY run, id;
		SELECT 'open run', r.verb, r.state FROM run r WHERE r.state NOT IN ('done', 'undone')
			AND EXISTS (SELECT 1 FROM step s WHERE s.run = r.id AND s.scope LIKE '%-$1')
			ORDER BY r.id;
	SQL
}

# CLUSTER DATABASE PATTERN: roles of these names, their settings and memberships, the database and
# its rights.
chain_roles() {
	chain_psql "$1" postgres "
		SELECT 'role', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
			rolreplication, rolbypassrls, rolconnlimit, rolpassword IS NOT NULL, rolvaliduntil
		FROM pg_authid WHERE rolname ~ '$3' ORDER BY rolname;
		SELECT 'setting', d.datname, r.rolname, s.setconfig FROM pg_db_role_setting s
		LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
		WHERE d.datname = '$2' OR r.rolname ~ '$3' ORDER BY 2, 3;
		SELECT 'member', g.rolname, m.rolname, a.admin_option FROM pg_auth_members a
		JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
		WHERE g.rolname ~ '$3' OR m.rolname ~ '$3' ORDER BY 2, 3;
		SELECT 'database', datname, pg_get_userbyid(datdba), datallowconn, datconnlimit, datistemplate
		FROM pg_database WHERE datname = '$2';
		SELECT 'right', datname, a FROM pg_database, unnest(datacl) a WHERE datname = '$2'"
}

# CLUSTER DATABASE: tables, constraints, indexes, rights, rows, and what the template gave.
chain_tables() {
	[ -n "$2" ] || return 0
	[ -n "$(chain_psql "$1" postgres "SELECT 1 FROM pg_database WHERE datname = '$2'")" ] || return 0
	pg_dump -h "$(<"$CLUSTERS/$1/socket")" -p "$(<"$CLUSTERS/$1/port")" -U postgres --inserts \
		--exclude-table-data='copyhold.*' -n app -n copyhold -n public "$2"
	chain_psql "$1" "$2" "
		SELECT 'schema', nspname, pg_get_userbyid(nspowner), nspacl FROM pg_namespace
		WHERE nspname !~ '^pg_' ORDER BY 2;
		SELECT 'template', md5(string_agg(oid || coalesce(proacl::text, ''), ' ' ORDER BY oid))
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace;
		SELECT 'template', md5(string_agg(oid || coalesce(relacl::text, ''), ' ' ORDER BY oid))
		FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace;
		SELECT 'default right', count(*) FROM pg_default_acl;
		SELECT 'invalid', indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
}

# CLUSTER DATABASE N: of the ledger, how often each kind of step took effect.  What was found built has
# no row there: chain_statements counts those.
chain_applied() {
	[ "$2" = copyhold ] || [ -n "$(chain_psql "$1" postgres \
		"SELECT 1 FROM pg_database WHERE datname = '$2'")" ] || return 0
	[ -z "$(chain_psql "$1" "$2" "SELECT to_regclass('copyhold.applied')")" ] ||
		chain_psql "$1" "$2" "SELECT 'applied', kind, count(*) FROM copyhold.applied
			WHERE tenant = ANY ('{$(sort -u "$TEST_DIR/chain/$3/tenants" | paste -sd ,)}')
				AND kind NOT IN ('index.build', 'unique.build') GROUP BY 2 ORDER BY 2"
}

# N: all of it.
chain_state() {
	local id
	chain_note_roles "$1"
	id=$(chain_database "$1")
	{
		chain_catalogue "$1"
		chain_roles vendor "$id" "^$id(_.*)?\$"
		chain_roles customer "db_$1" "^(db_$1(_.*)?|owner_$1)\$"
		chain_applied vendor copyhold "$1"
		chain_applied vendor "$id" "$1"
		chain_applied customer "db_$1" "$1"
	} | chain_normal "$1" | sort
	{
		chain_tables vendor "$id"
		chain_tables customer "db_$1"
	} | chain_normal "$1"
}

# N: the statements that no transaction takes back, by their first lines.  All others are counted
# by the ledger, which is written in their transaction.
chain_statements() {
	local id
	id=$(chain_database "$1")
	cat "$CLUSTERS/vendor/log" "$CLUSTERS/customer/log" |
		grep -E " copyhold@(copyhold|$id|db_$1) LOG:  (statement|execute [^:]*): " |
		sed -E 's/^.* copyhold@([^ ]*) LOG:  (statement|execute [^:]*): /\1 /' |
		grep -E "^[^ ]+ (CREATE|DROP) DATABASE .*\"$id\"|^($id|db_$1) (CREATE|DROP).* CONCURRENTLY " |
		chain_normal "$1" | sort
}

# N: what it used goes, so that a hundred chains need no more room than one.
chain_end() {
	local id
	id=$(chain_database "$1")
	chain_psql vendor postgres "DROP DATABASE IF EXISTS \"$id\" WITH (FORCE)" 2>/dev/null
	chain_psql customer postgres "DROP DATABASE \"db_$1\" WITH (FORCE)"
}

# --- kills ------------------------------------------------------------------------------

# Chain 0: what each command passes, and what is there after it.
chain_undisturbed() {
	local command
	chain_begin 0
	for command in "${chain_commands[@]}"; do
		COPYHOLD_FAULT=list:$TEST_DIR/$command.boundaries chain_do 0 "$command"
		chain_between 0 "$command"
		chain_state 0 >"$TEST_DIR/$command.state"
		chain_statements 0 >"$TEST_DIR/$command.statements"
	done
}

boundaries() { wc -l <"$TEST_DIR/$1.boundaries"; }

# N COMMAND: killed there and resumed, it leaves what the undisturbed one leaves.
kill_and_resume() {
	local status=0 log=$TEST_DIR/chain/$1/$2
	COPYHOLD_FAULT=kill:$1 chain_do "$1" "$2" >"$log.out" 2>&1 || status=$?
	if [ "$status" != 137 ]; then
		echo "$2: not killed at boundary $1 but ended with $status" && cat "$log.out"
		return 1
	fi
	copyhold run resume "$(chain_last_run)" >"$log.out" 2>&1 || {
		echo "$2: killed at boundary $1, not resumed: $?" && cat "$log.out"
		return 1
	}
	chain_between "$1" "$2"
	chain_state "$1" >"$log.state"
	chain_statements "$1" >"$log.statements"
	if ! diff -u "$TEST_DIR/$2.state" "$log.state" >"$log.diff" ||
		! diff -u "$TEST_DIR/$2.statements" "$log.statements" >>"$log.diff"; then
		echo "$2: killed at boundary $1 and resumed, the end differs:" && cat "$log.diff"
		return 1
	fi
}

# N: no command after the last one that has so many boundaries.
chain_killed() {
	local command last=
	for command in "${chain_commands[@]}"; do
		[ "$(boundaries "$command")" -lt "$1" ] || last=$command
	done
	chain_begin "$1"
	for command in "${chain_commands[@]}"; do
		if [ "$(boundaries "$command")" -ge "$1" ]; then
			kill_and_resume "$1" "$command" || return
		else
			chain_do "$1" "$command" >/dev/null 2>&1 || return
			chain_between "$1" "$command"
		fi
		[ "$command" != "$last" ] || break
	done
	chain_end "$1"
}

# FROM TO: the numbers of the chains; says which failed, and why.
chains_killed() {
	local n failed=0
	for ((n = $1; n <= $2; n++)); do
		chain_killed "$n" >"$TEST_DIR/said" || {
			failed=$((failed + 1))
			echo "-- chain $n" && head -n 60 "$TEST_DIR/said"
		}
	done
	[ "$failed" = 0 ]
}

most_boundaries() {
	local command most=0
	for command in "${chain_commands[@]}"; do
		[ "$(boundaries "$command")" -le "$most" ] || most=$(boundaries "$command")
	done
	echo "$most"
}
