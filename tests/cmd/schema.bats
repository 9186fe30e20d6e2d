load ../lib/home

# What commands that need no server print with --output json fits manifests/schema/output-v1.json.

# The package is one of the system's Python, which need not be the first in PATH.
setup_file() {
	PYTHON=/usr/bin/python3
	"$PYTHON" -c 'import jsonschema' 2>/dev/null || PYTHON=python3
	export PYTHON
}

setup() { home_setup; }
teardown() { home_teardown; }

SCHEMA=$REPO/manifests/schema/output-v1.json

# DEFINITION [lines]: of standard input.
fits() { "$PYTHON" "$REPO/tests/lib/schema.py" "$SCHEMA" "$@"; }

# DEFINITION ARGUMENT...: the command succeeds, and its output fits as JSON and as JSON lines.
try_list() {
	try "${@:2}" --output json
	assert_exit 0
	fits "$1" <<<"$output"
	try "${@:2}" --output jsonl
	assert_exit 0
	fits "$1" lines <<<"$output"
}

try_object() {
	try "${@:2}" --output json
	assert_exit 0
	fits "$1" <<<"$output"
	try "${@:2}" --output jsonl
	assert_exit 0
	assert_equal "${#lines[@]}" 1
	fits "$1" <<<"$output"
}

# Manifests that apply without a server: a region and a model.
write_landless() {
	mkdir -p "$TEST_DIR/landless"
	printf '%s\n' "apiVersion: copyhold/v1" "kind: Region" "metadata: {name: eu}" \
		"spec: {country: DE}" >"$TEST_DIR/landless/region.yaml"
	cp "$REPO/manifests/quickstart/model-crm.yaml" "$TEST_DIR/landless"
}

@test "the schema refuses what does not fit" {
	run --separate-stderr fits version <<<'{"version": "0.1.0"}'
	assert_exit 0
	run --separate-stderr fits version <<<'{"version": "0.1.0", "more": 1}'
	assert_exit 1
	assert_contains "version: /: Additional properties are not allowed" "$stderr"
	run --separate-stderr fits check <<<'{"valid": true}'
	assert_exit 1
	assert_contains "'manifests' is a required property" "$stderr"
	run --separate-stderr fits nothing <<<'{}'
	assert_exit 1
	assert_contains "has no definition nothing" "$stderr"
}

@test "version and check print what the schema says" {
	try_object version version
	try_object check check -f "$REPO/manifests/quickstart"
}

@test "the lists of a fresh home are empty lists" {
	copyhold init
	for pair in "tenantList tenant list" "routeList route list" "runList run list" \
		"secretList secret list"; do
		read -ra words <<<"$pair"
		try "${words[@]:1}" --output json
		assert_exit 0
		assert_out "[]"
		fits "${words[0]}" <<<"$output"
		try "${words[@]:1}" --output jsonl
		assert_exit 0
		assert_out ""
	done
}

@test "the list of secrets prints what the schema says" {
	copyhold init
	copyhold secret set vendor <<<"a secret"
	try_list secretList secret list
	assert_equal "$output" '{"name":"vendor"}'
}

@test "plan, a saved plan, apply and its run print what the schema says" {
	copyhold init
	write_landless
	try_object plan plan -f "$TEST_DIR/landless"
	assert_equal "$(jq -c '[.counts.add, (.steps | length)]' <<<"$output")" "[2,2]"
	try plan -f "$TEST_DIR/landless" --out "$TEST_DIR/saved"
	assert_exit 0
	fits savedPlan <"$TEST_DIR/saved"
	try apply -f "$TEST_DIR/landless" --yes --output json
	assert_exit 0
	fits run <<<"$output"
	assert_equal "$(jq -c '[.run, .exit, [.scopes[].outcome]]' <<<"$output")" '[1,0,["done","done"]]'
	try_object plan apply -f "$TEST_DIR/landless"
	assert_equal "$(jq .counts.unchanged <<<"$output")" 2
	try_list runList run list
	try_list runShow run show 1
	try_object modelShow model show crm
}

@test "a plan of tenants prints their changes and steps as the schema says" {
	copyhold init
	try_object plan plan --no-refresh -f "$REPO/manifests/quickstart"
	assert_equal "$(jq -c '[.counts.add, .counts.failed]' <<<"$output")" "[24,0]"
	assert_equal "$(jq '[.steps[] | select(.pivot)] | length' <<<"$output")" 11
	assert_equal "$(jq -r '.entries[] | select(.name == "initech") | .note' <<<"$output")" \
		"dedicated on bj-1: least full in region cn-north, 3 of 500 used"
}

@test "undo of a run prints what the schema says" {
	copyhold init
	write_landless
	copyhold apply -f "$TEST_DIR/landless" --yes
	try run undo 1 --yes --output json
	assert_exit 0
	fits run <<<"$output"
	try_object plan plan -f "$TEST_DIR/landless"
	assert_equal "$(jq .counts.add <<<"$output")" 2
}

@test "doctor prints what the schema says, with and without a home" {
	try doctor --output json
	assert_exit 1
	fits doctor <<<"$output"
	assert_equal "$(jq -r '.[0] | [.check, .ok] | @csv' <<<"$output")" '"home",false'
	copyhold init
	try_list doctor doctor
}

@test "errors are one line on standard error that the schema describes" {
	try tenant list --output json
	assert_exit 1
	fits error <<<"$stderr"
	assert_equal "$(jq -r '.error | [.kind, .exit] | @csv' <<<"$stderr")" '"home",1'
	copyhold init
	try tenant show nobody --output jsonl
	assert_exit 1
	fits error <<<"$stderr"
	assert_equal "$(jq -r .error.kind <<<"$stderr")" not-found
}

@test "the error of a manifest has file, line and column" {
	printf 'apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: eu}\nspec: {county: DE}\n' \
		>"$TEST_DIR/r.yaml"
	try check -f "$TEST_DIR/r.yaml" --output json
	assert_exit 64
	fits error <<<"$stderr"
	assert_equal "$(jq -c '.error | [.kind, .line, .column, .exit]' <<<"$stderr")" \
		'["manifest",4,8,64]'
}

@test "progress on standard error is lines that the schema describes" {
	copyhold init
	write_landless
	try apply -f "$TEST_DIR/landless" --yes --output jsonl
	assert_exit 0
	[ "${#stderr_lines[@]}" = 2 ]
	for line in "${stderr_lines[@]}"; do
		fits progress <<<"$line"
	done
}

@test "what only says that it is done fits as well" {
	try_object message init
	printf 'a secret\n' >"$TEST_DIR/secret"
	try secret set smtp --output json <"$TEST_DIR/secret"
	assert_exit 0
	fits message <<<"$output"
	try secret remove smtp --output jsonl
	assert_exit 0
	fits message <<<"$output"
}

@test "every command has a definition, or is known to print text" {
	commands=$(copyhold help --manual | sed -n 's/^### copyhold //p')
	described=$(jq -r '."$defs"[].description' "$SCHEMA")
	while read -r command; do
		case $command in
		schema | help | completion) continue ;;
		"tenant setup-script" | "cluster setup-script" | "host setup-script" | "service logs" | "model import") continue ;;
		"audit run" | "audit witness run" | "gateway run") continue ;;
		esac
		verb=${command#* }
		grep -qE "copyhold ([a-z-]+ [a-z-]+, |[a-z]+, )*([a-z, ]*[ ,])?($command|${command%% *} .*\b$verb)\b" \
			<<<"$described" || {
			echo "no definition says that it is of: copyhold $command" >&2
			return 1
		}
	done <<<"$commands"
}
