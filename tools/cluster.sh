#!/bin/bash
#
# cluster.sh - private PostgreSQL clusters for the demo and the tests.
#
#   cluster.sh start  DIR NAME PORT [OPTION...]   make it if need be, start it, wait for it
#   cluster.sh stop   DIR NAME [--immediate]      stop the server, keep its data
#   cluster.sh remove DIR NAME                    stop it and remove everything of it
#   cluster.sh status DIR NAME                    exit 0: it runs, 1: it does not
#   cluster.sh psql   DIR NAME [ARGUMENT...]      psql as the superuser
#   cluster.sh certs  DIR                         a CA, certificates of it, and broken ones
#
# options of start:
#   --tls                   TCP only with TLS; certificates are in DIR/certs and made if missing
#   --tls-optional          TCP with TLS or without
#   --certs FOLDER          take them from there
#   --server-cert NAME      the server's: server (default), expired, other, elsewhere
#   --client-certs          a client must also show a certificate of the CA
#   --max-connections N
#   --set NAME=VALUE        any other setting of the server, may be repeated
#
# The server's programs are those of Debian's PostgreSQL 15, or of the folder COPYHOLD_PGBIN, which
# may be without a psql: then it is the one of the PATH.
#
# PORT may be "auto".  Files: DIR/NAME/{data,log,port,socket}; the last two hold the port and the
# socket's folder, which is a short one in /tmp because a socket's path has at most 107 bytes.
# Run by root, the server runs as `postgres`, which must be able to enter DIR.  The superuser
# `postgres` is reachable over the socket alone, by whoever started the server (peer); everybody
# else comes over TCP on 127.0.0.1 with SCRAM.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
umask 077

# What a caller left open (a test runner's pipe, make's job server, a lock) must not live as long
# as a server.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
unset "${!PG@}"

self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
readonly bin=${COPYHOLD_PGBIN:-/usr/lib/postgresql/15/bin}

die() {
	echo "cluster.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '3,/^set /s/^# \{0,1\}//p' "$self" >&2
	exit 64
}

# The user that the server runs as.
service_user() {
	if [ "$(id -u)" != 0 ]; then
		id -un
	elif id -u postgres >/dev/null 2>&1; then
		echo postgres
	else
		echo nobody
	fi
}

as_service() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u "$service" -- "$@"
	else
		"$@"
	fi
}

