# shellcheck shell=sh
# postgres.sh - verbs of duty cluster/NAME: one PostgreSQL server of the distribution, with an OS user,
# data, certificate and unit of its own below $ROOT/clusters/NAME.
#
# Its first word is always the major version.  The superuser `postgres` comes in through the local socket
# alone, as the server's OS user.  The private key is made here and never leaves.  What the server's user
# owns is written and read as that user: a link in it leads root nowhere.
# shellcheck disable=SC2154,SC2034  # the parts are one text: what one sets, another reads
# shellcheck disable=SC2016,SC3044  # sh -c expands its own text; disown is core.sh's

duty_verbs_cluster="$duty_verbs_cluster pg-create pg-config pg-hba pg-hba-back pg-start pg-sql"
duty_verbs_cluster="$duty_verbs_cluster pg-certificate-new pg-certificate-use pg-remove pg-release"
duty_verbs_cluster="$duty_verbs_cluster look-pg look-pg-certificate"

PG_CERTIFICATE_DAYS=730
PG_ROOM_KB=131072 # initdb's 40 MB, and the first WAL segments

pg_begin() {
	case ${1-} in
	'' | *[!0-9]*) die "pg: \"${1-}\" is no major version" ;;
	esac
	pg_version=$1
	pg_bin=/usr/lib/postgresql/$1/bin
	pg_home=$DUTY_HOME
	pg_data=$pg_home/data
	pg_run=$pg_home/run
	pg_pem=$pg_home/tls/server.pem
	pg_unit=$(unit_of pg)
	pg_user=$(user_of "pg-$DUTY_NAME")
}

# The server's user, with nothing of our environment.
pg_as() {
	(cd "$pg_home" && exec setpriv --reuid="$pg_user" --regid="$pg_user" --clear-groups -- \
		env -i PATH="$pg_bin:/usr/bin:/bin" LC_ALL=C HOME="$pg_home" "$@")
}

pg_port() { [ ! -e "$pg_data/copyhold.conf" ] || sed -n 's/^port = //p' "$pg_data/copyhold.conf"; }

# The script on stdin, as the superuser.
pg_psql() {
	pg_as psql -XqAt -F ' ' -v ON_ERROR_STOP=1 -h "$pg_run" -p "$(pg_port)" -U postgres -d postgres
}

pg_ask() { printf '%s\n' "$1" | pg_psql 2>"$TMP/pg.err"; }

pg_runs() {
	[ -s "$pg_data/postmaster.pid" ] || return 1
	read -r pg_pid <"$pg_data/postmaster.pid"
	kill -0 "$pg_pid" 2>/dev/null
}

pg_ready() { pg_runs && pg_as pg_isready -q -h "$pg_run" -p "$(pg_port)"; }

# --- what must be there, before anything is changed -------------------------------------------

pg_installed() {
	[ -x "$pg_bin/initdb" ] && [ -x "$pg_bin/postgres" ] && [ -x "$pg_bin/psql" ]
}

pg_need_installed() {
	pg_installed || die "PostgreSQL $pg_version is not installed: apt-get install -y postgresql-$pg_version"
	command -v openssl >/dev/null || die "openssl is not installed: apt-get install -y openssl"
}

pg_need_version() {
	[ -e "$pg_data/PG_VERSION" ] || return 0
	read -r pg_found <"$pg_data/PG_VERSION"
	[ "$pg_found" = "$pg_version" ] ||
		die "the data folder $pg_data is of PostgreSQL $pg_found, not $pg_version"
}

# Does anybody listen at the port?  Addresses in /proc/net end in the port's four hex digits.
pg_listens() {
	pg_hex=$(printf '%04X' "$1")
	for pg_table in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$pg_table" ] || continue
		while read -r _ pg_local _ pg_state _; do
			case $pg_state:$pg_local in
			0A:*:"$pg_hex") return 0 ;;
			esac
		done <"$pg_table"
	done
	return 1
}

