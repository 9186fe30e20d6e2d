# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# The gateway beside PgBouncer and a direct connection, on the same server and in turn: latency, processor time
# of a query, memory of idle clients.

export COPYHOLD_HOME=$work/gateway
"$copyhold" -q init >/dev/null
cluster start "$work" bj-1 auto --max-connections 400 --set shared_buffers=512MB --set max_wal_size=8GB
port=$(port_of bj-1)
dir=$work/gateway.d
write_base "$dir" "$port" 2
"$copyhold" cluster setup-script bj-1 -f "$dir" | su_sql bj-1 >/dev/null
write_tenants "$dir" t 2
sed -i 's/residency: {country: CN}}/residency: {country: CN}, gateway: {pool: transaction, connections: 40}}/' "$dir"/t*.yaml
timed "$copyhold" -q apply -f "$dir" --yes

readonly gw_seconds=${GATEWAY_SECONDS:-8} idle_n=${GATEWAY_IDLE:-5000}
sock=$(mktemp -d /tmp/chg.XXXXXX)
chmod 0711 "$sock"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
	-keyout "$work/gw.key" -out "$work/gw.crt" 2>/dev/null
chmod 600 "$work/gw.key"

started=()
stop_all() { for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf -- "$sock"; }
trap 'stop_all; clean' EXIT

# WORKERS: one gateway; its master's process id is in $gw.
start_gateway() {
	"$copyhold" gateway run --listen 127.0.0.1:0 --listen "$sock:6432" --workers "$1" \
		--tls-cert "$work/gw.crt" --tls-key "$work/gw.key" >"$work/gw.log" 2>&1 &
	gw=$!
	started+=("$gw")
	until grep -q 'serving on' "$work/gw.log"; do sleep 0.05; done
	gw_tcp=$(sed -n 's/.*serving on [^:]*:\([0-9]*\).*/\1/p' "$work/gw.log")
}

stop_gateway() {
	kill "$gw"
	wait "$gw" || true
}

