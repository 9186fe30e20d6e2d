# shellcheck shell=sh
# service.sh - verbs of duty tenant/NAME that change something: releases of a bundle, the services that run of
# them, and the front that users come to.  What only looks is in look.sh.
#
#	DUTY_HOME/releases/VERSION	files of a release, root's, readable by the tenant's user
#	DUTY_HOME/current		link to the release that runs
#	DUTY_HOME/slots/SERVICE.SLOT	environment and start of the instances in slot a or b
#	DUTY_HOME/sock			sockets of services that listen on one, the tenant's own
#	DUTY_HOME/front			HAProxy, the tenant's own: listens on the placed ports
#	STATE/services/SERVICE/live	the slot that users reach; next: being started; old: being left
#	STATE/slots/SERVICE.SLOT	version, definition and ports of a slot; s1, s2... where it has sockets
#
# A new slot starts beside the old one; front-set makes it the live one; service-drop ends the other.
# shellcheck disable=SC2154,SC2034  # the parts are one text: what one sets, another reads
# shellcheck disable=SC2016  # text for another shell
# shellcheck disable=SC3044  # disown is ours
# shellcheck disable=SC2015  # what is after || ends it, also where the middle failed

duty_verbs_tenant="$duty_verbs_tenant tenant-begin tenant-clear tenant-leave tenant-stop tenant-start"
duty_verbs_tenant="$duty_verbs_tenant release-unpack release-drop release-prune"
duty_verbs_tenant="$duty_verbs_tenant service-start service-drop front-set"

PORT_FIRST=20000 PORT_COUNT=12000 # below what the kernel gives to clients
FRONT_SECONDS=10

svc_begin() { svc_user=$(user_of "$DUTY_NAME"); }

svc_name_ok() { is_name "$1" || die "\"$1\" is no service's name"; }