pg_need_port() {
	pg_runs && return 0
	! pg_listens "$1" || die "port $1 is taken on this host by another program"
}

pg_need_room() {
	[ ! -e "$pg_data/PG_VERSION" ] || return 0
	pg_free=$(df -k --output=avail -- "$ROOT/clusters" | tail -n 1)
	[ "$pg_free" -ge "$PG_ROOM_KB" ] ||
		die "no space left on device: $ROOT/clusters has $((pg_free / 1024)) MB, a cluster begins with $((PG_ROOM_KB / 1024))"
}

pg_need_short() {
	pg_socket=$pg_run/.s.PGSQL.65535
	[ ${#pg_socket} -le 107 ] || die "the path of the server's socket is too long: $pg_socket"
}

# --- made, configured, started ------------------------------------------------------------------

pg_initdb() {
	[ ! -e "$pg_data/PG_VERSION" ] || return 0
	rm -rf -- "$pg_home/data.new"
	mkdir -m 0700 -- "$pg_home/data.new"
	chown -- "$pg_user:$pg_user" "$pg_home/data.new"
	pg_as initdb -D "$pg_home/data.new" -U postgres -E UTF8 --locale=C --data-checksums \
		--auth-local=peer --auth-host=reject >"$TMP/pg.out" 2>&1 </dev/null ||
		die "initdb failed: $(grep -m 1 -E 'error|FATAL|PANIC' "$TMP/pg.out" || tail -n 1 "$TMP/pg.out")"
	rm -rf -- "$pg_data"
	mv -- "$pg_home/data.new" "$pg_data"
	sync_file "$pg_home"
}

# FILE ADDRESS...: a new key and its certificate in one file, so that both change at once.
pg_make_certificate() {
	pg_file=$1
	shift
	pg_san=
	for pg_name; do
		case $pg_name in
		*:*) pg_name=IP:$pg_name ;;
		*[!0-9.]*) pg_name=DNS:$pg_name ;;
		*) pg_name=IP:$pg_name ;;
		esac
		case ,$pg_san, in
		*,"$pg_name",*) ;;
		*) pg_san=$pg_san${pg_san:+,}$pg_name ;;
		esac
	done
	pg_as sh -c 'umask 077 && cd tls && rm -f key.new crt.new pem.new &&
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days "$1" \
			-subj "/CN=$2" -addext "subjectAltName=$3" -keyout key.new -out crt.new &&
		cat crt.new key.new >pem.new && rm -f key.new crt.new && sync pem.new && mv -f pem.new "$4" && sync .' \
		sh "$PG_CERTIFICATE_DAYS" "$DUTY_NAME" "$pg_san" "$pg_file" >"$TMP/pg.out" 2>&1 </dev/null ||
		die "openssl could not make the certificate: $(tail -n 1 "$TMP/pg.out")"
}

# VERSION PORT ADDRESS...: addresses and names that the certificate is for.
verb_pg_create() {
	pg_begin "$1"
	pg_new_port=$2
	shift 2
	[ -d "$ROOT/clusters" ] || install -d -m 0711 -- "$ROOT/clusters"
	pg_need_installed
	pg_need_version
	pg_need_port "$pg_new_port"
	pg_need_room
	pg_need_short
	own path "$pg_home"
	ensure_user "$pg_user" "$pg_home"
	ensure_dir "$pg_home" "root:$pg_user" 0750
	ensure_dir "$pg_home/tls" "$pg_user:$pg_user" 0700
	ensure_dir "$pg_run" "$pg_user:$pg_user" 0770
	pg_initdb
	[ -s "$pg_pem" ] || pg_make_certificate server.pem "$@"
}

pg_write() { put_file "$pg_data/$1" "$pg_user:$pg_user" 0600; }

pg_main_conf() {
	cat <<-'END'
		# Kept by copyhold: what is changed here is put back.
		include 'copyhold.conf'
	END
}