# What an application has: the passfile of `route resolve` names user, database and password.
# PgBouncer and the direct connection are another, equal tenant: a role has a limit of connections.
uri=$("$copyhold" route resolve t00001 --direct)
password_of() {
	local file=${1##*passfile=}
	file=${file%%&*}
	awk -F: '{ print $5 }' "${file//%2F//}"
}
role=$(role_in "$uri")
db=$(db_in "$uri")
secret=$(password_of "$uri")
declare -A near # connection strings for one client on this machine
near[direct]="host=127.0.0.1 port=$port dbname=$db user=$role password=$secret"

start_pgbouncer() {
	local bin=pgbouncer
	mkdir -p "$work/pgb"
	chmod 0755 "$work/pgb"
	# the server's own verifier: no PBKDF2 at each login, as in the gateway
	printf '"%s" "%s"\n' "$role" \
		"$(su_sql bj-1 -Atc "SELECT rolpassword FROM pg_authid WHERE rolname = '$role'")" >"$work/pgb/users"
	cat >"$work/pgb/pgbouncer.ini" <<-END
		[databases]
		acme = host=127.0.0.1 port=$port dbname=$db
		[pgbouncer]
		listen_addr = 127.0.0.1
		listen_port = $1
		unix_socket_dir = $work/pgb
		auth_type = scram-sha-256
		auth_file = $work/pgb/users
		pool_mode = transaction
		default_pool_size = 40
		server_idle_timeout = 600
		max_client_conn = 8000
		ignore_startup_parameters = extra_float_digits
		client_tls_sslmode = allow
		client_tls_key_file = $work/gw.key
		client_tls_cert_file = $work/gw.crt
	END
	chmod -R a+rX "$work/pgb"
	chmod 0711 "$work"
	cp "$work/gw.key" "$work/pgb/key"
	sed -i "s|$work/gw.key|$work/pgb/key|; s|$work/gw.crt|$work/pgb/crt|" "$work/pgb/pgbouncer.ini"
	cp "$work/gw.crt" "$work/pgb/crt"
	chown -R postgres "$work/pgb"
	(ulimit -n 20000; exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin" -q "$work/pgb/pgbouncer.ini") >"$work/pgb.log" 2>&1 &
	pgb_parent=$!
	started+=("$pgb_parent")
	until psql -X -Atc 'SELECT 1' "$pgb_dsn" >/dev/null 2>&1; do sleep 0.1; done
	pgb=$(pgrep -P "$pgb_parent" -x pgbouncer || echo "$pgb_parent")
}

pgb_port=$((port + 500))
pgb_dsn="host=127.0.0.1 port=$pgb_port dbname=acme user=$role password=$secret"
near[pgb]="host=$work/pgb port=$pgb_port dbname=acme user=$role password=$secret"

# PID...: processor time so far, in ms, user and system.
cpu_of() {
	local pid sum=0 ticks
	for pid; do
		ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
		sum=$((sum + ticks * 10))
	done
	echo "$sum"
}

rss_of() {
	local pid sum=0
	for pid; do
		sum=$((sum + $(awk '/^Rss:/ { print $2 }' "/proc/$pid/smaps_rollup")))
	done
	echo "$sum"
}

family() { echo "$1 $(pgrep -P "$1" | tr '\n' ' ')"; }

echo "SELECT name FROM account WHERE id = '00000000-0000-0000-0000-000000000000'" >"$work/gw.sql"

# NAME DSN PIDS: us of processor time a query; servers are connected before.
cpu_round() {
	local before after n
	timed "$pg/pgbench" -n -M simple -c 120 -j 2 -t 20 -f "$work/gw.sql" "$2"
	# shellcheck disable=SC2086 # several words
	before=$(cpu_of $3)
	timed "$pg/pgbench" -n -M simple -c 120 -j 2 -T "$gw_seconds" -f "$work/gw.sql" "$2"
	# shellcheck disable=SC2086
	after=$(cpu_of $3)
	n=$(awk '/actually processed/ { print $6 }' "$work/log")
	keep "$1" "$(calc "($after - $before) * 1000 / $n")"
	keep "$1.tps" "$(awk '/^tps/ { print $3 }' "$work/log")"
}

start_gateway 1
start_pgbouncer "$pgb_port"
gw_rest="dbname=t00000 user=app password=$(password_of "$("$copyhold" route resolve t00000)")"
gw_dsn="host=127.0.0.1 port=$gw_tcp $gw_rest"
near[gw]="host=$sock port=6432 $gw_rest"

# Under TLS half of it is libcrypto's, for both.
for ((round = 0; round < rounds; round++)); do
	for mode in disable require; do
		cpu_round "cpu.gw.$mode" "$gw_dsn sslmode=$mode" "$(family "$gw")"
		cpu_round "cpu.pgb.$mode" "$pgb_dsn sslmode=$mode" "$pgb"
	done
done
# MODE TARGET NAME
cpu_rows() {
	row "gateway: processor time of a query, 40 servers, 120 clients$3" "$(median "cpu.gw.$1") us" "$2" \
		"PgBouncer 1.18" "$(median "cpu.pgb.$1") us" "$(calc "$(median "cpu.gw.$1") / $(median "cpu.pgb.$1")")"
	row "  queries a second$3" "$(median "cpu.gw.$1.tps")/s" "-" "PgBouncer 1.18" "$(median "cpu.pgb.$1.tps")/s" \
		"$(calc "$(median "cpu.gw.$1.tps") / $(median "cpu.pgb.$1.tps")")"
}
cpu_rows disable "0.9x or less" ""
cpu_rows require "-" ", clients under TLS"

for ((round = 0; round < rounds; round++)); do
	for who in direct gw pgb; do
		# the server takes tenants over TCP alone, also from both of them
		"$tools/gateway" latency "${near[$who]}" 20000 >"$work/latency"
		keep "p50.$who" "$(awk '{ print $1 }' "$work/latency")"
		keep "p99.$who" "$(awk '{ print $2 }' "$work/latency")"
	done
done
for p in 50 99; do
	row "gateway: latency added on a unix socket, $p of 100" \
		"$(calc "$(median p$p.gw) - $(median p$p.direct)") us" "$([ $p = 50 ] && echo 40 || echo 120) us" \
		"PgBouncer 1.18 adds" "$(calc "$(median p$p.pgb) - $(median p$p.direct)") us" \
		"$(calc "($(median p$p.gw) - $(median p$p.direct)) / ($(median p$p.pgb) - $(median p$p.direct))")"
done

# Who tries to log in must not learn by the time it takes what was wrong.
declare -A wrong=([password]="dbname=t00000 user=app" [user]="dbname=t00000 user=nobody" [tenant]="dbname=nobody user=app")
for ((round = 0; round < 8 * rounds; round++)); do # in many short turns: the machine is not the same all the time
	for what in password user tenant; do
		"$tools/gateway" refused "host=$sock port=6432 password=wrong ${wrong[$what]}" 40 >"$work/refused"
		keep "refused.$what" "$(cat "$work/refused")"
	done
done
row "gateway: a login with a wrong password, refused" "$(median refused.password) us" "-" "an unknown user, an unknown tenant" \
	"$(median refused.user), $(median refused.tenant) us" "$(calc "$(median refused.user) / $(median refused.password)")"

# NAME DSN PIDS: bytes of memory that an idle client takes.
idle_round() {
	local before after opener
	# shellcheck disable=SC2086
	before=$(rss_of $3)
	mkfifo "$work/idle.in"
	(ulimit -n 20000; exec "$tools/gateway" idle "$2" "$idle_n") <"$work/idle.in" >"$work/idle.out" &
	opener=$!
	exec 9>"$work/idle.in"
	until grep -q ready "$work/idle.out"; do sleep 0.1; kill -0 "$opener"; done
	# shellcheck disable=SC2086
	after=$(rss_of $3)
	exec 9>&-
	wait "$opener"
	rm "$work/idle.in"
	keep "$1" "$(((after - before) * 1024 / idle_n))"
}

# Memory that was taken once is not given back to the kernel: each from a fresh start.
for mode in disable require; do
	stop_gateway
	start_gateway 1
	gw_idle="host=127.0.0.1 port=$gw_tcp $gw_rest sslmode=$mode"
	psql -X -Atc 'SELECT 1' "$gw_idle" >/dev/null
	idle_round "idle.gw.$mode" "$gw_idle" "$(family "$gw")"
	kill "$pgb"
	wait "$pgb_parent" || true
	start_pgbouncer "$pgb_port"
	idle_round "idle.pgb.$mode" "$pgb_dsn sslmode=$mode" "$pgb"
	row "gateway: memory of an idle client, $([ $mode = disable ] && echo plain || echo TLS)" \
		"$(median "idle.gw.$mode") bytes" "$([ $mode = disable ] && echo 4096 || echo 40960) bytes" \
		"PgBouncer 1.18" "$(median "idle.pgb.$mode") bytes" \
		"$(calc "$(median "idle.gw.$mode") / $(median "idle.pgb.$mode")")"
done
stop_gateway

# --- a switch under writers -----------------------------------------------------------------

# The same server by another name; a hundred writes a second of four clients.
sed -e 's/name: bj-1/name: bj-2/' -e 's/host: 127.0.0.1/host: localhost/' "$dir/cluster.yaml" >"$dir/second.yaml"
timed "$copyhold" -q apply -f "$dir" --yes
start_gateway 2
echo "INSERT INTO account (name, country) VALUES ('n', 'CN')" >"$work/switch.sql"
"$pg/pgbench" -n -c 4 -R 100 -T 25 -f "$work/switch.sql" "host=127.0.0.1 port=$gw_tcp $gw_rest" \
	>"$work/switch.log" 2>&1 &
writers=$!
sleep 1
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	for to in bj-2 bj-1; do
		"$copyhold" -q route switch t00000 --to $to --yes -o json |
			awk -F '[:,]' '/"parkedMs"/ { print $2 + 0 }' >>"$work/values.parked"
		sleep 0.2
	done
done
wait $writers || { cat "$work/switch.log" >&2; exit 1; }
row "gateway: parked by a switch (same), 50 / 95 / all of 100" "$(part_of parked 50) / $(part_of parked 95) / $(part_of parked 100) ms" \
	"20 / 60 / 250 ms" "writes that failed, of $(awk '/actually processed/ { print $6 }' "$work/switch.log")" \
	"$(awk '/failed transactions/ { print $5 }' "$work/switch.log")" "-"
stop_gateway

# --- 64 tenants at once -----------------------------------------------------------------

# They are named in one folder; each has a client that writes twice a second.  One of them is in a
# transaction that lasts too long, and stays where it is.
write_tenants "$dir" s 64
sed -i 's/residency: {country: CN}}/residency: {country: CN}, gateway: {pool: transaction}}/' "$dir"/s*.yaml
timed "$copyhold" -q apply -f "$dir" --yes
start_gateway 2
many() { printf 's%05d\n' $(seq 0 63); }
many | while read -r tenant; do
	printf 'dbname=%s user=app password=%s\n' "$tenant" "$(password_of "$("$copyhold" route resolve "$tenant")")"
done >"$work/many"
"$tools/gateway" writers "host=127.0.0.1 port=$gw_tcp" "$work/many" 2 >"$work/writers" &
writers=$!
until grep -q ready "$work/writers"; do sleep 0.1; kill -0 "$writers"; done
(echo 'BEGIN; SELECT 1;' && sleep 30) | psql -X -q "host=127.0.0.1 port=$gw_tcp $(head -n 1 "$work/many")" >/dev/null &
holder=$!
sleep 1
# shellcheck disable=SC2016 # for the shell of each
many | xargs -P 64 -I TENANT sh -c '"$0" -q route switch TENANT --to bj-2 --yes -o json 2>/dev/null || true' "$copyhold" |
	awk -F '[:,]' '/"parkedMs"/ { print $2 + 0 }' >"$work/values.parked"
kill "$holder" 2>/dev/null || true
kill "$writers"
wait "$writers" || true
row "gateway: parked by 64 switches at once, of the $(wc -l <"$work/values.parked") that went" "$(part_of parked 50) / $(part_of parked 95) / $(part_of parked 100) ms" \
	"95 of 100: 100 ms" "writes that failed, of $(awk '/writes/ { print $2 }' "$work/writers")" \
	"$(awk '/writes/ { print $4 }' "$work/writers")" "-"
stop_gateway

# --- 100,000 routes ---------------------------------------------------------------------

# As many tenants as one catalogue would have, without servers: copies of the second one's rows.
sqlite3 "$COPYHOLD_HOME/catalog.db" <<-'SQL'
	PRAGMA foreign_keys = off;
	BEGIN;
	CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 99999)
		SELECT i, printf('t%05d', i) AS name FROM c;
	INSERT INTO tenant (name, id, state, mode, cluster, dbname, owner, model, model_version, shape, spec_hash)
		SELECT n.name, printf('x%011d', n.i), state, mode, cluster, printf('t_x%011d', n.i), owner, model,
			model_version, shape, spec_hash FROM n, tenant t WHERE t.name = 't00001';
	INSERT INTO route (tenant, epoch, seq, state, cluster, dbname, number)
		SELECT n.name, epoch, seq, state, cluster, printf('t_x%011d', n.i), 1000 + n.i FROM n, route r
		WHERE r.tenant = 't00001';
	INSERT INTO login (tenant, client_user, role, access, scram_verifier, sealed, on_now)
		SELECT n.name, client_user, printf('t_x%011d_ab', n.i), access, scram_verifier, sealed, on_now
		FROM n, login l WHERE l.tenant = 't00001';
	COMMIT;
SQL
from=$(now_ms)
start_gateway 2
took=$(($(now_ms) - from))
bytes=$(for fd in /proc/"$gw"/fd/*; do
	case $(readlink "$fd") in */memfd:copyhold-routes*) stat -L -c %s "$fd" ;; esac
done | sort -n | tail -n 1)
row "gateway: start with 100,000 routes" "$took ms" "1000 ms or less" "PgBouncer 1.18, as known" "106 s" "-"
row "  a route with its login, in the image that all workers map" "$(calc "$bytes / 100000") bytes" \
	"400 bytes or less" "-" "-" "-"
gw_tcp_dsn="host=127.0.0.1 port=$gw_tcp $gw_rest"
"$tools/gateway" watch "$gw_tcp_dsn" 10 >"$work/calm"
"$tools/gateway" watch "$gw_tcp_dsn" 10 >"$work/changing" &
watcher=$!
"$tools/routes" "$COPYHOLD_HOME" 1000 9 >"$work/changes"
wait $watcher
row "gateway: a route changed, in use by all workers, 99 of 100" "$(awk '{ print $2 }' "$work/changes") ms" \
	"20 ms" "the median one" "$(awk '{ print $1 }' "$work/changes") ms" "-"
row "gateway: added to others meanwhile, 99.9 of 100" \
	"$(calc "$(awk '{ print $2 }' "$work/changing") - $(awk '{ print $2 }' "$work/calm")") us" "1000 us" \
	"without changes" "$(awk '{ print $2 }' "$work/calm") us" "-"
stop_gateway
stop_all
trap clean EXIT
cluster remove "$work" bj-1
unset COPYHOLD_HOME
