load ../lib/home
load ../lib/cluster
load ../lib/shop

# What `tenant verify` makes rows of: objects that refer to themselves and to each other.
setup_file() {
	clusters_setup
	cluster_start vendor
	home_setup
	shop_setup
	cat >"$MANIFESTS/model.yaml" <<-END
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: shop}
		spec:
		  version: 1
		  objects:
		    - name: folder
		      fields:
		        - {name: title, type: text, required: true}
		        - {name: inside, type: reference, to: folder, required: true}
		    - name: page
		      fields:
		        - {name: folder, type: reference, to: folder, required: true}
		        - {name: after, type: reference, to: page}
		    - name: husband
		      fields:
		        - {name: wife, type: reference, to: wife, required: true}
		    - name: wife
		      fields:
		        - {name: husband, type: reference, to: husband, required: true}
	END
	copyhold apply -f "$MANIFESTS" --yes
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

@test "an object that must refer to itself works; two that must refer to each other cannot be tried" {
	try tenant verify acme
	assert_exit 0
	assert_contains "insert, select, update and delete in a transaction that is rolled back"
	assert_contains "2 of 4 objects"
	assert_equal "$(grep -c 'it needs a row of an object that needs this one' <<<"$output")" 2
}
