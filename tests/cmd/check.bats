load ../lib/home

setup() { home_setup; }
teardown() { home_teardown; }

region() { # NAME COUNTRY
	printf 'apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: %s}\nspec: {country: %s}\n' "$1" "$2"
}

@test "check counts the manifests of a folder by kind" {
	try check -f "$REPO/manifests/quickstart"
	assert_exit 0
	assert_out "19 manifests are valid: 2 regions, 4 hosts, 4 clusters, 1 model, 1 bundle, 7 tenants"
	assert_equal "$stderr" ""
}

@test "check of one manifest speaks in the singular" {
	region eu DE >"$TEST_DIR/r.yaml"
	try check --file "$TEST_DIR/r.yaml"
	assert_exit 0
	assert_out "1 manifest is valid: 1 region"
}

@test "check reads standard input" {
	region eu DE >"$TEST_DIR/r.yaml"
	try check -f - <"$TEST_DIR/r.yaml"
	assert_exit 0
	assert_out "1 manifest is valid: 1 region"
	try check -f - <<<"kind: Region"
	assert_exit 64
	assert_err 'error[manifest]: key "apiVersion" is missing in manifest
  where: (standard input):1:1
  hint:  apiVersion: the form of the manifest: copyhold/v1.'
}

@test "check gives JSON with a hash that ignores layout and comments" {
	region eu DE >"$TEST_DIR/a.yaml"
	write b.yaml <<-'END'
		# the same, written otherwise
		metadata:
		  name: "eu"
		spec:
		  country: 'DE'
		kind: Region
		apiVersion: copyhold/v1
	END
	try check -f "$TEST_DIR/a.yaml" --output json
	assert_exit 0
	a=$output
	try check -f "$TEST_DIR/b.yaml" --output json
	assert_exit 0
	assert_equal "$output" "$a"
	hash=$(jq -r .hash <<<"$a")
	[[ $hash =~ ^[0-9a-f]{64}$ ]]
	assert_equal "$(jq -c 'del(.hash)' <<<"$a")" \
		'{"valid":true,"manifests":1,"kinds":{"regions":1,"hosts":0,"clusters":0,"models":0,"bundles":0,"tenants":0}}'
	try check -f "$TEST_DIR/b.yaml" --output jsonl
	assert_exit 0
	assert_equal "${#lines[@]}" 1
	assert_equal "$(jq -r .hash <<<"$output")" "$hash"
}

@test "check tells the place, the nearest word and exits with 64" {
	write deep/r.yaml <<-'END'
		apiVersion: copyhold/v1
		kind: Region
		metadata: {name: eu}
		spec: {contry: DE}
	END
	try check -f "$TEST_DIR/deep"
	assert_exit 64
	assert_out ""
	assert_err "error[manifest]: unknown key \"contry\" in Region spec
  while: reading Region \"eu\"
  where: $TEST_DIR/deep/r.yaml:4:8
  hint:  Did you mean \"country\"? Known is country."
}

@test "check refuses own fields in a shared database whose names nobody agreed to show" {
	cp -r "$REPO/manifests/quickstart" "$TEST_DIR/q"
	grep -v acceptVisibleNames "$REPO/manifests/quickstart/tenants-shared.yaml" \
		>"$TEST_DIR/q/tenants-shared.yaml"
	try check -f "$TEST_DIR/q"
	assert_exit 64
	assert_out ""
	assert_contains "error[manifest]: tenant \"vandelay\" has fields of its own, whose names other tenants of its database can see
  where: $TEST_DIR/q/tenants-shared.yaml:" "$stderr"
	assert_contains "
  hint:  Add acceptVisibleNames: true if that may be so, or take mode dedicated." "$stderr"
}

@test "check gives its error as JSON when asked to" {
	region eu XX >"$TEST_DIR/r.yaml"
	try check -f "$TEST_DIR/r.yaml" --output json
	assert_exit 64
	assert_out ""
	assert_equal "$(jq -c '.error | [.kind, .what, .file, .line, .column, .exit]' <<<"$stderr")" \
		"[\"manifest\",\"\\\"XX\\\" is no value of \\\"country\\\"\",\"$TEST_DIR/r.yaml\",4,17,64]"
}

@test "check of a path that is not there says so" {
	try check -f "$TEST_DIR/nowhere"
	assert_exit 64
	assert_err "error[manifest]: there is no file or folder \"$TEST_DIR/nowhere\"
  hint:  Give a file, a folder, or - for standard input."
}

@test "check without a path is wrong usage" {
	try check
	assert_exit 64
	assert_contains "error[usage]: " "$stderr"
	assert_contains "--file" "$stderr"
}

@test "check needs no home and makes none" {
	try check -f "$REPO/manifests/quickstart"
	assert_exit 0
	[ ! -e "$COPYHOLD_HOME" ]
}

