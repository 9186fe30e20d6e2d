# shellcheck shell=bash
# chain_shared.bash - for bats files: the chain of tests/kill/chain.bash in mode shared.
#
#   load ../lib/home
#   load ../lib/cluster
#   load ../kill/chain
#   load ../kill/chain_shared
#   setup_file() { chain_servers; }
#
# Three tenants of one model on one server: s-N says nothing of its own, o-N has fields in spare
# columns, t-N has tables of its own.  Rows of a fourth, n-N, must never change.  A new version is for
# all tenants that there are, so each chain has a home to itself.

# shellcheck disable=SC2034 # for the file that loads this one
chain_commands=(provision own widen ahead drop turn suspend resume login-add login-rotate
	login-remove delete purge purge-views purge-tables empty)

chain_servers() {
	clusters_setup
	export VENDOR_PASSWORD=vendor COPYHOLD_NOW=1790000000000
	cluster_start vendor --set fsync=off --set log_statement=ddl
	home_setup
	export COPYHOLD_HOME=$TEST_DIR/home
	copyhold init
}

# N VERSION OBJECTS DROP OWN-OF-O OWN-OF-T [DROP-OF-O]
chain_manifests() {
	local n=$1
	printf 'apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: r-%s}\nspec: {country: CN}\n---\n' "$n"
	chain_cluster "v-$n" "$(cluster_port vendor)" copyhold "r-$n" shared VENDOR_PASSWORD
	cat <<-YAML
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: m-$n}
		spec: {version: $2, drop: [$4], objects: [$3]}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: s-$n}
		spec: {model: m-$n, mode: shared, cluster: v-$n}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: n-$n}
		spec: {model: m-$n, mode: shared, cluster: v-$n}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: o-$n}
		spec: {model: m-$n, mode: shared, cluster: v-$n, acceptVisibleNames: true,
		  drop: [${7-}], fields: {account: [$5]}}
		---
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: t-$n}
		spec: {model: m-$n, mode: shared, cluster: v-$n, acceptVisibleNames: true,
		  fields: {account: [$6]}}
	YAML
}