version_ok() {
	case $1 in '' | .* | *[!A-Za-z0-9._+-]*) die "\"$1\" is no release's name" ;; esac
	[ ${#1} -le 60 ] || die "\"$1\" is no release's name"
}

# FILE <TEXT: whole or not at all.
state_put() {
	mkdir -p -- "${1%/*}"
	cat >"$1.new" && sync -- "$1.new" && mv -fT -- "$1.new" "$1" && sync -- "${1%/*}" ||
		die "cannot write \"$1\": $(no_space "$1")"
}

# --- users and folders -------------------------------------------------------------------

verb_tenant_begin() {
	svc_begin
	[ -d "$ROOT/tenants" ] || mkdir -m 0711 -- "$ROOT/tenants" || die "cannot make \"$ROOT/tenants\""
	ensure_user "$svc_user" "$DUTY_HOME"
	for begin_at in '' /releases /slots /front; do
		ensure_dir "$DUTY_HOME$begin_at" "root:$svc_user" 0750
	done
	ensure_dir "$DUTY_HOME/front/run" "$svc_user" 0700
}

# Everything, unless services run here that the undo of a first release knows nothing of.
verb_tenant_clear() {
	case ${1-} in
	unused)
		for clear_at in "$STATE"/services/*/live; do
			[ ! -e "$clear_at" ] || die "services of tenant \"$DUTY_NAME\" run here"
		done
		;;
	all) ;;
	*) die "tenant-clear unused|all" ;;
	esac
	remove_owned
	drop_taken
	rm -rf -- "$STATE/services" "$STATE/slots" "$STATE/trees" "$STATE/failed" "$STATE/front.sum" "$STATE/stopped"
}

# Left running; what there is stays listed for whoever takes it over.
verb_tenant_leave() {
	owned | state_put "$STATE/handed-over"
	drop_taken
}

# --- releases ----------------------------------------------------------------------------

# FOLDER: the first of what no release may have: devices, sockets, pipes, rights that change who runs it, rights
# of everybody to write.
tree_odd() {
	find "$1" ! -type l \( ! -type f ! -type d -o -type f -perm /7000 -o -perm -0002 \) -print -quit
}

# FOLDER: one line a file, as deployer/bundle.h says; the digest of them.  What is odd has none.
tree_digest() {
	[ -z "$(tree_odd "$1")" ] || { echo odd && return; }
	(
		cd -- "$1" || exit 1
		{
			find . -type f ! -perm -0100 -print0 | xargs -0r sha256sum | sed 's/^/644 /'
			find . -type f -perm -0100 -print0 | xargs -0r sha256sum | sed 's/^/755 /'
			find . -type l -printf 'link %l  %p\n'
		} | sort | sha256sum | cut -c1-64
	)
}

# ARCHIVE FOLDER DIGEST: into FOLDER/files.  Nobody but root gets into FOLDER while it is not known what came;
# and the disk has its room again if it was the wrong thing.
unpack_into() {
	unpack_why=''
	mkdir -m 0700 -- "$2" && mkdir -- "$2/files" || die "cannot make \"$2\": $(no_space "$2")"
	if ! (umask 022 && tar --extract --gzip --file="$1" --directory="$2/files" --no-same-owner --no-same-permissions \
		--no-overwrite-dir) 2>"$TMP/tar"; then
		unpack_why=$(no_space "$2/files")
		case $unpack_why in no*) unpack_why="cannot unpack: $unpack_why" ;; *) unpack_why="tar refuses the archive" ;; esac
	elif [ -n "$(tree_odd "$2/files")" ]; then
		unpack_why="the archive has what no release may have, such as devices, setuid programs or files that anybody may write"
	elif [ "$(tree_digest "$2/files")" != "$3" ]; then
		unpack_why="what was unpacked is not what was packed"
	fi
	[ -n "$unpack_why" ] || return 0
	rm -rf -- "$2" "$1"
	die "$unpack_why"
}

# VERSION FILE-DIGEST TREE-DIGEST
verb_release_unpack() {
	svc_begin
	version_ok "$1"
	is_digest "$3" || die "\"$3\" is no digest"
	unpack_to=$DUTY_HOME/releases/$1 unpack_new=$DUTY_HOME/releases/.$1.new
	if [ -d "$unpack_to" ] && [ ! -L "$unpack_to" ] && [ "$(tree_digest "$unpack_to")" = "$3" ]; then
		own path "$unpack_to"
		say "$3" | state_put "$STATE/trees/$1"
		return
	fi
	path_ok "$unpack_to"
	own path "$unpack_new"
	own path "$unpack_to"
	rm -rf -- "$unpack_new" "$unpack_new.old"
	note_taken "$2"
	take_incoming "$2" "$TMP/bundle"
	gzip -tq -- "$TMP/bundle" 2>/dev/null || die "the archive is damaged"
	unpack_into "$TMP/bundle" "$unpack_new" "$3"
	rm -f -- "$TMP/bundle"
	ensure_rights "$unpack_new/files" "root:$svc_user" 0750
	sync -f -- "$unpack_new"
	say "$3" | state_put "$STATE/trees/$1"
	[ ! -e "$unpack_to" ] || mv -T -- "$unpack_to" "$unpack_new.old"
	mv -T -- "$unpack_new/files" "$unpack_to" || die "cannot put \"$unpack_to\" in place"
	rm -rf -- "$unpack_new" "$unpack_new.old"
	sync -- "$DUTY_HOME/releases"
	disown path "$unpack_new"
	drop_taken "$2"
	find "$ROOT/incoming" -maxdepth 1 -type f -mmin +1440 -delete 2>/dev/null || :
}

# VERSION: false if something runs of it or would run after a failure.
release_free() {
	[ "$(readlink -- "$DUTY_HOME/current")" != "releases/$1" ] || return 1
	for free_at in "$STATE"/slots/*; do
		[ -e "$free_at" ] || continue
		slot_read "${free_at##*/}"
		[ "$SLOT_VERSION" != "$1" ] || return 1
	done
}

verb_release_drop() {
	version_ok "$1"
	release_free "$1" || die "release $1 is in use"
	rm -rf -- "$DUTY_HOME/releases/.$1.new.old"
	remove_path "$DUTY_HOME/releases/.$1.new"
	remove_path "$DUTY_HOME/releases/$1"
	rm -f -- "$STATE/trees/$1"
}