pg_auto_conf() {
	cat <<-'END'
		# Do not edit this file manually!
		# It will be overwritten by the ALTER SYSTEM command.
	END
}

pg_ident_conf() {
	printf '# Kept by copyhold: what is changed here is put back.\ncopyhold %s postgres\n' "$pg_user"
}

pg_sum() { sha256sum | cut -d ' ' -f 1; }

# The server reads a candidate as it would at its start; what it says of the first thing wrong.
pg_check_conf() {
	pg_as sh -c 'umask 077 && cat >tls/check.conf' <"$1"
	pg_as postgres -D "$pg_data" -c "config_file=$pg_home/tls/check.conf" -C port >"$TMP/pg.out" 2>&1 ||
		die "PostgreSQL refuses the settings: $(sed -n 's/^.*\(LOG\|FATAL\):  //p' "$TMP/pg.out" |
			sed 's/ in file ".*" line [0-9]*//' | head -n 1)"
	pg_as rm -f tls/check.conf
}

pg_reload() {
	if ! pg_ready; then
		return 0
	fi
	pg_before=$(pg_ask "SELECT pg_conf_load_time()") || die "psql: $(tail -n 1 "$TMP/pg.err")"
	pg_ask "SELECT pg_reload_conf()" >/dev/null || die "psql: $(tail -n 1 "$TMP/pg.err")"
	pg_turns=0
	while [ "$(pg_ask "SELECT pg_conf_load_time()")" = "$pg_before" ]; do
		[ $((pg_turns += 1)) -le 100 ] || die "the server does not read its settings again"
		sleep 0.1
	done
}

# VERSION, the settings as body.  What needs a restart gets one; a server that does not start with them
# is started with those of before.
verb_pg_config() {
	pg_begin "$1"
	pg_check_conf "$BODY"
	pg_was=$(pg_port)
	pg_new_port=$(sed -n 's/^port = //p' "$BODY")
	if ! pg_ready; then
		pg_write_conf "$BODY"
		return 0
	fi
	[ "$pg_new_port" = "$pg_was" ] || ! pg_listens "$pg_new_port" ||
		die "port $pg_new_port is taken on this host by another program"
	pg_as cp -f data/copyhold.conf tls/was.conf
	# With another port it would not be found at the old one: the restart comes first.
	if [ "$pg_new_port" = "$pg_was" ]; then
		pg_write_conf "$BODY"
		pg_reload
		pg_pending=$(pg_ask "SELECT count(*) FROM pg_settings WHERE pending_restart") || pg_pending=1
		[ "$pg_pending" != 0 ] || return 0
	fi
	pg_stop
	pg_write_conf "$BODY"
	if pg_try_start; then
		return 0
	fi
	pg_why=$(pg_last_words)
	pg_stop
	pg_as cat tls/was.conf | pg_write copyhold.conf
	pg_try_start || true
	die "PostgreSQL does not start with the settings: $pg_why"
}

pg_write_conf() {
	pg_auto_conf | pg_write postgresql.auto.conf
	pg_ident_conf | pg_write pg_ident.conf
	pg_main_conf | pg_write postgresql.conf
	pg_write copyhold.conf <"$1"
}

# VERSION, the rules as body.
verb_pg_hba() {
	pg_begin "$1"
	pg_set_hba "$BODY"
}

# VERSION: as they were before.
verb_pg_hba_back() {
	pg_begin "$1"
	pg_as cat tls/was.hba >"$TMP/was.hba" || die "there is no earlier pg_hba.conf"
	pg_set_hba "$TMP/was.hba"
}