# DIR NAME: sets the paths of one cluster.
locate() {
	[ $# = 2 ] || usage
	[[ $2 =~ ^[a-z][a-z0-9-]{0,39}$ ]] || die "\"$2\" is not a cluster's name"
	[ -d "$1" ] || die "there is no folder $1"
	top=$(cd -- "$1" && pwd -P)
	name=$2
	home=$top/$name
	data=$home/data
	service=$(service_user)
	cd /
}

# The service user has to get through, and needs to list nothing.
make_top() {
	mkdir -p -- "$1"
	[ "$(id -u)" != 0 ] || chmod 0711 "$1"
}

require_server() {
	[ -x "$bin/postgres" ] || die "no PostgreSQL in $bin; try: tools/deps.sh run"
}

is_running() {
	[ -d "$data" ] && as_service "$bin/pg_ctl" status -D "$data" >/dev/null 2>&1
}

port_is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the range that the kernel gives to outgoing connections.
pick_port() {
	local try
	for _ in {1..200}; do
		try=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		if port_is_free "$try"; then
			echo "$try"
			return
		fi
	done
	die "found no free port"
}

# --- making -----------------------------------------------------------------

make_home() {
	mkdir -p -- "$home"
	if [ "$service" != "$(id -un)" ]; then
		chgrp "$service" "$home" 2>/dev/null || chgrp "$(id -gn "$service")" "$home"
		chmod 0710 "$home"
		install -d -m 0700 -o "$service" -g "$(id -gn "$service")" "$data"
		as_service test -x "$home" ||
			die "user $service cannot enter $top: let others pass (chmod o+x)"
		install -m 0600 -o "$service" -g "$(id -gn "$service")" /dev/null "$home/log"
	else
		: >"$home/log"
	fi
}

init_data() {
	[ -e "$data/PG_VERSION" ] && return
	make_home
	as_service "$bin/initdb" -D "$data" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
		--data-checksums --auth-local=peer --auth-host=scram-sha-256 --no-sync \
		>"$home/initdb.log" 2>&1 || {
		tail -n 20 "$home/initdb.log" >&2
		as_service rm -rf -- "$data"
		die "initdb of \"$name\" failed"
	}
	printf "include_if_exists 'copyhold.conf'\n" |
		as_service tee -a "$data/postgresql.conf" >/dev/null
}

is_ours() {
	[ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]
}

# The socket's folder may be gone after a reboot, and then be somebody else's.
make_socket_folder() {
	socket=
	[ -r "$home/socket" ] && socket=$(cat "$home/socket")
	! is_ours "$socket" || return 0
	socket=$(mktemp -d /tmp/chs.XXXXXX)
	if [ "$service" != "$(id -un)" ]; then
		chgrp "$(id -gn "$service")" "$socket"
		chmod 0770 "$socket"
	fi
	echo "$socket" >"$home/socket"
}

drop_socket_folder() {
	local folder
	[ -r "$home/socket" ] || return 0
	folder=$(cat "$home/socket")
	if [[ $folder =~ ^/tmp/chs\.[A-Za-z0-9]{6}$ ]] && is_ours "$folder"; then
		rm -rf -- "$folder"
	fi
	rm -f -- "$home/socket"
}

# FILE in the data folder, from stdin, written by its owner.
put() {
	# shellcheck disable=SC2016 # the inner shell expands it
	as_service sh -c 'umask 077; cat >"$1"' put "$data/$1"
}

write_settings() {
	{
		echo "listen_addresses = '127.0.0.1'"
		echo "port = $port"
		echo "unix_socket_directories = '$socket'"
		echo "unix_socket_permissions = 0700"
		echo "password_encryption = 'scram-sha-256'"
		echo "max_connections = $max_connections"
		echo "shared_buffers = '64MB'"
		echo "log_line_prefix = '%m [%p] %u@%d '"
		echo "log_timezone = 'UTC'"
		echo "timezone = 'UTC'"
		if $tls; then
			echo "ssl = on"
			echo "ssl_cert_file = 'server.crt'"
			echo "ssl_key_file = 'server.key'"
			echo "ssl_ca_file = 'ca.crt'"
		fi
		local pair
		for pair in "${settings[@]}"; do
			echo "${pair%%=*} = '${pair#*=}'"
		done
	} | put copyhold.conf
}

write_hba() {
	local how=host rule=scram-sha-256
	$plain || how=hostssl
	$client_certs && rule="scram-sha-256 clientcert=verify-ca"
	{
		echo "local   all  postgres                peer map=starter"
		echo "local   all  all                     scram-sha-256"
		echo "host    all  postgres  all           reject"
		echo "$how all  all  127.0.0.1/32  $rule"
	} | put pg_hba.conf
	{
		echo "starter $service postgres"
		[ "$service" = "$(id -un)" ] || echo "starter $(id -un) postgres"
	} | put pg_ident.conf
}

write_tls() {
	[ -r "$certs/ca.crt" ] || make_certs "$certs"
	put server.crt <"$certs/$server_cert.crt"
	put server.key <"$certs/$server_cert.key"
	put ca.crt <"$certs/ca.crt"
}

# --- certificates -----------------------------------------------------------

# NAME SUBJECT: a key and a self-signed CA of ten years.
make_ca() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
		-subj "$2" -keyout "$1.key" -out "$1.crt" \
		-addext basicConstraints=critical,CA:TRUE \
		-addext keyUsage=critical,keyCertSign,cRLSign
}

# CA NAME SUBJECT SAN [START END]: a key, and a certificate signed by the CA; ten years if no
# dates are given.
make_cert() {
	local ca=$1 leaf=$2 subject=$3 san=$4 start=${5-} end=${6-}
	local dates=(-days 3650)
	[ -n "$start" ] && dates=(-startdate "$start" -enddate "$end")
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "$subject" \
		-keyout "$leaf.key" -out "$leaf.csr"
	printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
		"extendedKeyUsage=serverAuth,clientAuth" ${san:+"subjectAltName=$san"} >"$leaf.ext"
	printf '%s\n' "[ca]" default_ca=d "[d]" database=index serial=serial new_certs_dir=. \
		default_md=sha256 policy=p unique_subject=no "[p]" commonName=supplied >ca.conf
	: >index
	openssl ca -batch -config ca.conf -rand_serial -notext -cert "$ca.crt" -keyfile "$ca.key" \
		-in "$leaf.csr" -out "$leaf.crt" -extfile "$leaf.ext" "${dates[@]}"
	rm -f -- "$leaf.csr" "$leaf.ext" ca.conf index index.* serial ./[0-9A-F]*.pem
}