# VERSION...: others of ours go, but for what runs.
verb_release_prune() {
	for prune_at in "$DUTY_HOME"/releases/*; do
		prune_version=${prune_at##*/}
		case " $* " in *" $prune_version "*) continue ;; esac
		is_owned path "$prune_at" && release_free "$prune_version" || continue
		remove_path "$prune_at"
		rm -f -- "$STATE/trees/$prune_version"
	done
}

# --- slots ---------------------------------------------------------------------------------

# SERVICE live|next|old: sets SLOT, "" for none.
slot_of() {
	SLOT=''
	[ ! -e "$STATE/services/$1/$2" ] || read -r SLOT <"$STATE/services/$1/$2"
}

# SERVICE.SLOT: sets SLOT_VERSION, SLOT_DEF, SLOT_PORT...
slot_read() {
	SLOT_VERSION='' SLOT_DEF='' SLOT_PORT=0 SLOT_MODE=none SLOT_PATH='' SLOT_DRAIN=0 SLOT_SUM='' SLOT_PORTS=''
	SLOT_UNITS=0 SLOT_LISTEN=port
	[ -e "$STATE/slots/$1" ] || return 1
	while read -r slot_key slot_value; do
		case $slot_key in
		version) SLOT_VERSION=$slot_value ;;
		def) SLOT_DEF=$slot_value ;;
		port) SLOT_PORT=$slot_value ;;
		mode) SLOT_MODE=$slot_value ;;
		path) SLOT_PATH=$slot_value ;;
		drain) SLOT_DRAIN=$slot_value ;;
		sum) SLOT_SUM=$slot_value ;;
		ports) SLOT_PORTS=$slot_value ;;
		units) SLOT_UNITS=$slot_value ;;
		listen) SLOT_LISTEN=$slot_value ;;
		esac
	done <"$STATE/slots/$1"
}

