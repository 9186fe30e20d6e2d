# What somebody meets who takes many tenants on, and whose server is away.
load ../lib/home
load ../lib/cluster
load ../lib/estate

setup_file() {
	clusters_setup
	estate_servers
}
setup() { home_setup; estate_setup; }
teardown() { home_teardown; }
teardown_file() { clusters_remove; }

# NUMBER: so many tenants more.
more_tenants() {
	local i
	for ((i = 1; i <= $1; i++)); do
		printf -- '---\napiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: more-%d}\n' "$i"
		echo 'spec: {model: crm, mode: dedicated, cluster: bj-1}'
	done >"$MANIFESTS/more.yaml"
}

@test "the failure of a server is told in full once, and by name for each of its tenants" {
	more_tenants 3
	BJ1_PASSWORD=wrong try plan -f "$MANIFESTS" -t more-1 -t more-2 -t more-3
	assert_exit 1
	assert_equal "$(grep '^error' <<<"$stderr")" \
		'error[login-refused]: "bj-1" refused the password of user "copyhold" (SQLSTATE 28P01)
error[login-refused]: "bj-1" refused the password of user "copyhold" (SQLSTATE 28P01)
error[login-refused]: tenant "more-2", as above: "bj-1" refused the password of user "copyhold"
error[login-refused]: tenant "more-3", as above: "bj-1" refused the password of user "copyhold"'
}

@test "an apply of which a part cannot be planned says so, in both forms" {
	BJ1_PASSWORD=wrong try apply -f "$MANIFESTS" -t acme -t globex --yes
	assert_exit 1
	assert_equal "$(tail -n 1 <<<"$output")" "run 1: 5 of 5 done; 2 could not be planned"
	sed -i 's/maxLength: 254/maxLength: 255/' "$MANIFESTS/model-crm.yaml"
	BJ1_PASSWORD=wrong try apply -f "$MANIFESTS" -t acme -t globex --yes -o json
	assert_exit 1
	assert_equal "$(jq -c '[.exit, (.scopes[] | [.scope, .outcome])]' <<<"$output")" \
		'[1,["model/crm","done"],["tenant/acme","done"],["cluster/bj-1","failed"],["tenant/globex","failed"]]'
}

@test "tenants that no manifest names stand in one line; completion knows them; an undo counts" {
	local run
	more_tenants 2
	copyhold apply -f "$MANIFESTS" -t more-1 -t more-2 --yes >/dev/null
	rm "$MANIFESTS/more.yaml"
	try plan -f "$MANIFESTS"
	assert_contains "= tenants more-1, more-2: no manifest names it; it stays"
	# shellcheck disable=SC1090
	. <(copyhold completion bash)
	PATH=$TEST_DIR:$PATH
	ln -s "$COPYHOLD_BIN" "$TEST_DIR/copyhold"
	# shellcheck disable=SC2034 # the shell's own names
	COMP_WORDS=(copyhold tenant show mor) COMP_CWORD=3
	_copyhold
	assert_equal "${COMPREPLY[*]}" "more-1 more-2"
	copyhold login add more-1 report
	run=$(copyhold run list --limit 1 -o json | jq '.[0].id')
	try run undo "$run" --yes
	assert_exit 0
	assert_out "run $run: 1 of 1 rolled back"
}