#   ca         the cluster's own CA              other-ca       one that signed nothing of it
#   server     for localhost and 127.0.0.1       expired        the same, but for 2020
#   elsewhere  for another host's name           other          for localhost, signed by other-ca
#   client     CN=copyhold, signed by ca         other-client   the same, signed by other-ca
make_certs() {
	local work san=DNS:localhost,IP:127.0.0.1
	command -v openssl >/dev/null || die "no openssl; try: tools/deps.sh run"
	mkdir -p -- "$1"
	work=$(mktemp -d -- "$1/new.XXXXXX")
	(
		set -e
		cd -- "$work"
		make_ca ca /CN=customer-ca
		make_ca other-ca /CN=other-ca
		make_cert ca server /CN=localhost $san
		make_cert ca expired /CN=localhost $san 20200101000000Z 20200201000000Z
		make_cert ca elsewhere /CN=db.elsewhere.example DNS:db.elsewhere.example
		make_cert other-ca other /CN=localhost $san
		make_cert ca client /CN=copyhold ""
		make_cert other-ca other-client /CN=copyhold ""
	) >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		rm -rf -- "$work"
		die "making certificates in $1 failed"
	}
	chmod 0644 "$work"/*.crt
	rm -f -- "$work/log"
	mv -f -- "$work"/*.key "$work"/*.crt "$1"
	rmdir -- "$work"
}

# --- commands ---------------------------------------------------------------

parse_options() {
	tls=false plain=true client_certs=false server_cert=server certs=$top/certs
	max_connections=100 settings=()
	while [ $# -gt 0 ]; do
		case $1 in
		--certs | --server-cert | --max-connections | --set) [ $# -ge 2 ] || usage ;;
		esac
		case $1 in
		--tls) tls=true plain=false ;;
		--tls-optional) tls=true ;;
		--client-certs) tls=true plain=false client_certs=true ;;
		--certs) certs=$(cd -- "$here" && realpath -m -- "$2") && shift ;;
		--server-cert) tls=true server_cert=$2 && shift ;;
		--max-connections) max_connections=$2 && shift ;;
		--set) settings+=("$2") && shift ;;
		*) usage ;;
		esac
		shift
	done
}

launch() {
	as_service "$bin/pg_ctl" start -w -t 180 -s -D "$data" -l "$home/log" \
		>/dev/null 2>&1 </dev/null
}

# A port chosen by us may be taken by another in the meantime: choose again.
launch_on_port() {
	local wanted=$1 tries=1
	[ "$wanted" = auto ] && tries=20
	while :; do
		port=$wanted
		[ "$wanted" = auto ] && port=$(pick_port)
		write_settings
		launch && return
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || break
		tail -n 5 "$home/log" | grep -q "could not bind" || break
	done
	drop_socket_folder
	tail -n 20 "$home/log" >&2
	die "server \"$name\" did not start on port $port; its log is $home/log"
}

# With "auto" a stopped cluster keeps the port that it had.
wanted_port() {
	if [ "$1" = auto ] && [ -r "$home/port" ] && port_is_free "$(cat "$home/port")"; then
		cat "$home/port"
	else
		echo "$1"
	fi
}

cmd_start() {
	[ $# -ge 3 ] || usage
	[ -d "$1" ] || make_top "$1"
	locate "$1" "$2"
	local wanted=$3
	[[ $wanted =~ ^(auto|[1-9][0-9]{2,4})$ ]] || die "\"$wanted\" is not a port"
	shift 3
	parse_options "$@"
	require_server
	is_running && return
	init_data
	make_socket_folder
	write_hba
	! $tls || write_tls
	launch_on_port "$(wanted_port "$wanted")"
	echo "$port" >"$home/port"
}

cmd_stop() {
	local mode=fast
	[ "${3-}" = --immediate ] && mode=immediate
	locate "$1" "$2"
	if is_running; then
		as_service "$bin/pg_ctl" stop -w -t 180 -s -m "$mode" -D "$data" ||
			as_service "$bin/pg_ctl" stop -w -t 60 -s -m immediate -D "$data"
	fi
	drop_socket_folder
}

cmd_remove() {
	locate "$1" "$2"
	[ -d "$home" ] || return 0
	cmd_stop "$top" "$name"
	rm -rf -- "$home"
}

cmd_status() {
	locate "$1" "$2"
	is_running || exit 1
}

cmd_psql() {
	[ $# -ge 2 ] || usage
	local dir=$1 which=$2
	shift 2
	locate "$dir" "$which"
	cd -- "$here"
	[ -r "$home/socket" ] || die "cluster \"$name\" in $top is not running"
	local psql=$bin/psql
	[ -x "$psql" ] || psql=psql
	exec "$psql" -X -q -v ON_ERROR_STOP=1 -h "$(cat "$home/socket")" \
		-p "$(cat "$home/port")" -U postgres -d postgres "$@"
}

here=$PWD
verb=${1-}
[ $# -gt 0 ] && shift
case $verb in
start) cmd_start "$@" ;;
stop | remove | status)
	[ $# -ge 2 ] || usage
	"cmd_$verb" "$@"
	;;
psql) cmd_psql "$@" ;;
certs)
	[ $# = 1 ] || usage
	make_certs "$1"
	;;
*) usage ;;
esac