# Ports that somebody listens on, as " 22 80 "; and who, as " 22:all:0 ": at the loopback, at all addresses,
# at one of the others; and the user whose socket it is.  A busy machine has many lines there that are none.
listening() {
	LISTENING=' ' LISTENERS=' '
	listen_all=$(sed -n 's/^ *[0-9]*: \([0-9A-F:]*\) [0-9A-F:]* 0A [^ ]* [^ ]* [^ ]* *\([0-9]*\) .*/\1 \2/p' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null) || :
	while read -r listen_local listen_uid; do
		listen_ip=${listen_local%:*}
		case $listen_ip in
		'') continue ;;
		0100007F | 7F000001 | 0000000000000000FFFF00000100007F | 00000000000000000000FFFF7F000001) listen_on=loop ;;
		00000000) listen_on=all ;;
		00000000000000000000000000000000) listen_on=all6 ;;
		*) if [ ${#listen_ip} -eq 8 ]; then listen_on=one; else listen_on=one6; fi ;;
		esac
		listen_port=$((0x${listen_local##*:}))
		LISTENING="$LISTENING$listen_port "
		LISTENERS="$LISTENERS$listen_port:$listen_on:$listen_uid "
	done <<-END
		$listen_all
	END
}

# PORT UID: does another user than that answer at 127.0.0.1:PORT?  Then it is OTHER_UID.  The socket of that very
# address goes before those of all.
port_lost() {
	OTHER_UID=''
	for lost_on in loop all all6; do
		case $LISTENERS in
		*" $1:$lost_on:$2 "*) return 1 ;;
		*" $1:$lost_on:"*)
			OTHER_UID=${LISTENERS#*" $1:$lost_on:"} OTHER_UID=${OTHER_UID%% *}
			return 0
			;;
		esac
	done
	return 1
}

# UID: as people know it.
uid_name() { id -nu -- "$1" 2>/dev/null || say "$1"; }

# Ports that slots of any tenant have been given, running or not.
given_ports() {
	GIVEN=' '
	for given_at in "$ROOT"/state/tenant/*/slots/*; do
		[ -e "$given_at" ] || continue
		while read -r given_key given_value; do
			[ "$given_key" != ports ] || GIVEN="$GIVEN$given_value "
		done <"$given_at"
	done
}

# N: sets PORTS.  Where the search begins differs from host to host, so that several on one machine
# seldom try the same.
choose_ports() {
	listening
	given_ports
	PORTS='' choose_left=$1 choose_try=0
	choose_sum=$(printf '%s' "$ROOT" | cksum)
	choose_at=$((${choose_sum%% *} % PORT_COUNT))
	while [ "$choose_left" -gt 0 ]; do
		choose_port=$((PORT_FIRST + choose_at))
		choose_at=$(((choose_at + 1) % PORT_COUNT)) choose_try=$((choose_try + 1))
		[ $choose_try -le $PORT_COUNT ] || die "no free port is left on the host"
		case $LISTENING$GIVEN in *" $choose_port "*) continue ;; esac
		PORTS="$PORTS${PORTS:+ }$choose_port"
		choose_left=$((choose_left - 1))
	done
}

# N: sets PORTS, the same way.
choose_sockets() {
	PORTS='' choose_at=0
	while [ $choose_at -lt "$1" ]; do
		choose_at=$((choose_at + 1))
		PORTS="$PORTS${PORTS:+ }s$choose_at"
	done
}

# FOLDER: digest of what we wrote into a slot.
slot_sum() { (cd -- "$1" && find . -type f | sort | xargs -r sha256sum | sha256sum | cut -c1-64); }

# WORD PORT|SOCKET: in single quotes, but for that variable.
quote_word() {
	printf '%s\n' "$1" | sed "s/'/'\\\\''/g; s/\\\$$2/'\"\$$2\"'/g; 1s/^/'/; \$s/\$/'/" | tr '\n' "$NL"
}

# SERVICE.SLOT: where its sockets are, but for their numbers: in few letters, as the system has not many for it.
socket_of() {
	SOCKET_AT=$(printf '%s' "$1" | sha256sum)
	SOCKET_AT=$DUTY_HOME/sock/${SOCKET_AT%"${SOCKET_AT#????????}"}.
	[ ${#SOCKET_AT} -le 100 ] || die "the path \"$SOCKET_AT\" is too long for a socket: give the host a shorter root"
}

# "port" or "socket", as the body has it.
slot_listen() { if grep -qx 'listen socket' "$BODY"; then say socket; else say port; fi; }

# The parts of the body: lines of a name and base64.  What is written is the service's alone.
slot_secrets() {
	while read -r secret_name secret_text; do
		case $secret_name in listen) continue ;; env | pass | ca) ;; *) die "\"$secret_name\" is no part of an environment" ;; esac
		printf '%s' "$secret_text" | base64 -d | put_file "$slot_at/$secret_name" "$svc_user" 0400
	done <"$BODY"
}

# N PORT EXEC...: what runs the instance, and runs any other program as it would run.
slot_instance() {
	instance_n=$1 instance_name=PORT instance_value=$2
	shift 2
	[ "$start_listen" = port ] || instance_name=SOCKET instance_value=$SOCKET_AT$instance_n
	{
		printf '#!/bin/sh\n'
		printf 'set -a\n'
		[ ! -e "$slot_at/env" ] || printf ". '%s'\n" "$slot_at/env"
		[ ! -e "$slot_at/pass" ] || printf "PGPASSFILE='%s'\n" "$slot_at/pass"
		[ ! -e "$slot_at/ca" ] || printf "PGSSLROOTCERT='%s'\n" "$slot_at/ca"
		printf "%s='%s'\nset +a\n" $instance_name "$instance_value"
		printf "cd -- '%s' || exit 111\nexec \"\$@\"\n" "$DUTY_HOME/releases/$start_version"
	} | put_file "$slot_at/with-$instance_n" "root:$svc_user" 0750
	instance_line="exec '$slot_at/with-$instance_n'"
	if [ "${1#*/}" = "$1" ] && [ -e "$DUTY_HOME/releases/$start_version/$1" ]; then
		instance_first=./$1
		shift
		set -- "$instance_first" "$@"
	fi
	for instance_word; do instance_line="$instance_line $(quote_word "$instance_word" $instance_name)"; done
	[ "$start_listen" = port ] || instance_line="rm -f -- \"\$SOCKET\"$NL$instance_line"
	printf "#!/bin/sh\n%s='%s'\n%s\n" $instance_name "$instance_value" "$instance_line" |
		put_file "$slot_at/run-$instance_n" "root:$svc_user" 0750
	sup_define "$(unit_of "$start_service.$start_slot.$instance_n")" "$svc_user" "$DUTY_HOME" '' \
		"$start_secs" "$slot_at/run-$instance_n"
}

# The ports are taken under a lock of the whole host.
slot_note() {
	(
		flock 8
		if [ "$start_listen" = port ]; then choose_ports "$start_n"; else choose_sockets "$start_n"; fi
		{
			printf 'version %s\ndef %s\nport %s\nmode %s\n' "$start_version" "$start_def" "$start_port" "$start_mode"
			printf 'path %s\ndrain %s\nports %s\nunits %s\n' "$start_path" "$start_drain" "$PORTS" "$start_units"
			printf 'listen %s\n' "$start_listen"
		} | state_put "$STATE/slots/$1"
	) 8>>"$ROOT/run/ports.lock"
}

# SERVICE VERSION DEFINITION INSTANCES STOP-SECONDS PORT MODE PATH DRAIN-MS EXEC...
verb_service_start() {
	svc_begin
	start_service=$1 start_version=$2 start_def=$3 start_n=$4 start_secs=$5
	start_port=$6 start_mode=$7 start_path=$8 start_drain=$9
	shift 9
	svc_name_ok "$start_service"
	version_ok "$start_version"
	is_digest "$start_def" || die "\"$start_def\" is no digest"
	for start_word in "$start_n" "$start_secs" "$start_port" "$start_drain"; do
		is_number "$start_word" || die "\"$start_word\" is no number"
	done
	[ "$start_n" -ge 1 ] && [ "$start_n" -le 32 ] && [ $# -ge 1 ] || die "service-start: wrong words"
	front_words_ok "$start_mode" "$start_path"
	[ -d "$DUTY_HOME/releases/$start_version" ] || die "release $start_version is not on the host"
	for start_which in next old; do
		slot_of "$start_service" $start_which
		[ -z "$SLOT" ] || slot_remove "$start_service" $start_which
	done
	slot_of "$start_service" live
	case $SLOT in a) start_slot=b ;; *) start_slot=a ;; esac
	say $start_slot | state_put "$STATE/services/$start_service/next"
	start_units=$(service_units "$start_service" $start_slot | wc -l)
	start_listen=$(slot_listen)
	if [ "$start_listen" = socket ]; then
		socket_of "$start_service.$start_slot"
		ensure_dir "$DUTY_HOME/sock" "$svc_user" 0710
	fi
	slot_note "$start_service.$start_slot"
	slot_at=$DUTY_HOME/slots/$start_service.$start_slot
	ensure_dir "$slot_at" "root:$svc_user" 0750
	slot_secrets
	slot_read "$start_service.$start_slot"
	start_i=0
	for start_port in $SLOT_PORTS; do
		start_i=$((start_i + 1))
		slot_instance $start_i "$start_port" "$@"
	done
	for start_unit in $(service_units "$start_service" $start_slot); do
		[ "${start_unit##*.}" -le "$start_n" ] || sup_remove "$start_unit"
	done
	printf 'sum %s\n' "$(slot_sum "$slot_at")" >>"$STATE/slots/$start_service.$start_slot"
	each_instance "$start_service" $start_slot try_start
	wait
	say "$start_slot"
}

# UNIT: one that ends at once is for the look at its health to tell.
try_start() { (sup_start "$1") >/dev/null 2>&1 & }

# SERVICE SLOT COMMAND...: with each unit of it.
each_instance() {
	each_name=$1.$2
	shift 2
	slot_read "$each_name" || return 0
	each_i=0
	for each_port in $SLOT_PORTS; do
		each_i=$((each_i + 1))
		"$@" "$(unit_of "$each_name.$each_i")"
	done
}

# What a release said that did not become healthy: its log goes with it.
keep_log() {
	mkdir -p -- "$STATE/failed"
	each_instance "$1" "$2" log_lines 200 >"$STATE/failed/$1.new" 2>/dev/null || :
	mv -f -- "$STATE/failed/$1.new" "$STATE/failed/$1"
}

# LINES UNIT
log_lines() { sup_logs "$2" "$1"; }

# SERVICE [SLOT]: the units of it that we made.
service_units() {
	[ -e "$STATE/items" ] || return 0
	units_like="unit $(unit_of "$1.${2:-}")"
	while read -r units_line; do
		case $units_line in "$units_like"*) say "${units_line#unit }" ;; esac
	done <"$STATE/items"
}