pg_set_hba() {
	[ ! -e "$pg_data/pg_hba.conf" ] || pg_as cp -f data/pg_hba.conf tls/was.hba
	pg_write pg_hba.conf <"$1"
	if ! pg_ready; then
		return 0
	fi
	pg_why=$(pg_ask "SELECT 'line ' || line_number || ': ' || error FROM pg_hba_file_rules
		WHERE error IS NOT NULL ORDER BY line_number LIMIT 1") || die "psql: $(tail -n 1 "$TMP/pg.err")"
	if [ -n "$pg_why" ]; then
		pg_as cat tls/was.hba | pg_write pg_hba.conf
		die "PostgreSQL refuses pg_hba.conf: $pg_why"
	fi
	pg_reload
}

pg_last_fatal() {
	sup_logs "$pg_unit" 100 2>/dev/null | sed -n '/\(FATAL\|PANIC\):  \|postgres: /p' | tail -n 1
}

pg_last_words() { pg_last_fatal | sed 's/^.*\(\(FATAL\|PANIC\): \|postgres:\) *//'; }

pg_start_file() {
	cat <<-END
		#!/bin/sh
		# Kept by copyhold.
		exec $pg_bin/postgres -D '$pg_data' 2>&1
	END
}

pg_stop() {
	sup_stop "$pg_unit" 120
	pg_turns=0
	while pg_runs || pg_wanted; do
		[ $((pg_turns += 1)) -le 1200 ] || die "the server does not stop"
		sleep 0.1
	done
}

# runsv hears a stop between two starts of a server that dies at once only when its pause is over, and a
# start that came meanwhile is lost.
pg_wanted() {
	[ "$SUPERVISE" = runit ] || return 1
	case $(sv status "$ROOT/service/$pg_unit" 2>/dev/null) in *"want up"*) ;; *) return 1 ;; esac
}

# A server that dies at its start is started again and again: a new line in its log tells.
pg_try_start() {
	pg_fatal=$(pg_last_fatal)
	(sup_start "$pg_unit") 2>"$TMP/pg.err" || return 1
	pg_turns=0
	while ! pg_ready; do
		[ $((pg_turns += 1)) -le 600 ] || return 1
		[ $((pg_turns % 10)) -ne 0 ] || pg_runs || [ "$(pg_last_fatal)" = "$pg_fatal" ] || return 1
		sleep 0.1
	done
}

# VERSION
verb_pg_start() {
	pg_begin "$1"
	pg_need_installed
	pg_need_port "$(pg_port)"
	pg_start_file | put_file "$pg_home/start" "root:$pg_user" 0750
	sup_define "$pg_unit" "$pg_user" "$pg_home" "" 120 "$pg_home/start" SIGINT
	if pg_try_start; then
		return 0
	fi
	pg_why=$(pg_last_words)
	(sup_stop "$pg_unit" 10) 2>/dev/null || true
	die "PostgreSQL does not start: ${pg_why:-it said nothing}"
}

# VERSION, a script for psql as body: the house's own setup, as the superuser.
verb_pg_sql() {
	pg_begin "$1"
	pg_ready || die "the server does not run"
	pg_psql <"$BODY" >"$TMP/pg.out" 2>"$TMP/pg.err" ||
		die "the setup script failed: $(sed -n 's/^.*\(ERROR\|FATAL\):  //p' "$TMP/pg.err" | head -n 1)"
}

# --- the certificate ------------------------------------------------------------------------------

pg_show_certificate() {
	openssl x509 -in "$1" 2>/dev/null || die "there is no certificate at $1"
}

# VERSION ADDRESS...: made beside the old one, and shown.
verb_pg_certificate_new() {
	pg_begin "$1"
	shift
	pg_make_certificate next.pem "$@"
	pg_show_certificate "$pg_home/tls/next.pem"
}

# VERSION: the new one takes the place of the old.
verb_pg_certificate_use() {
	pg_begin "$1"
	pg_as sh -c 'cd tls && { [ ! -e next.pem ] || mv -f next.pem server.pem; } && sync .'
	pg_reload
}

verb_look_pg_certificate() {
	pg_begin "$1"
	pg_show_certificate "$pg_pem"
}

