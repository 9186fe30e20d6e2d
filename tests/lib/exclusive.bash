# shellcheck shell=bash
# exclusive.bash - for bats files: a customer's machine (hosts.bash), a cluster on it, a tenant there.
#
#   load ../lib/home
#   load ../lib/hosts
#   load ../lib/exclusive
#   setup_file() { hosts_setup; hosts_region here CN; host_start h1 --owner acme; }
#   setup() { home_setup; exclusive_setup; }
#   teardown() { exclusive_clear h1; home_teardown; }
#   teardown_file() { hosts_remove; }

# A port of 127.0.0.1 that nobody has, and that was not given to another test which has not taken it yet.
free_port() {
	local port try
	for ((try = 0; try < 100; try++)); do
		port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		[ -n "${COPYHOLD_TEST_TMP-}" ] || break
		! mkdir "$COPYHOLD_TEST_TMP/port.$port" 2>/dev/null || break
	done
	echo "$port"
}

# A home, and $MANIFESTS with the hosts' and the model's; $SERVER_PORT is the cluster's to be.
exclusive_setup() {
	export MANIFESTS=$TEST_DIR/m SERVER_PORT
	mkdir "$MANIFESTS"
	cp "$HOSTS"/manifests/*.yaml "$MANIFESTS"
	SERVER_PORT=$(free_port)
	note_model
	copyhold init >/dev/null
}

note_model() {
	cat >"$MANIFESTS/model.yaml" <<-END
		apiVersion: copyhold/v1
		kind: Model
		metadata: {name: notes}
		spec:
		  version: 1
		  objects:
		    - name: note
		      fields: [{name: text, type: text, required: true}]
	END
}

# NAME HOST [LINE OF on]...: PostgreSQL on a host, with little memory.
cluster_on() {
	local line
	{
		cat <<-END
			apiVersion: copyhold/v1
			kind: Cluster
			metadata: {name: $1}
			spec:
			  region: here
			  modes: [exclusive, hybrid]
			  on:
			    host: $2
			    port: $SERVER_PORT
			    settings:
			      - {name: shared_buffers, value: 16MB}
			      - {name: max_connections, value: 30}
			      - {name: fsync, value: "off"}
		END
		for line in "${@:3}"; do echo "    $line"; done
	} >"$MANIFESTS/cluster-$1.yaml"
}

# NAME CLUSTER [MODE]
tenant_on() {
	cat >"$MANIFESTS/tenant-$1.yaml" <<-END
		apiVersion: copyhold/v1
		kind: Tenant
		metadata: {name: $1}
		spec: {model: ${4:-notes}, mode: ${3:-exclusive}, cluster: $2}
	END
}

cluster_user() { echo "$(host_prefix "$1")pg-$2"; }
cluster_home() { echo "$(host_root "$1")/clusters/$2"; }

# HOST CLUSTER SQL [DATABASE]: as the server's superuser, by its socket.
on_psql() {
	(cd / && setpriv --reuid="$(cluster_user "$1" "$2")" --regid="$(cluster_user "$1" "$2")" --clear-groups \
		/usr/lib/postgresql/15/bin/psql -XAtq -h "$(cluster_home "$1" "$2")/run" -p "$SERVER_PORT" -U postgres \
		-d "${4:-postgres}" -c "$3")
}

# HOST...: what is left there of a test, so that the next one begins on an empty machine.
exclusive_clear() {
	local name root
	for name; do
		host_clear "$name"
		root=$(host_root "$name")
		rm -rf -- "$root/clusters" "$root/tenants" "$root/state" "$root/service" "$root/log" "$root/run"
	done
}
