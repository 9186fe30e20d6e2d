# shellcheck shell=sh
# postgres.sh - verbs of duty cluster/NAME: one PostgreSQL server of the distribution, with an OS user,
# data, certificate and unit of its own below $ROOT/clusters/NAME.
#
# Its first word is always the major version.  The superuser `postgres` comes in through the local socket
# alone, as the server's OS user.  The private key is made here and never leaves.  What the server's user
# owns is written and read as that user and within a time: a link in it leads root nowhere, a pipe holds nobody.
# shellcheck disable=SC2154,SC2034  # the parts are one text: what one sets, another reads
# shellcheck disable=SC2016,SC3044  # sh -c expands its own text; disown is core.sh's

duty_verbs_cluster="$duty_verbs_cluster pg-create pg-config pg-config-back pg-hba pg-hba-back"
duty_verbs_cluster="$duty_verbs_cluster pg-start pg-sql pg-certificate-new pg-certificate-use pg-remove pg-release"
duty_verbs_cluster="$duty_verbs_cluster look-pg look-pg-certificate"

PG_CERTIFICATE_DAYS=730
PG_ROOM_KB=131072   # initdb's 40 MB, and the first WAL segments
PG_FILE_MAX=1048576 # bytes of a file of its user's that are read

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

# COMMAND...: as the server's user, with nothing of our environment.  Root ends it: its own user may stop it.
pg_as() { pg_as_for 60 "$@"; }

# SECONDS COMMAND...
pg_as_for() {
	(
		pg_seconds=$1
		shift
		cd -- "$pg_home" && exec timeout -k 5 "$pg_seconds" \
			setpriv --reuid="$pg_user" --regid="$pg_user" --clear-groups -- \
			env -i PATH="$pg_bin:/usr/bin:/bin" LC_ALL=C HOME="$pg_home" "$@"
	)
}

# FILE below the home: what is in it; nothing where there is none, false where it cannot be read.
pg_read() {
	pg_as_for 30 sh -c '[ ! -f "$1" ] || exec head -c "$2" -- "$1"' sh "$1" "$PG_FILE_MAX" 2>/dev/null
}

# FILE below the home <BYTES: new or different only; whoever reads it sees the old or the new one.
pg_put() {
	pg_as sh -c 'umask 077 && rm -f -- "$1.new" && cat >"$1.new" || exit
		if [ -f "$1" ] && [ ! -L "$1" ] && cmp -s -- "$1.new" "$1"; then exec rm -f -- "$1.new"; fi
		sync -- "$1.new" && mv -fT -- "$1.new" "$1" && sync -- "${1%/*}"' sh "$1" 2>"$TMP/pg.err" ||
		die "cannot write \"$pg_home/$1\": $(tail -n 1 "$TMP/pg.err" | grep . || echo "it took too long")"
}

pg_write() { pg_put "data/$1"; }

pg_port() { pg_read data/copyhold.conf | sed -n 's/^port = \([0-9]\{1,5\}\)$/\1/p' | tail -n 1; }

# The script on stdin, as the superuser, within so many seconds.
pg_psql() {
	pg_as_for "$1" psql -XqAt -F ' ' -v ON_ERROR_STOP=1 -h "$pg_run" -p "$(pg_port)" -U postgres -d postgres
}

pg_ask() { printf '%s\n' "$1" | pg_psql 60 2>"$TMP/pg.err"; }

