# shellcheck shell=bash disable=SC2154

# tenant access, from manifests alone: nothing is asked of any machine.

load ../lib/home

setup() {
	home_setup
	copyhold init >/dev/null
}

teardown() { home_teardown; }

access() { try tenant access "$@" -f "$REPO/manifests/quickstart"; }

@test "on a customer's server it is membership of its roles and nothing of its own" {
	access acme
	assert_exit 0
	assert_out 'AT               KIND   WHAT
cluster/acme-db  grant  GRANT "acme_owner" TO "copyhold";
cluster/acme-db  grant  GRANT "acme_app" TO "copyhold";
cluster/acme-db  grant  GRANT CONNECT ON DATABASE "acme" TO "copyhold", "acme_app";'
}

@test "the statements are those of the setup script" {
	local what
	access globex --output jsonl
	assert_exit 0
	assert_equal "$(jq -r .at <<<"$output" | sort -u)" cluster/bj-1
	while read -r what; do
		BJ1_PASSWORD=x copyhold cluster setup-script bj-1 -f "$REPO/manifests/quickstart" | grep -qxF -- "$what"
	done < <(jq -r .what <<<"$output")
	assert_equal "$(wc -l <<<"$output")" 4
}

@test "no password and no verifier is in it, and none is made" {
	access acme --output json
	assert_lacks SCRAM
	assert_lacks PASSWORD
	try secret list --output json
	assert_out "[]"
}

@test "it fits its schema" {
	access acme --output json
	python3 "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" tenantAccess <<<"$output"
}

@test "a tenant that nobody names is not found" {
	access nobody
	assert_exit 1
	assert_err 'error[not-found]: the manifests have no tenant "nobody"
  hint:  See: copyhold check.'
	try tenant access nobody
	assert_exit 1
	assert_err 'error[not-found]: there is no tenant "nobody"
  hint:  Apply its manifest first: copyhold apply -f PATH.'
}

@test "a tenant whose cluster is still to be chosen has no answer yet" {
	access initech
	assert_exit 1
	assert_err 'error[refused]: the cluster of tenant "initech" is chosen when it is applied
  hint:  Name its cluster in the manifest.'
}
