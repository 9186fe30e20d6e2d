#!/bin/bash
#
# demo.sh start|stop|env - the main job from end to end on private PostgreSQL servers.
#
#   start   installs what is missing, builds, starts a vendor's and a customer's server and four
#           pretended machines, takes seven tenants on, one or two of each mode, loads data, verifies
#           them, and leaves everything running; run again, it does what is left to do
#   stop    stops and removes everything that start made, but packages
#   env     prints what a shell needs to go on from there: eval "$(tools/demo.sh env)"
#
# Everything is in /var/tmp/copyhold-demo-UID; sockets are in short folders in /tmp.  Another
# folder may be chosen by COPYHOLD_DEMO (it has ports of its own then, and stands beside others),
# another binary by COPYHOLD_BIN (nothing is installed or built then).
set -euo pipefail
umask 077
unset "${!PG@}" COPYHOLD_HOME

root=$(cd "$(dirname "$0")/.." && pwd)
usual=/var/tmp/copyhold-demo-$(id -u)
demo=${COPYHOLD_DEMO:-$usual}
build=$(cd "$root" && realpath -m "${BUILD:-build}")
binary=${COPYHOLD_BIN:-$build/copyhold}
manifests=$demo/manifests
tenants=(globex initech hooli vandelay acme)
# Machines are pretended by root alone: users are made there, and services run as these.
hosts=()
if [ "$(id -u)" = 0 ]; then
	hosts=(stark-1 stark-2 wayne-1 fra-1)
	tenants+=(stark wayne)
fi

die() {
	echo "demo: $*" >&2
	exit 1
}

title() { printf '\n== %s\n' "$*"; }