# --- looking ------------------------------------------------------------------------------------------

pg_tell_sum() { [ ! -e "$2" ] || say "$1 $(pg_sum <"$2")"; }

pg_tell_certificate() {
	pg_until=$(openssl x509 -in "$pg_pem" -noout -enddate 2>/dev/null) || return 0
	say "certificate $(openssl x509 -in "$pg_pem" -outform DER | pg_sum)"
	say "until $(date -u -d "${pg_until#notAfter=}" +%s)"
}

pg_tell_server() {
	pg_ask "SELECT 'database', datname FROM pg_database ORDER BY datname;
		SELECT 'postmaster', name FROM pg_settings WHERE context = 'postmaster' ORDER BY name;
		SELECT 'pending', name FROM pg_settings WHERE pending_restart ORDER BY name;
		SELECT 'mark', shobj_description(oid, 'pg_database') FROM pg_database
			WHERE datname = 'copyhold_template';" || die "psql: $(tail -n 1 "$TMP/pg.err")"
}

# Databases other than those of a fresh cluster have folders whose number is 16384 or more.
pg_folders() {
	for pg_folder in "$pg_data"/base/*; do
		case ${pg_folder##*/} in
		*[!0-9]*) ;;
		*) [ "${pg_folder##*/}" -lt 16384 ] || echo "${pg_folder##*/}" ;;
		esac
	done | wc -l
}

pg_state() {
	if pg_ready; then
		echo running
	elif [ -e "$pg_data/PG_VERSION" ]; then
		echo stopped
	else
		echo missing
	fi
}

# FILE, what should be in it on stdin
pg_tell_edited() {
	[ ! -e "$pg_data/$1" ] || cmp -s - "$pg_data/$1" || say "edited $1"
}

# VERSION: one thing a line; databases and settings while the server runs.
verb_look_pg() {
	pg_begin "$1"
	! pg_installed || say "installed $pg_version"
	[ ! -e "$pg_data/PG_VERSION" ] || say "version $(cat "$pg_data/PG_VERSION")"
	say "state $(pg_state)"
	pg_tell_sum conf "$pg_data/copyhold.conf"
	pg_tell_sum hba "$pg_data/pg_hba.conf"
	pg_main_conf | pg_tell_edited postgresql.conf
	pg_ident_conf | pg_tell_edited pg_ident.conf
	[ ! -e "$pg_data/postgresql.auto.conf" ] ||
		sed -n 's/^\([a-zA-Z_][a-zA-Z0-9_.]*\) *=.*/system \1/p' "$pg_data/postgresql.auto.conf"
	pg_tell_certificate
	[ ! -d "$pg_data/base" ] || say "folders $(pg_folders)"
	! pg_ready || pg_tell_server
}

# --- away -----------------------------------------------------------------------------------------------

# Ours are two: copyhold and copyhold_template.
pg_refuse_data() {
	[ -d "$pg_data/base" ] || return 0
	if pg_ready; then
		pg_others=$(pg_ask "SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database
			WHERE datname NOT IN ('postgres', 'template0', 'template1', 'copyhold', 'copyhold_template')") ||
			die "psql: $(tail -n 1 "$TMP/pg.err")"
		[ -z "$pg_others" ] || die "the server holds data: database $pg_others"
	elif [ "$(pg_folders)" -gt 2 ]; then
		die "the stopped server holds data: $(($(pg_folders) - 2)) databases beside ours"
	fi
}

# VERSION: server, data, user and unit; refused while it holds a database that is not ours.
verb_pg_remove() {
	pg_begin "$1"
	pg_refuse_data
	remove_owned
}

# VERSION: it stays as it is, and is no longer ours to remove.
verb_pg_release() {
	pg_begin "$1"
	owned >"$TMP/pg.owned"
	while read -r pg_kind pg_name; do
		disown "$pg_kind" "$pg_name"
	done <"$TMP/pg.owned"
}