# SERVICE next|old: stopped, and its files removed.  Units stay for the next release in that slot, as a new
# one is noticed by its supervisor only after a while; but a release that failed leaves none of its own.
slot_remove() {
	slot_of "$1" "$2"
	[ -n "$SLOT" ] || return 0
	remove_service=$1 remove_slot=$SLOT remove_which=$2
	[ "$2" != next ] || keep_log "$1" "$SLOT"
	slot_of "$1" live
	[ -n "$SLOT" ] || remove_which=all
	slot_read "$remove_service.$remove_slot" || :
	for remove_unit in $(service_units "$remove_service" "$remove_slot"); do
		case $remove_which in
		old) sup_stop "$remove_unit" ;;
		next) if [ "${remove_unit##*.}" -le "$SLOT_UNITS" ]; then sup_stop "$remove_unit"; else sup_remove "$remove_unit"; fi ;;
		esac
	done
	if [ "$remove_which" = all ]; then
		for remove_unit in $(service_units "$remove_service"); do sup_remove "$remove_unit"; done
	fi
	if [ "$SLOT_LISTEN" = socket ]; then
		socket_of "$remove_service.$remove_slot"
		rm -rf --one-file-system -- "$SOCKET_AT"*
	fi
	remove_path "$DUTY_HOME/slots/$remove_service.$remove_slot"
	rm -f -- "$STATE/slots/$remove_service.$remove_slot" "$STATE/services/$remove_service/$2"
	rmdir -- "$STATE/services/$remove_service" 2>/dev/null || :
	sync -- "$STATE/slots"
}