# A command as one would type it, with the variables of `demo.sh env`.
# shellcheck disable=SC2016 # meant for the reader
print_command() {
	local line="\$ copyhold $*"
	line=${line//"$manifests"/'"$MANIFESTS"'}
	[ -z "${SOURCE-}" ] || line=${line//"$SOURCE"/'"$SOURCE"'}
	printf '%s\n' "$line"
}

show() {
	print_command "$@"
	"$binary" "$@"
}

cluster() { "$root/tools/cluster.sh" "$@"; }

# Anybody may write in /var/tmp: what is there must be ours alone.
check_folder() {
	if [ -L "$demo" ] || [ ! -d "$demo" ] || [ ! -O "$demo" ]; then
		die "$demo is not a folder of yours: remove it, or choose another by COPYHOLD_DEMO"
	fi
	[ -z "$(find "$demo" -maxdepth 0 -perm /022)" ] ||
		die "others may write in $demo: remove it"
}

# Run by root, the servers' user has to get through.
make_folder() {
	local mode=0700
	[ "$(id -u)" != 0 ] || mode=0711
	[ -e "$demo" ] || [ -L "$demo" ] || mkdir -m "$mode" -- "$demo"
	check_folder
}

make_passwords() {
	local name
	[ ! -e "$demo/passwords" ] || return 0
	for name in BJ1_PASSWORD ACME_DB_PASSWORD SOURCE_PASSWORD; do
		echo "export $name=$(openssl rand -hex 16)"
	done >"$demo/passwords.new"
	mv -- "$demo/passwords.new" "$demo/passwords"
}

enter() {
	# shellcheck disable=SC1091 # written by make_passwords
	. "$demo/passwords"
	export COPYHOLD_HOME=$demo/home
}

# --- steps of start -----------------------------------------------------------

build() {
	[ -z "${COPYHOLD_BIN-}" ] || return 0
	title "packages and build"
	"$root/tools/deps.sh" demo
	[ -e "$build" ] || echo "$build" >"$demo/built"
	make -C "$root" -s -j"$(nproc)" "BUILD=$build" all
}

number_of_folder() { cksum <<<"$demo" | cut -d ' ' -f 1; }

# HOST: users of another demo on this machine have other names.
prefix_of() {
	local word
	word=$(sed -n "/{name: $1[},]/,/^---/ s/^  userPrefix: \(.*\)-$/\1/p" "$root/manifests/quickstart/hosts.yaml")
	printf '%s%04x-' "$word" $(($(number_of_folder) & 0xffff))
}
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# PORT: of the manifests; in a folder of its own it may be another demo's in a moment.
port_is_ours() { [ "$demo" = "$usual" ] && ! port_taken "$1"; }

# An sshd with a folder and a key of its own.
start_host() {
	"$root/tools/sshd.sh" start "$demo/hosts" "$1"
	chmod 0711 "$demo/hosts" "$demo/hosts/$1"
	chmod 0755 "$demo/hosts/$1/root"
	echo "$1: an sshd pretends it on port $(cat "$demo/hosts/$1/port")"
}

# NAME PORT [OPTION...]: that port if it is free, else another; a stopped server keeps the port
# that it had.
start_cluster() {
	local name=$1 port=$2
	if cluster status "$demo" "$name"; then
		echo "$name: nothing to do, it runs on port $(cat "$demo/$name/port")"
		return
	fi
	if [ -e "$demo/$name/port" ] || ! port_is_ours "$port"; then
		port=auto
	fi
	cluster start "$demo" "$name" "$port" "${@:3}"
	echo "$name: PostgreSQL runs on port $(cat "$demo/$name/port")"
}

# Of one host's manifest: what its sshd has, in place of what stands for it.
host_edit() {
	local at=$demo/hosts/$1
	cat <<-SED
		/^metadata: {name: $1[},]/,/^---/ {
			s|^  port: .*|  port: $(cat "$at/port")|
			s|^  hostKeys: .*|  hostKeys: [$(cat "$at/hostkey.pub")]|
			s|^  identity: .*|  identity: $at/client|
			s|^  root: .*|  root: $at/root|
			s|^  userPrefix: .*|  userPrefix: $(prefix_of "$1")|
		}
	SED
}

# The ports of clusters and services on the pretended machines, chosen once: those of the manifests,
# or others that are free.
choose_ports() {
	local port free=19000
	[ ! -e "$demo/ports" ] || return 0
	[ "$demo" = "$usual" ] || free=$((10000 + $(number_of_folder) % 500 * 10))
	for port in 15434 15435 18081 18082 18083 18084; do
		if ! port_is_ours "$port"; then
			while port_taken "$free"; do free=$((free + 1)); done
			printf "s/port: %s\\\\b/port: %s/\\n" "$port" "$free"
			free=$((free + 1))
		fi
	done >"$demo/ports"
}

# Once there is a newer release, the manifests say so.
name_release() {
	[ ! -e "$demo/new-release" ] || sed -i 's/version: 1\.0\.0$/version: 1.0.1/' "$manifests/bundle.yaml"
}

copy_host_manifests() {
	local name
	if [ ${#hosts[@]} = 0 ]; then
		rm -f "$manifests"/{hosts,bundle,tenants-hosts}.yaml
		return
	fi
	choose_ports
	cp -r "$root/manifests/quickstart/bundle" "$manifests"
	for name in "${hosts[@]}"; do
		host_edit "$name"
	done | cat - "$demo/ports" | sed -i -f - "$manifests/hosts.yaml" "$manifests/tenants-hosts.yaml"
	name_release
}

# The manifests name fixed ports, and where the customer's CA would be on a real machine.
copy_manifests() {
	local file vendor customer
	vendor=$(cat "$demo/bj-1/port")
	customer=$(cat "$demo/acme-db/port")
	rm -rf -- "$manifests"
	mkdir -- "$manifests"
	for file in "$root"/manifests/quickstart/*.yaml; do
		sed -e "s/port: 15432\$/port: $vendor/" -e "s/port: 15433\$/port: $customer/" \
			-e "s|/etc/copyhold/acme-ca.crt|$demo/certs/ca.crt|" \
			"$file" >"$manifests/$(basename "$file")"
	done
	copy_host_manifests
	echo "manifests: $manifests (manifests/quickstart with these ports, keys and this CA)"
}

# NAME WHAT: a step that is done once in a server's life; the note goes with the server.
is_done() { [ -e "$demo/$1/$2.done" ]; }
note_done() { : >"$demo/$1/$2.done"; }

# CLUSTER NOUN NAME: what its administrator reads and runs, once, as a superuser.
run_setup_script() {
	if is_done "$1" setup; then
		echo "$1: nothing to do, it is set up"
		return
	fi
	print_command "$2" setup-script "$3" -f "$manifests" "| psql   # as the superuser of $1"
	"$binary" "$2" setup-script "$3" -f "$manifests" >"$demo/setup-$3.sql"
	cluster psql "$demo" "$1" -f "$demo/setup-$3.sql" >/dev/null
	note_done "$1" setup
}

name_source() {
	SOURCE=postgresql://crm_reader@127.0.0.1:$(cat "$demo/bj-1/port")/crm_source
	SOURCE="$SOURCE?passfile=$demo/source.pgpass"
}

# Where the tenants' data comes from: a database on the vendor's server that one role may read.
make_source() {
	printf '127.0.0.1:*:crm_source:crm_reader:%s\n' "$SOURCE_PASSWORD" >"$demo/source.pgpass"
	name_source
	if is_done bj-1 source; then
		echo "crm_source: nothing to do, it is there"
		return
	fi
	cluster psql "$demo" bj-1 <<-SQL
		SET client_min_messages = warning;
		DROP DATABASE IF EXISTS crm_source;
		DROP ROLE IF EXISTS crm_reader;
		CREATE DATABASE crm_source;
		REVOKE ALL ON DATABASE crm_source FROM PUBLIC;
		CREATE ROLE crm_reader LOGIN PASSWORD '$SOURCE_PASSWORD';
		GRANT CONNECT ON DATABASE crm_source TO crm_reader;
	SQL
	awk -f "$root/tools/crm.awk" | cluster psql "$demo" bj-1 -d crm_source
	cluster psql "$demo" bj-1 -d crm_source \
		-c "GRANT SELECT ON ALL TABLES IN SCHEMA public TO crm_reader"
	note_done bj-1 source
	echo "crm_source: made by tools/crm.awk"
}

# CLUSTER TENANT
load_tenant() {
	if is_done "$1" "loaded-$2"; then
		echo "$2: nothing to do, its data is loaded"
		return
	fi
	show data load "$2" --from "$SOURCE"
	show data compare "$2" --with "$SOURCE"
	note_done "$1" "loaded-$2"
}

print_next() {
	cat <<-TEXT

		== done in $SECONDS s; everything is left running.  Try next:
		  eval "\$(tools/demo.sh env)"      # sets PATH, COPYHOLD_HOME, MANIFESTS...
		  copyhold tenant show acme
		  copyhold plan -f "\$MANIFESTS"
		  psql "\$(copyhold route resolve globex)" -c 'SELECT count(*) FROM account'
		  copyhold route hold globex --max 5s   # its clients wait, nobody else's
		  copyhold gateway status
		  copyhold login rotate globex app
		  copyhold data load initech --from "\$SOURCE"
		  copyhold run list
		  make demo-stop                     # stops and removes all of it
	TEXT
}

# What a service manager does on a real machine (packaging/copyhold-gateway.service).
start_gateway() {
	local port=6432
	if gateway_runs; then
		echo "gateway: nothing to do, it runs"
		return
	fi
	port_is_ours "$port" || port=0
	print_command gateway run --listen "127.0.0.1:$port" "&"
	setsid "$binary" gateway run --listen "127.0.0.1:$port" \
		>"$demo/gateway.log" 2>&1 </dev/null &
	echo $! >"$demo/gateway.pid"
	until grep -q "serving on" "$demo/gateway.log"; do
		gateway_runs || die "the gateway ended: $(cat "$demo/gateway.log")"
		sleep 0.05
	done
	cat "$demo/gateway.log"
}

gateway_runs() {
	[ -e "$demo/gateway.pid" ] && kill -0 "$(cat "$demo/gateway.pid")" 2>/dev/null
}

stop_gateway() {
	gateway_runs || return 0
	kill "$(cat "$demo/gateway.pid")"
	while gateway_runs; do sleep 0.05; done
}

# TENANT: its application connects.
ask_tenant() {
	local sql="SELECT count(*) AS accounts_of_$1 FROM account"
	# shellcheck disable=SC2016 # meant for the reader
	printf '$ psql "$(copyhold route resolve %s)" -c "%s"\n' "$1" "$sql"
	psql -X -d "$("$binary" route resolve "$1")" -c "$sql"
}

# HOST: what a user of the service sees.
ask_service() {
	local port
	port=$(awk -v host="host: $1," '$0 ~ host && /port:/ { gsub(/.*port: |}.*/, ""); print }' \
		"$manifests/tenants-hosts.yaml")
	echo "\$ curl http://127.0.0.1:$port/   # on $1"
	curl -sS "http://127.0.0.1:$port/"
}

show_hosts() {
	if [ ${#hosts[@]} = 0 ]; then
		title "exclusive and hybrid"
		echo "skipped: machines are pretended by root alone. Run make demo as root to see these two modes."
		return
	fi
	title "services on the customers' machines, from the tenants' own databases"
	show host list
	show service list stark
	ask_service stark-1
	ask_service fra-1

	title "a new release of the service, host after host"
	: >"$demo/new-release"
	name_release
	show apply -f "$manifests" --yes
	show bundle releases stark
	ask_service stark-2
	show tenant access stark -f "$manifests"
}

# Without the attempts that were stopped: they are many and alike.
verify_tenant() {
	print_command tenant verify "$1" "| grep -vE '^  (refused|shows nothing)'"
	"$binary" tenant verify "$1" | grep -vE '^  (refused|shows nothing)'
}

demo_start() {
	local name
	SECONDS=0
	make_folder
	build
	[ -x "$binary" ] || die "there is no $binary"
	SECONDS=0

	title "servers"
	make_passwords
	enter
	start_cluster bj-1 15432
	start_cluster acme-db 15433 --tls
	for name in ${hosts[@]+"${hosts[@]}"}; do
		start_host "$name"
	done
	copy_manifests

	title "home, and what each server's administrator runs once"
	show init
	run_setup_script bj-1 cluster bj-1
	run_setup_script acme-db tenant acme

	title "tenants"
	show check -f "$manifests"
	show plan -f "$manifests"
	show apply -f "$manifests" --yes

	title "data"
	make_source
	load_tenant bj-1 globex
	load_tenant bj-1 vandelay
	load_tenant acme-db acme

	title "verification"
	for name in "${tenants[@]}"; do
		verify_tenant "$name"
	done

	title "gateway: one address for all of them"
	start_gateway
	for name in globex vandelay acme; do
		ask_tenant "$name"
	done
	show gateway pools
	show_hosts

	title "report"
	show tenant list
	show shared show bj-1/crm
	show shared usage bj-1/crm
	print_next
}

# --- stop, env ------------------------------------------------------------------

demo_stop() {
	local name
	if [ ! -e "$demo" ] && [ ! -L "$demo" ]; then
		echo "demo: nothing to do, there is no $demo"
		return
	fi
	check_folder
	stop_gateway
	for name in bj-1 acme-db; do
		cluster remove "$demo" "$name"
	done
	for name in ${hosts[@]+"${hosts[@]}"}; do
		[ ! -d "$demo/hosts/$name" ] || "$root/tools/sshd.sh" clear "$demo/hosts" "$name" "$(prefix_of "$name")"
	done
	[ ! -d "$demo/hosts" ] || "$root/tools/sshd.sh" remove-all "$demo/hosts"
	if [ -e "$demo/built" ]; then
		make -C "$root" -s "BUILD=$(cat "$demo/built")" clean
	fi
	rm -rf -- "$demo"
	echo "demo: everything is stopped and removed"
}

demo_env() {
	[ -e "$demo/passwords" ] || die "there is no demo in $demo: run make demo first"
	check_folder
	grep -v SOURCE_PASSWORD "$demo/passwords"
	printf 'export COPYHOLD_HOME=%q\n' "$demo/home"
	printf 'export MANIFESTS=%q\n' "$manifests"
	name_source
	printf 'export SOURCE=%q\n' "$SOURCE"
	# shellcheck disable=SC2016 # expanded by the shell that reads it
	printf 'export PATH=%q:"$PATH"\n' "$(dirname "$binary")"
}

case ${1-} in
start | stop | env) "demo_$1" ;;
*)
	echo "usage: tools/demo.sh start|stop|env" >&2
	exit 64
	;;
esac
