# shellcheck shell=bash
# releases.bash - for bats files: a bundle, services of a tenant, and what answers there.
#
#   load ../lib/home
#   load ../lib/wait
#   load ../lib/hosts
#   load ../lib/exclusive
#   load ../lib/releases
#
# After exclusive_setup; the manifests are in $MANIFESTS.

# VERSION [BEHAVIOUR] [LINE OF THE SERVICE web]...: the bundle "shop", its files in $TEST_DIR/shop.
bundle_shop() {
	local line
	[ -d "$TEST_DIR/shop" ] || cp -R "$REPO/tests/data/shop-bundle" "$TEST_DIR/shop"
	echo "${2:-healthy}" >"$TEST_DIR/shop/behaviour"
	echo "$1" >"$TEST_DIR/shop/version"
	{
		cat <<-END
			apiVersion: copyhold/v1
			kind: Bundle
			metadata: {name: shop}
			spec:
			  version: "$1"
			  source: {folder: $TEST_DIR/shop}
			  keep: ${KEEP:-3}
			  services:
			    - name: web
			      exec: [bin/web, serve, "a b'c", "port=\$PORT"]
			      instances: ${INSTANCES:-2}
			      database: ${DATABASE:-true}
			      drain: 2s
			      health: {http: /health, deadline: ${DEADLINE:-20s}, interval: 100ms}
			      env:
			        - {name: GREETING, value: "it's \$HOME"}
		END
		for line in "${@:3}"; do echo "        $line"; done
	} >"$MANIFESTS/bundle-shop.yaml"
}

# TENANT CLUSTER HOST:PORT...: with the service web there, and one canary.
tenant_shop() {
	local at
	{
		cat <<-END
			apiVersion: copyhold/v1
			kind: Tenant
			metadata: {name: $1}
			spec:
			  model: notes
			  mode: ${MODE:-exclusive}
			  cluster: $2
			  bundle: shop
			  services:
		END
		for at in "${@:3}"; do
			echo "    - {service: web, host: ${at%:*}, port: ${at#*:}}"
		done
		[ -z "${ROLLOUT-}" ] || echo "  rollout: $ROLLOUT"
		[ -z "${CROSSINGS-}" ] || echo "  acceptCrossings: $CROSSINGS"
	} >"$MANIFESTS/tenant-$1.yaml"
}

# PORT [PATH]: what the front answers.
ask() { curl -sS --max-time 10 "http://127.0.0.1:$1${2:-/}"; }

# HOST TENANT: its folder there.
tenant_home() { echo "$(host_root "$1")/tenants/$2"; }
tenant_user() { echo "$(host_prefix "$1")$2"; }

# HOST TENANT: pids of its instances, one a line.
instance_pids() {
	local at
	for at in "$(host_root "$1")"/service/*"tenant.$2.web."*; do
		cat "$at/supervise/pid"
	done
}

# What stands on a host of a tenant, without what changes by itself.
host_state() {
	(cd "$(host_root "$1")" && find tenants service state -path '*/supervise*' -prune -o -print | sort)
}

# A user of the service at $PORT who asks all the time, until asker_stop, which prints what was answered.  The
# first answers are there when it returns, the last ones are asked for after asker_stop was called.
asker_start() {
	rm -f "$TEST_DIR/stop" "$TEST_DIR/stop.begun"
	python3 "$REPO/tests/lib/asker.py" "$PORT" "$TEST_DIR/stop" >"$TEST_DIR/asked" 3>&- &
	echo $! >"$TEST_DIR/asker.pid"
	until_true test -e "$TEST_DIR/stop.begun"
}
asker_stop() {
	: >"$TEST_DIR/stop"
	until_true asker_gone
	cat "$TEST_DIR/asked"
}
# What it says, it says at its end; its number may be another's then.
asker_gone() { [ -s "$TEST_DIR/asked" ] || ! kill -0 "$(cat "$TEST_DIR/asker.pid")" 2>/dev/null; }