@test "check finds the same region in two files and names both places" {
	region eu DE >"$TEST_DIR/a.yaml"
	region eu FR >"$TEST_DIR/b.yaml"
	try check -f "$TEST_DIR"
	assert_exit 64
	assert_err "error[manifest]: Region \"eu\" is defined twice
  where: $TEST_DIR/b.yaml:3:18
  hint:  The first one stands at $TEST_DIR/a.yaml:3:18: rename or remove one of the two."
}

@test "check never shows a password that stands in a manifest" {
	{
		region eu DE
		cat <<-'END'
			---
			apiVersion: copyhold/v1
			kind: Cluster
			metadata: {name: c}
			spec: {region: eu, connect: {host: h, password: canary-4711}}
		END
	} >"$TEST_DIR/c.yaml"
	try check -f "$TEST_DIR/c.yaml"
	assert_exit 64
	assert_lacks canary-4711 "$output$stderr"
	assert_contains '"password" must be a reference to a secret, not a text' "$stderr"
}

@test "schema prints the file of the repository" {
	try schema
	assert_exit 0
	assert_out "$(cat "$REPO/manifests/schema/copyhold-v1.json")"
}

@test "the schema takes what check takes and refuses what check refuses" {
	copyhold schema >"$TEST_DIR/schema.json"
	write samples <<-'END'
		yes {"apiVersion":"copyhold/v1","kind":"Region","metadata":{"name":"eu","displayName":"EU"},"spec":{"country":"DE"}}
		yes {"apiVersion":"copyhold/v1","kind":"Model","metadata":{"name":"m"},"spec":{"version":1,"objects":[{"name":"a","fields":[{"name":"b","type":"integer","default":5}]}]}}
		no {"apiVersion":"copyhold/v2","kind":"Region","metadata":{"name":"eu"},"spec":{"country":"DE"}}
		no {"apiVersion":"copyhold/v1","kind":"Planet","metadata":{"name":"eu"},"spec":{"country":"DE"}}
		no {"apiVersion":"copyhold/v1","kind":"Region","metadata":{"name":"EU"},"spec":{"country":"DE"}}
		no {"apiVersion":"copyhold/v1","kind":"Region","metadata":{"name":"eu"},"spec":{"country":"XX"}}
		no {"apiVersion":"copyhold/v1","kind":"Region","metadata":{"name":"eu"},"spec":{"country":"DE","x":1}}
		no {"apiVersion":"copyhold/v1","kind":"Region","metadata":{"name":"eu"}}
		no {"apiVersion":"copyhold/v1","kind":"Region","metadata":{"name":"eu","displayName":7},"spec":{"country":"DE"}}
		no {"apiVersion":"copyhold/v1","kind":"Model","metadata":{"name":"m"},"spec":{"version":"1","objects":[{"name":"a"}]}}
		no {"apiVersion":"copyhold/v1","kind":"Model","metadata":{"name":"m"},"spec":{"version":1,"objects":[]}}
		no {"apiVersion":"copyhold/v1","kind":"Model","metadata":{"name":"m"},"spec":{"version":1,"objects":[{"name":"a","fields":[{"name":"b","type":"money"}]}]}}
	END
	while read -r verdict sample; do
		printf '%s' "$sample" >"$TEST_DIR/sample.json"
		try check -f "$TEST_DIR/sample.json"
		assert_exit "$([ "$verdict" = yes ] && echo 0 || echo 64)"
		run python3 - "$TEST_DIR/schema.json" "$TEST_DIR/sample.json" <<-'END'
			import json, sys, jsonschema
			schema, sample = (json.load(open(name)) for name in sys.argv[1:])
			jsonschema.Draft202012Validator.check_schema(schema)
			valid = jsonschema.Draft202012Validator(schema).is_valid(sample)
			print("yes" if valid else "no")
		END
		assert_out "$verdict"
	done <"$TEST_DIR/samples"
}

@test "what takes a moment says so at once, where no live line can" {
	mkdir "$TEST_DIR/many"
	cp "$REPO"/manifests/quickstart/{regions,model-crm}.yaml "$TEST_DIR/many"
	sed 's/capacity: 500/capacity: 9000/' "$REPO/manifests/quickstart/clusters.yaml" \
		>"$TEST_DIR/many/clusters.yaml"
	for ((i = 0; i < 3000; i++)); do
		printf -- '---\napiVersion: copyhold/v1\nkind: Tenant\nmetadata: {name: t-%d}\n%s\n' "$i" \
			"spec: {model: crm, mode: dedicated, region: cn-north}"
	done >"$TEST_DIR/many/tenants.yaml"
	try check -f "$TEST_DIR/many"
	assert_exit 0
	assert_out "3005 manifests are valid: 2 regions, 2 clusters, 1 model, 3000 tenants"
	assert_err "reading manifests: $TEST_DIR/many/tenants.yaml"
}