pg_runs() {
	[ -s "$pg_data/postmaster.pid" ] || return 1
	pg_pid=$(pg_read data/postmaster.pid | head -n 1)
	is_number "$pg_pid" && [ "$(stat -c %U -- "/proc/$pg_pid" 2>/dev/null)" = "$pg_user" ]
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

# What is there already is ours, or stays as it is.
pg_need_ours() {
	[ ! -e "$pg_home" ] && [ ! -L "$pg_home" ] || is_owned path "$pg_home" ||
		die "\"$pg_home\" is there already, and not of duty \"$DUTY\""
}

pg_need_version() {
	[ -e "$pg_data/PG_VERSION" ] || return 0
	pg_found=$(pg_version_there)
	[ "$pg_found" = "$pg_version" ] ||
		die "the data folder $pg_data is of PostgreSQL ${pg_found:-"no version"}, not $pg_version"
}

pg_version_there() { pg_read data/PG_VERSION | sed -n '1s/^\([0-9]\{1,4\}\)$/\1/p'; }

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
	pg_as_for 600 initdb -D "$pg_home/data.new" -U postgres -E UTF8 --locale=C --data-checksums \
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
	pg_need_ours
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

# FILE of the data folder <BYTES: for where it is no file that can be read; a server would wait for a pipe for ever.
pg_need_file() {
	if [ -e "$pg_data/PG_VERSION" ] && ! pg_as sh -c '[ -f "$1" ] && [ -r "$1" ]' sh "data/$1" </dev/null; then
		pg_write "$1"
	fi
}

# The server reads a candidate as it would at its start; what it says of the first thing wrong.
pg_check_conf() {
	pg_auto_conf | pg_need_file postgresql.auto.conf
	pg_put tls/check.conf <"$1"
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

# FILE: what FILE of the data folder is now is kept in tls/FILE.was, under the step's key, for whoever takes the
# change back.  A repeat of the step keeps what is kept.  Where an earlier change waits to be confirmed it is what
# was before that one.
pg_keep() {
	pg_read "tls/$1.was" >"$TMP/pg.was" || :
	pg_was_key=''
	read -r pg_was_key <"$TMP/pg.was" || :
	[ "$pg_was_key" != "$act_step" ] || return 0
	guard_others "$act_step"
	if [ -n "$OTHERS" ] && [ -n "$pg_was_key" ]; then
		tail -n +2 "$TMP/pg.was" >"$TMP/pg.now"
	else
		pg_read "data/$1" >"$TMP/pg.now" && [ -s "$TMP/pg.now" ] || return 0
	fi
	printf '%s\n' "$act_step" | cat - "$TMP/pg.now" >"$TMP/pg.was"
	pg_put "tls/$1.was" <"$TMP/pg.was"
}

# FILE: what is kept of it, in $TMP/pg.was.
pg_kept() {
	pg_read "tls/$1.was" | tail -n +2 >"$TMP/pg.was"
	[ -s "$TMP/pg.was" ] || die "there is no earlier $1"
}

# VERSION, the settings as body.  What needs a restart gets one; a server that does not start with them
# is started with those of before.
verb_pg_config() {
	pg_begin "$1"
	pg_check_conf "$BODY"
	pg_new_port=$(sed -n 's/^port = //p' "$BODY")
	[ "$pg_new_port" = "$(pg_port)" ] || ! pg_ready || ! pg_listens "$pg_new_port" ||
		die "port $pg_new_port is taken on this host by another program"
	pg_keep copyhold.conf
	if pg_set_conf "$BODY"; then
		return 0
	fi
	pg_why=$(pg_last_words)
	pg_kept copyhold.conf
	pg_set_conf "$TMP/pg.was" || true
	die "PostgreSQL does not start with the settings: $pg_why"
}

# VERSION: as they were before.
verb_pg_config_back() {
	pg_begin "$1"
	pg_kept copyhold.conf
	pg_set_conf "$TMP/pg.was" || die "PostgreSQL does not start with the settings of before: $(pg_last_words)"
}

# FILE: false where the server does not start with it.  One that was started once is started again, whether it
# runs or not: whoever did this before may have been killed in between.
pg_set_conf() {
	pg_old_port=$(pg_port) pg_began=''
	! pg_ready || pg_began=1
	pg_write_conf "$1" || exit 1
	if [ -n "$pg_began" ] && [ "$(pg_port)" = "$pg_old_port" ]; then
		pg_reload
		pg_pending=$(pg_ask "SELECT count(*) FROM pg_settings WHERE pending_restart") || pg_pending=1
		[ "$pg_pending" != 0 ] || return 0
	fi
	[ -e "$pg_home/start" ] || return 0
	pg_pause
	pg_try_start
}

pg_write_conf() {
	pg_auto_conf | pg_write postgresql.auto.conf &&
		pg_ident_conf | pg_write pg_ident.conf &&
		pg_main_conf | pg_write postgresql.conf &&
		pg_write copyhold.conf <"$1"
}

# VERSION, the rules as body.
verb_pg_hba() {
	pg_begin "$1"
	pg_keep pg_hba.conf
	pg_write pg_hba.conf <"$BODY"
	if ! pg_ready; then
		return 0
	fi
	pg_why=$(pg_ask "SELECT 'line ' || line_number || ': ' || error FROM pg_hba_file_rules
		WHERE error IS NOT NULL ORDER BY line_number LIMIT 1") || die "psql: $(tail -n 1 "$TMP/pg.err")"
	if [ -n "$pg_why" ]; then
		pg_kept pg_hba.conf
		pg_write pg_hba.conf <"$TMP/pg.was"
		die "PostgreSQL refuses pg_hba.conf: $pg_why"
	fi
	pg_reload
}

# VERSION: as they were before.
verb_pg_hba_back() {
	pg_begin "$1"
	pg_kept pg_hba.conf
	pg_write pg_hba.conf <"$TMP/pg.was"
	pg_reload
}

# Of the server, or of what starts it.
pg_last_fatal() {
	sup_logs "$pg_unit" 100 2>/dev/null | sed -n '/\(FATAL\|PANIC\):  \|postgres: \|setpriv: /p' | tail -n 1
}

pg_last_words() { pg_last_fatal | sed 's/^.*\(\(FATAL\|PANIC\): \|postgres:\) *//'; }

pg_start_file() {
	cat <<-END
		#!/bin/sh
		# Kept by copyhold.
		exec $pg_bin/postgres -D '$pg_data' 2>&1
	END
}

# It is not taken from what the machine starts: what is killed before the server runs again leaves one that comes
# up with the machine.
pg_pause() {
	if [ "$SUPERVISE" = systemd ]; then
		timeout 300 systemctl stop -- "$pg_unit.service" || die "unit \"$pg_unit\" does not stop"
	elif [ -p "$ROOT/service/$pg_unit/supervise/ok" ] && runit_pid; then
		sv -w 120 force-stop "$ROOT/service/$pg_unit" >/dev/null 2>&1 || :
	fi
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
	pg_auto_conf | pg_need_file postgresql.auto.conf
	# For the superuser at its socket alone: the step that writes the rules finds that they are others.
	echo "local all postgres peer map=copyhold" | pg_need_file pg_hba.conf
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
	[ -n "$pg_why" ] || pg_why=$(tail -n 1 "$TMP/pg.err" 2>/dev/null)
	(sup_stop "$pg_unit" 10) 2>/dev/null || true
	die "PostgreSQL does not start: ${pg_why:-it said nothing}"
}

# VERSION, a script for psql as body: the house's own setup, as the superuser.
verb_pg_sql() {
	pg_begin "$1"
	pg_ready || die "the server does not run"
	pg_psql 600 <"$BODY" >"$TMP/pg.out" 2>"$TMP/pg.err" ||
		die "the setup script failed: $(sed -n 's/^.*\(ERROR\|FATAL\):  //p' "$TMP/pg.err" | head -n 1)"
}

# --- the certificate ------------------------------------------------------------------------------

# FILE below the home
pg_show_certificate() {
	pg_read "$1" | openssl x509 2>/dev/null || die "there is no certificate at $pg_home/$1"
}

# VERSION ADDRESS...: made beside the old one, and shown.
verb_pg_certificate_new() {
	pg_begin "$1"
	shift
	pg_make_certificate next.pem "$@"
	pg_show_certificate tls/next.pem
}

# VERSION: the new one takes the place of the old.
verb_pg_certificate_use() {
	pg_begin "$1"
	pg_as sh -c 'cd tls && { [ ! -e next.pem ] || mv -f next.pem server.pem; } && sync .'
	pg_reload
}

verb_look_pg_certificate() {
	pg_begin "$1"
	pg_show_certificate tls/server.pem
}

# --- looking ------------------------------------------------------------------------------------------

pg_tell_sum() { [ ! -e "$pg_data/$2" ] || say "$1 $(pg_read "data/$2" | pg_sum)"; }

pg_tell_certificate() {
	pg_read tls/server.pem | openssl x509 >"$TMP/pg.crt" 2>/dev/null || return 0
	pg_until=$(openssl x509 -in "$TMP/pg.crt" -noout -enddate)
	say "certificate $(openssl x509 -in "$TMP/pg.crt" -outform DER | pg_sum)"
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
	[ -e "$pg_data/$1" ] || return 0
	pg_read "data/$1" >"$TMP/pg.file" || :
	cmp -s - "$TMP/pg.file" || say "edited $1"
}

# VERSION: one thing a line; databases and settings while the server runs.
verb_look_pg() {
	pg_begin "$1"
	! pg_installed || say "installed $pg_version"
	[ ! -e "$pg_data/PG_VERSION" ] || say "version $(pg_version_there)"
	say "state $(pg_state)"
	pg_tell_sum conf copyhold.conf
	pg_tell_sum hba pg_hba.conf
	pg_main_conf | pg_tell_edited postgresql.conf
	pg_ident_conf | pg_tell_edited pg_ident.conf
	[ ! -e "$pg_data/postgresql.auto.conf" ] ||
		pg_read data/postgresql.auto.conf | sed -n 's/^\([a-zA-Z_][a-zA-Z0-9_.]*\) *=.*/system \1/p'
	pg_tell_certificate
	[ ! -d "$pg_data/base" ] || say "folders $(pg_folders)"
	! pg_ready || pg_tell_server
}

# --- away -----------------------------------------------------------------------------------------------

# Ours are two: copyhold and copyhold_template.  A stopped server does not tell which it has: it is started.
pg_refuse_data() {
	[ -d "$pg_data/base" ] && [ "$(pg_folders)" -gt 0 ] || return 0
	pg_ready || { [ -e "$pg_home/start" ] && pg_try_start; } ||
		die "the stopped server holds databases, $(pg_folders) of them, and does not start to tell which: $(pg_last_words)"
	pg_others=$(pg_ask "SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database
		WHERE datname NOT IN ('postgres', 'template0', 'template1', 'copyhold', 'copyhold_template')") ||
		die "psql: $(tail -n 1 "$TMP/pg.err")"
	[ -z "$pg_others" ] || die "the server holds data: database $pg_others"
}

# VERSION: server, data, user and unit; refused while it holds a database that is not ours.
verb_pg_remove() {
	pg_begin "$1"
	! is_owned path "$pg_home" || pg_refuse_data
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
