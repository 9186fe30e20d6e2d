# The same programs and plays on every PostgreSQL that is supported, besides Debian's: 13 to 18.

load ../lib/home
load ../lib/cluster
load ../lib/estate
load ../lib/shop
load ../kill/chain

teardown() {
	clusters_remove
	home_teardown
}

# VERSION: tools/cluster.sh takes its servers from there in what follows.
use() {
	COPYHOLD_PGBIN=$("$REPO/tools/postgres-versions.sh" fetch "$1")
	export COPYHOLD_PGBIN
}

# NAME...: plays; each has servers of its own.
plays() {
	local name
	for name; do
		bats --formatter tap "$REPO/tests/$name.bats" </dev/null >"$BATS_TEST_TMPDIR/said" 2>&1 || {
			grep -v '^ok ' "$BATS_TEST_TMPDIR/said" >&2
			return 1
		}
	done
}

programs() {
	"$REPO/tests/lib/cluster.sh" "$REPO/tests/run.sh" --programs 'tests/pg/test_*.c' \
		>"$BATS_TEST_TMPDIR/said" 2>&1 || {
		grep -v '^ok ' "$BATS_TEST_TMPDIR/said" >&2
		return 1
	}
}

# VERSION: a chain of every kind of command on a tenant of each mode, with nothing left to do after
# any of them.
life() {
	local command
	chain_servers >/dev/null
	assert_equal "$(su_psql vendor "SELECT current_setting('server_version_num')::int / 10000")" "$1"
	chain_begin 1 >/dev/null
	for command in "${chain_commands[@]}"; do
		chain_do 1 "$command" >"$TEST_DIR/said" 2>&1 || {
			cat "$TEST_DIR/said" >&2
			return 1
		}
		chain_between 1 "$command"
		settled "$command"
	done
}

# COMMAND: what is in force finds nothing to change; both tenants are proven while they are open.
settled() {
	local version=2 tenant
	case $1 in
	provision) version=1 ;;
	widen) ;;
	drop)
		version=3
		copyhold apply -f "$TEST_DIR/chain/1/3.yaml" --yes --quiet --prune --confirm-removal
		;;
	*) return 0 ;;
	esac
	run copyhold plan -f "$TEST_DIR/chain/1/$version.yaml" --detailed-exitcode
	assert_exit 0
	for tenant in d-1 c-1; do
		run copyhold tenant verify "$tenant"
		assert_exit 0
		assert_lacks FAILED
	done
}

@test "PostgreSQL 12 is refused before the first change" {
	use 12
	home_setup
	clusters_setup
	estate_servers
	run estate_setup
	assert_contains "ERROR:  PostgreSQL 13 or newer is needed"
	MANIFESTS=$TEST_DIR/manifests
	su_psql bj-1 "CREATE ROLE copyhold LOGIN CREATEDB CREATEROLE PASSWORD '$BJ1_PASSWORD'"
	su_psql bj-1 "CREATE DATABASE copyhold OWNER copyhold"
	run su_psql acme-db - < <(copyhold tenant setup-script acme -f "$MANIFESTS")
	assert_contains "ERROR:  PostgreSQL 13 or newer is needed"
	su_psql acme-db "CREATE ROLE copyhold LOGIN PASSWORD '$ACME_DB_PASSWORD'"
	su_psql acme-db "CREATE DATABASE acme"
	try apply -f "$MANIFESTS" --yes -t globex -t acme
	assert_exit 1
	assert_contains 'error[server-too-old]: cluster "bj-1" is of version 12' "$stderr"
	assert_contains 'error[server-too-old]: cluster "acme-db" is of version 12' "$stderr"
	assert_contains "  hint:  PostgreSQL 13 or newer is needed." "$stderr"
	assert_equal "$(su_psql bj-1 "SELECT count(*) FROM pg_database WHERE datname ~ '^t_'")" 0
	assert_equal "$(su_psql acme-db "SELECT to_regnamespace('copyhold') IS NULL" acme)" t
}

@test "PostgreSQL 14 is refused for mode shared before the first change" {
	use 14
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	try apply -f "$MANIFESTS" --yes
	assert_exit 1
	assert_contains 'error[server-too-old]: cluster "vendor" is of version 14
  while: looking at shared database "vendor/shop"
  hint:  PostgreSQL 15 or newer is needed for mode shared.' "$stderr"
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_database WHERE datname ~ '^s_'")" 0
	assert_equal "$(su_psql vendor "SELECT count(*) FROM pg_roles WHERE rolname ~ '^[st]_'")" 0
}

@test "the programs of tests/pg pass on PostgreSQL 13" { use 13; programs; }
@test "the programs of tests/pg pass on PostgreSQL 14" { use 14; programs; }
@test "the programs of tests/pg pass on PostgreSQL 16" { use 16; programs; }
@test "the programs of tests/pg pass on PostgreSQL 17" { use 17; programs; }
@test "the programs of tests/pg pass on PostgreSQL 18" { use 18; programs; }

@test "tenants are made, changed, suspended and given up on PostgreSQL 13" { use 13; life 13; }
@test "tenants are made, changed, suspended and given up on PostgreSQL 14" { use 14; life 14; }
@test "tenants are made, changed, suspended and given up on PostgreSQL 16" { use 16; life 16; }
@test "tenants are made, changed, suspended and given up on PostgreSQL 17" { use 17; life 17; }
@test "tenants are made, changed, suspended and given up on PostgreSQL 18" { use 18; life 18; }

@test "the object interface, isolation and Chinook's data hold on PostgreSQL 13" {
	use 13
	plays play/conformance play/data
}

@test "the object interface, isolation and Chinook's data hold on PostgreSQL 14" {
	use 14
	plays play/conformance play/data
}

@test "the object interface, isolation and Chinook's data hold on PostgreSQL 16" {
	use 16
	plays play/conformance play/data
}

@test "the object interface, isolation and Chinook's data hold on PostgreSQL 17" {
	use 17
	plays play/conformance play/data
}

@test "the object interface, isolation and Chinook's data hold on PostgreSQL 18" {
	use 18
	plays play/conformance play/data
}

@test "drift is found and mended on PostgreSQL 13" { use 13; plays play/drift; }
@test "drift is found and mended on PostgreSQL 14" { use 14; plays play/drift; }
@test "drift is found and mended on PostgreSQL 16" { use 16; plays play/drift; }
@test "drift is found and mended on PostgreSQL 17" { use 17; plays play/drift; }
@test "drift is found and mended on PostgreSQL 18" { use 18; plays play/drift; }

# What the plays of mode shared say of roles and policies is said by the server's own text.
@test "mode shared holds on PostgreSQL 16" {
	use 16
	plays play/shared_lifecycle play/shared_own play/shared_purge play/shared_evolution play/shared_crowd
}

@test "mode shared holds on PostgreSQL 17" {
	use 17
	plays play/shared_lifecycle play/shared_own play/shared_purge play/shared_evolution play/shared_crowd
}

@test "mode shared holds on PostgreSQL 18" {
	use 18
	plays play/shared_lifecycle play/shared_own play/shared_purge play/shared_evolution play/shared_crowd
}