chain_begin() {
	local n=$1 dir=$TEST_DIR/chain/$1
	local unique="{name: x_code, type: text, maxLength: 10, unique: true}"
	local first="
		{name: account, fields: [{name: name, type: text, maxLength: 80, required: true},
		  {name: code, type: text, maxLength: 20}, {name: old, type: text, maxLength: 30},
		  {name: parent, type: reference, to: account}]},
		{name: contact, fields: [{name: account, type: reference, to: account, onDelete: cascade},
		  {name: email, type: text, maxLength: 100}]}"
	local second="
		{name: account, fields: [{name: name, type: text, maxLength: 120, required: true},
		  {name: code, type: text, maxLength: 20, unique: true},
		  {name: old, type: text, maxLength: 30, indexed: true},
		  {name: parent, type: reference, to: account},
		  {name: score, type: integer, required: true, default: 5}]},
		{name: contact, fields: [{name: account, type: reference, to: account, onDelete: cascade},
		  {name: email, type: text, maxLength: 100}]},
		{name: note, fields: [{name: body, type: text}]}"
	local ahead=${second/\{name: score/"{name: extra, type: date}, {name: score"}
	local third="
		{name: account, fields: [{name: name, type: text, maxLength: 120, required: true},
		  {name: code, type: text, maxLength: 20, unique: true},
		  {name: parent, type: reference, to: account}, {name: extra, type: date},
		  {name: score, type: integer, required: true, default: 5}]},
		{name: contact, fields: [{name: account, type: reference, to: account, onDelete: cascade},
		  {name: mail, was: email, type: text, maxLength: 100}]},
		{name: memo, was: note, fields: [{name: body, type: text}]}"
	local own="{name: x_note, type: text}, {name: x_size, type: integer, default: 7}"
	local more="{name: x_note, type: text}, {name: x_day, type: date, indexed: true}"
	mkdir -p "$dir"
	export COPYHOLD_HOME=$TEST_DIR/home-$n
	cp -r "$TEST_DIR/home" "$COPYHOLD_HOME"
	chain_manifests "$n" 1 "$first" "" "{name: x_note, type: text}" "$unique" >"$dir/1.yaml"
	chain_manifests "$n" 1 "$first" "" "$own" "$unique" >"$dir/2.yaml"
	chain_manifests "$n" 2 "$second" "" "$own" "$unique" >"$dir/3.yaml"
	chain_manifests "$n" 3 "$ahead" "" "$own" "$unique" >"$dir/4.yaml"
	chain_manifests "$n" 4 "$third" account.old "$more" "$unique" account.x_size >"$dir/5.yaml"
	chain_manifests "$n" 4 "$third" account.old "$more, $unique" "$unique" account.x_size \
		>"$dir/6.yaml"
	awk -v RS='---\n' '!/kind: Tenant/ { print sep $0; sep = "---\n" }' "$dir/6.yaml" \
		>"$dir/7.yaml"
	if [ ! -e "$TEST_DIR/chain/vendor-is-set-up" ]; then
		copyhold cluster setup-script "v-$n" -f "$dir/1.yaml" | su_psql vendor -
		: >"$TEST_DIR/chain/vendor-is-set-up"
	fi
}

# N: of the shared database; kept in a file, for the catalogue forgets it.
chain_database() {
	local file=$TEST_DIR/chain/$1/database now
	now=$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" \
		"SELECT 's_' || id FROM shared WHERE model = 'm-$1'")
	if [ -n "$now" ] && [ "$now" != "$(cat "$file" 2>/dev/null)" ]; then
		echo "$now" >"$file.$BASHPID"
		mv "$file.$BASHPID" "$file"
	fi
	cat "$file" 2>/dev/null || echo no_such_database
}

# Rows of all tenants, as each of their logins would write them.
chain_fill() {
	local tenant
	local -A own=([o]="UPDATE account SET x_note = 'note ' || code" [t]="UPDATE account SET x_code = code")
	for tenant in s o t n; do
		psql -X -q -v ON_ERROR_STOP=1 "$(copyhold -q route resolve "$tenant-$1" --direct)" <<-SQL
			INSERT INTO account (id, name, code, old) SELECT
				('00000000-0000-4000-8000-00000000000' || i)::uuid, 'n' || i, 'c' || i, 'o'
				FROM generate_series(1, 3) i;
			UPDATE account SET parent = '00000000-0000-4000-8000-000000000001';
			INSERT INTO contact (id, account, email) SELECT
				('00000000-0000-4000-8000-00000000001' || i)::uuid,
				('00000000-0000-4000-8000-00000000000' || i)::uuid, 'e' FROM generate_series(1, 3) i;
			${own[$tenant]-}
		SQL
	done
}

# N COMMAND: runs it.
chain_do() {
	local n=$1 dir=$TEST_DIR/chain/$1
	case $2 in
	provision) copyhold apply -f "$dir/1.yaml" --yes ;;
	own) copyhold apply -f "$dir/2.yaml" -t "o-$n" --yes ;;
	widen) copyhold apply -f "$dir/3.yaml" --yes ;;
	ahead) copyhold apply -f "$dir/4.yaml" -t "s-$n" --yes ;;
	drop) copyhold apply -f "$dir/5.yaml" --yes --prune --confirm-removal ;;
	turn) copyhold apply -f "$dir/6.yaml" --yes --prune --confirm-removal ;;
	suspend) copyhold tenant suspend "s-$n" --yes ;;
	resume) copyhold tenant resume "s-$n" --yes ;;
	login-add) copyhold login add "s-$n" batch --read-only ;;
	login-rotate) copyhold login rotate "s-$n" app ;;
	login-remove) copyhold login remove "s-$n" batch --yes ;;
	delete) copyhold tenant delete "s-$n" --yes ;;
	purge) copyhold tenant delete "s-$n" --now --no-backup --confirm "s-$n" --yes ;;
	purge-views) copyhold tenant delete "o-$n" --now --no-backup --confirm "o-$n" --yes ;;
	purge-tables) copyhold tenant delete "t-$n" --now --no-backup --confirm "t-$n" --yes ;;
	empty) copyhold apply -f "$dir/7.yaml" --yes --prune --confirm-removal ;;
	esac
}