verb_service_drop() {
	svc_name_ok "$1"
	case $2 in next | old) slot_remove "$1" "$2" ;; *) die "service-drop SERVICE next|old" ;; esac
}

# --- the front ------------------------------------------------------------------------------

front_words_ok() {
	case $1 in none | tcp | http) ;; *) die "\"$1\" is no mode of a front" ;; esac
	case $2 in *[!A-Za-z0-9/._~%?=\&:,@+-]*) die "the path \"$2\" has characters that no look can have" ;; esac
}

# SERVICE: its part of the configuration, from the slot that was read.
front_service() {
	printf '\nfrontend %s\n\tmode %s\n\tbind *:%s\n\tdefault_backend %s\n' "$1" "$SLOT_MODE" "$SLOT_PORT" "$1"
	printf '\nbackend %s\n\tmode %s\n\tbalance leastconn\n' "$1" "$SLOT_MODE"
	if [ -n "$SLOT_PATH" ]; then
		printf '\toption httpchk\n\thttp-check send meth GET uri %s ver HTTP/1.1 hdr Host localhost\n' "$SLOT_PATH"
		printf '\thttp-check expect status 200-299\n'
	fi
	[ "$SLOT_LISTEN" = port ] || socket_of "$1.$front_slot"
	front_i=0
	for front_port in $SLOT_PORTS; do
		front_i=$((front_i + 1)) front_to=127.0.0.1:$front_port
		[ "$SLOT_LISTEN" = port ] || front_to=unix@$SOCKET_AT$front_i
		printf '\tserver %s%s %s check inter 1s fall 2 rise 1\n' "$front_slot" $front_i "$front_to"
	done
}

# SERVICE...: the whole of it, on standard output; nothing if none has a port.
front_config() {
	front_hard=1 front_any=''
	for front_name; do
		front_pick "$front_name"
		[ "$SLOT_PORT" = 0 ] || front_any=1
		[ "$SLOT_DRAIN" -le $((front_hard * 1000)) ] || front_hard=$(((SLOT_DRAIN + 999) / 1000))
	done
	[ -n "$front_any" ] || return 0
	cat <<-END
		# Made by copyhold-host; what is written here is put back.
		global
			maxconn 2000
			hard-stop-after ${front_hard}s
			stats socket $DUTY_HOME/front/run/admin.sock mode 600 level admin expose-fd listeners

		defaults
			option redispatch
			option idle-close-on-response
			retries 3
			timeout connect 5s
			timeout http-request 30s
			timeout http-keep-alive 2s
			timeout queue 30s
			timeout client 5m
			timeout server 5m
			timeout tunnel 1h
	END
	for front_name; do
		front_pick "$front_name"
		[ "$SLOT_PORT" = 0 ] || front_service "$front_name"
	done
}