# COMMAND: what follows it that is not killed.
chain_between() {
	case $2 in
	provision) chain_fill "$1" ;;
	purge-tables)
		copyhold tenant delete "n-$1" --now --no-backup --confirm "n-$1" --yes >/dev/null
		;;
	esac
}

# N: the opaque names that there ever were.
chain_note_roles() {
	local dir=$TEST_DIR/chain/$1
	sqlite3 -readonly -separator ' ' "$COPYHOLD_HOME/catalog.db" ".once '|cat >>$dir/roles'" \
		"SELECT role, tenant || '_' || client_user FROM login WHERE tenant LIKE '_-$1'" \
		".once '|cat >>$dir/ids'" "SELECT id, name FROM tenant WHERE name LIKE '_-$1'"
}

# N: takes out of stdin what differs between equal chains.
chain_normal() {
	local n=$1 role user id name script=()
	while read -r role user; do
		script+=(-e "s/\b$role\b/t_ID_${user/-$n/}/g")
	done < <(sort -u "$TEST_DIR/chain/$n/roles")
	while read -r id name; do
		script+=(-e "s/$id/ID_${name/-$n/}/g")
	done < <(sort -u "$TEST_DIR/chain/$n/ids")
	script+=(-e "s/\b$(chain_database "$n")(_|\b)/s_ID\1/g")
	script+=(-e "s/$(chain_database "$n" | cut -c 3-)/ID/g")
	script+=(-e "s/\b([a-z])([-_])$n(_|\b)/\1\2N\3/g")
	script+=(-e "s/SCRAM-SHA-256[^']*/SCRAM/g" -e "/^\\\\(un)?restrict /d")
	sed -E "${script[@]}"
}

chain_catalogue() {
	sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" <<-SQL
		SELECT 'tenant', name, state, mode, cluster, dbname, owner, model, model_version,
			purge_after, shared, layout, own_views FROM tenant WHERE name LIKE '_-$1' ORDER BY 2;
		SELECT 'shared', name, cluster, model, version, active FROM shared WHERE model = 'm-$1';
		SELECT 'wide', s.body FROM shared JOIN shape s ON s.hash = shared.wide WHERE model = 'm-$1';
		SELECT 'common', s.body FROM shared JOIN shape s ON s.hash = shared.common
			WHERE model = 'm-$1';
		SELECT 'slot', tenant, object, field, spare, generation FROM slot
			WHERE tenant LIKE '_-$1' ORDER BY 2, 3, 5;
		SELECT 'login', tenant, client_user, role, access, on_now, sealed IS NOT NULL
			FROM login WHERE tenant LIKE '_-$1' ORDER BY 2, 3;
		SELECT 'route', tenant, state, cluster, dbname FROM route WHERE tenant LIKE '_-$1' ORDER BY 2;
		SELECT 'object', kind, name, spec, generation FROM object WHERE name LIKE '_-$1' ORDER BY 2, 3;
		SELECT 'shape', t.name, s.body FROM tenant t JOIN shape s ON s.hash = t.shape
			WHERE t.name LIKE '_-$1' ORDER BY 2;
		SELECT 'ident', scope, object, field FROM ident WHERE scope LIKE '%-$1' ORDER BY 2, 3, 4;
		SELECT 'open step', scope, kind, state FROM step WHERE scope LIKE '%-$1'
			AND state NOT IN ('done', 'undone', 'abandoned') ORDER BY run, id;
		SELECT 'open run', r.verb, r.state FROM run r WHERE r.state NOT IN ('done', 'undone')
			AND EXISTS (SELECT 1 FROM step s WHERE s.run = r.id AND s.scope LIKE '%-$1')
			ORDER BY r.id;
	SQL
}