# SERVICE: the slot that will be live.
front_pick() {
	slot_of "$1" next
	[ -n "$SLOT" ] || slot_of "$1" live
	[ -n "$SLOT" ] || die "service \"$1\" does not run"
	front_slot=$SLOT
	slot_read "$1.$SLOT" || die "service \"$1\" does not run"
}

# Processes of the running front that serve, in FRONT_PIDS.
front_workers() {
	FRONT_PIDS='' front_state=$(sup_state "$front_unit")
	case $front_state in running*) ;; *) return 0 ;; esac
	front_master=${front_state#running } front_master=${front_master%% *}
	[ ! -r "/proc/$front_master/task/$front_master/children" ] ||
		read -r FRONT_PIDS <"/proc/$front_master/task/$front_master/children" || :
}

# A reload keeps the listening sockets; the workers of before finish what they have.
front_reload() {
	front_workers
	front_before=" $FRONT_PIDS "
	kill -USR2 "$front_master" || return 1
	front_try=0
	while [ $front_try -lt $((FRONT_SECONDS * 20)) ]; do
		front_workers
		for front_pid in $FRONT_PIDS; do
			case $front_before in *" $front_pid "*) ;; *) return 0 ;; esac
		done
		sleep 0.05
		front_try=$((front_try + 1))
	done
	return 1
}

front_listens() {
	front_try=0 front_uid=$(id -u -- "$svc_user")
	while [ $front_try -lt $((FRONT_SECONDS * 20)) ]; do
		listening
		front_all=1
		for front_port in $(front_ports "$DUTY_HOME/front/haproxy.cfg"); do
			case $LISTENERS in *" $front_port:all:$front_uid "*) ;; *) front_all='' ;; esac
		done
		[ -z "$front_all" ] || return 0
		sleep 0.05
		front_try=$((front_try + 1))
	done
	return 1
}

front_ports() { [ ! -e "$1" ] || sed -n 's/^	bind \*://p' "$1"; }

front_start() {
	printf '#!/bin/sh\nexec haproxy -W -q -f %s\n' "$DUTY_HOME/front/haproxy.cfg" |
		put_file "$DUTY_HOME/front/start" "root:$svc_user" 0750
	sup_define "$front_unit" "$svc_user" "$DUTY_HOME/front" '' "$((front_hard + 10))" "$DUTY_HOME/front/start" SIGUSR1
	case $(sup_state "$front_unit") in
	running*) front_reload ;;
	*) sup_start "$front_unit" && front_listens ;;
	esac
}

# Ports that the front wants and somebody else has: another user, or a program of the tenant's own.
front_taken() {
	listening
	front_mine=" $(front_ports "$DUTY_HOME/front/haproxy.cfg" | tr '\n' ' ') "
	case $(sup_state "$front_unit") in running*) ;; *) front_mine=' ' ;; esac
	front_uid=$(id -u -- "$(user_of "$DUTY_NAME")" 2>/dev/null) || front_uid=none
	for taken_port; do
		case $LISTENING in *" $taken_port "*) ;; *) continue ;; esac
		case $front_mine in
		*" $taken_port "*) ! front_lost "$taken_port" "$front_uid" || say "$taken_port" ;;
		*) say "$taken_port" ;;
		esac
	done
}

# PORT UID: does another user listen there, at any address that the front would have?
front_lost() {
	for lost_at in $LISTENERS; do
		case $lost_at in
		"$1":*:"$2") ;;
		"$1":loop:* | "$1":all:* | "$1":one:*) return 0 ;;
		esac
	done
	return 1
}