chain_neighbour() { awk -v name="n-$1" '$2 == name { id = $1 } END { print id }' "$TEST_DIR/chain/$1/ids"; }

# N: how often each kind of step took effect in our own database on the server.
chain_claimed() {
	chain_psql vendor copyhold "SELECT 'applied', kind, count(*) FROM copyhold.applied
		WHERE tenant LIKE '%-$1' GROUP BY 2 ORDER BY 2" 2>/dev/null || true
}

# N: roles of its tenants and of its shared database.
chain_all_roles() {
	sort -u "$TEST_DIR/chain/$1/ids" | awk -v db="$(chain_database "$1")" '
		{ printf "t_%s|", $1 } END { print db }'
}

# N DATABASE: the wide tables, the views, tables of tenants' own, every row, the neighbour's again by
# themselves, and the ledger.  An index that was found built has no row there: chain_statements
# counts those.
chain_tables() {
	pg_dump -h "$(<"$CLUSTERS/vendor/socket")" -p "$(<"$CLUSTERS/vendor/port")" -U postgres --inserts \
		-N copyhold "$2"
	chain_psql vendor "$2" "
		SELECT 'neighbour account', id, name, code, parent FROM wide.account
		WHERE _tenant = '$(chain_neighbour "$1")' ORDER BY id;
		SELECT 'neighbour contact', id, account, coalesce(to_jsonb(c) ->> 'email', to_jsonb(c) ->> 'mail')
		FROM wide.contact c WHERE _tenant = '$(chain_neighbour "$1")' ORDER BY id;
		SELECT 'invalid', indexrelid::regclass FROM pg_index WHERE NOT indisvalid;
		SELECT 'statistics', attrelid::regclass, string_agg(attname, ' ' ORDER BY attname)
		FROM pg_attribute WHERE attstattarget <> 0 AND attnum > 0 AND NOT attisdropped
			AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r'
				AND relnamespace = 'wide'::regnamespace) GROUP BY 2 ORDER BY 2;
		SELECT 'applied', kind, count(*) FROM copyhold.applied
		WHERE kind <> 'index.build' GROUP BY 2 ORDER BY 2"
}

# Of a dump: its statements in the order of their texts, for that of opaque names is chance.
chain_sorted() {
	sed -e '/^--/d' -e 's/^INSERT/\n&/' | awk -v RS= -v ORS='\0' 1 | sort -z | tr '\0' '\n'
}

# N: all of it.
chain_state() {
	local db
	chain_note_roles "$1"
	db=$(chain_database "$1")
	{
		chain_catalogue "$1"
		chain_roles vendor "$db" "^($(chain_all_roles "$1"))(_.*)?\$"
		chain_claimed "$1"
	} | chain_normal "$1" | sort
	chain_tables "$1" "$db" 2>/dev/null | chain_normal "$1" | chain_sorted
}

chain_statements() {
	local db
	db=$(chain_database "$1")
	grep -E " copyhold@(copyhold|$db) LOG:  (statement|execute [^:]*): " "$CLUSTERS/vendor/log" |
		sed -E 's/^.* copyhold@([^ ]*) LOG:  (statement|execute [^:]*): /\1 /' |
		grep -E "^[^ ]+ (CREATE|DROP) DATABASE .*\"$db\"|^$db (CREATE|DROP).* CONCURRENTLY " |
		chain_normal "$1" | sort
}

chain_end() {
	chain_psql vendor postgres "DROP DATABASE IF EXISTS \"$(chain_database "$1")\" WITH (FORCE)" \
		2>/dev/null
	rm -r "$COPYHOLD_HOME"
}