front_remove() {
	! is_owned unit "$front_unit" || sup_remove "$front_unit"
	rm -f -- "$DUTY_HOME/front/haproxy.cfg" "$DUTY_HOME/front/start" "$STATE/front.sum"
}

# CONFIGURATION: dies where another has a port of it.
front_free() {
	for front_port in $(front_ports "$1"); do
		[ -z "$(front_taken "$front_port")" ] || die "port $front_port is taken by another program on the host"
	done
}

# New configuration in $TMP/front: checked, in place, in force; or all as before.
front_apply() {
	haproxy -c -q -f "$TMP/front" >"$TMP/front.check" 2>&1 || die "haproxy refuses the configuration"
	front_free "$TMP/front"
	[ ! -e "$DUTY_HOME/front/haproxy.cfg" ] || cp -- "$DUTY_HOME/front/haproxy.cfg" "$TMP/front.old"
	put_file "$DUTY_HOME/front/haproxy.cfg" "root:$svc_user" 0640 <"$TMP/front"
	if ! (front_start); then
		if [ -e "$TMP/front.old" ]; then
			put_file "$DUTY_HOME/front/haproxy.cfg" "root:$svc_user" 0640 <"$TMP/front.old"
			front_reload || :
		else
			front_remove
		fi
		die "the front does not take its new configuration"
	fi
	sha_of "$DUTY_HOME/front/haproxy.cfg" | state_put "$STATE/front.sum"
}

# SERVICE: nobody else may have taken a port of an instance that is to be live, since it was healthy.
front_sees() {
	slot_of "$1" next
	[ -n "$SLOT" ] && slot_read "$1.$SLOT" && [ "$SLOT_PORT" != 0 ] || return 0
	listening
	sees_uid=$(id -u -- "$svc_user")
	for sees_port in $SLOT_PORTS; do
		! port_lost "$sees_port" "$sees_uid" ||
			die "port $sees_port of service \"$1\" was taken by user \"$(uid_name "$OTHER_UID")\""
	done
}

# VERSION SERVICE...: those are what runs from now on; what ran before is `old`.
verb_front_set() {
	svc_begin
	version_ok "$1"
	set_version=$1 front_unit=$(unit_of front)
	shift
	for set_name; do
		svc_name_ok "$set_name"
		front_sees "$set_name"
	done
	front_config "$@" >"$TMP/front"
	if [ -s "$TMP/front" ]; then front_apply; else front_remove; fi
	for set_at in "$STATE"/services/*; do
		[ -d "$set_at" ] || continue
		set_name=${set_at##*/}
		case " $* " in *" $set_name "*) [ -e "$set_at/next" ] || continue ;; esac
		[ ! -e "$set_at/live" ] || mv -f -- "$set_at/live" "$set_at/old"
		[ ! -e "$set_at/next" ] || mv -f -- "$set_at/next" "$set_at/live"
		sync -- "$set_at"
	done
	own path "$DUTY_HOME/current"
	ln -sfn -- "releases/$set_version" "$DUTY_HOME/.current.new" && mv -fT -- "$DUTY_HOME/.current.new" "$DUTY_HOME/current" ||
		die "cannot switch \"$DUTY_HOME/current\""
	sync -- "$DUTY_HOME"
	rm -f -- "$STATE/stopped"
}

# --- suspended and back ------------------------------------------------------------------------

# COMMAND: with each live unit; the front first or last.
each_live() {
	for live_at in "$STATE"/services/*/live; do
		[ -e "$live_at" ] || continue
		read -r live_slot <"$live_at"
		live_name=${live_at%/live}
		each_instance "${live_name##*/}" "$live_slot" "$1"
	done
}

verb_tenant_stop() {
	: | state_put "$STATE/stopped"
	front_unit=$(unit_of front)
	! is_owned unit "$front_unit" || sup_stop "$front_unit"
	each_live sup_stop
}

verb_tenant_start() {
	each_live sup_start
	front_unit=$(unit_of front)
	if is_owned unit "$front_unit"; then
		svc_begin
		front_free "$DUTY_HOME/front/haproxy.cfg"
		sup_start "$front_unit"
		front_listens || die "the front does not listen on its ports"
	fi
	rm -f -- "$STATE/stopped"
}
