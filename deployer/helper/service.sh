# shellcheck shell=sh
# service.sh - verbs of duty tenant/NAME: releases of a bundle, the services that run of them, and the
# front that users come to.
#
#	DUTY_HOME/releases/VERSION	files of a release, root's, readable by the tenant's user
#	DUTY_HOME/current		link to the release that runs
#	DUTY_HOME/slots/SERVICE.SLOT	environment and start of the instances in slot a or b
#	DUTY_HOME/front			HAProxy, the tenant's own: listens on the placed ports
#	STATE/services/SERVICE/live	the slot that users reach; next: being started; old: being left
#	STATE/slots/SERVICE.SLOT	version, definition and ports of a slot
#
# A new slot starts beside the old one; front-set makes it the live one; service-drop ends the other.
# shellcheck disable=SC2154,SC2034  # the parts are one text: what one sets, another reads
# shellcheck disable=SC2016  # text for another shell
# shellcheck disable=SC3044  # disown is ours
# shellcheck disable=SC2015  # what is after || ends it, also where the middle failed

duty_verbs_tenant="$duty_verbs_tenant tenant-begin tenant-clear tenant-leave tenant-stop tenant-start"
duty_verbs_tenant="$duty_verbs_tenant release-unpack release-drop release-prune"
duty_verbs_tenant="$duty_verbs_tenant service-start service-drop front-set"
duty_verbs_tenant="$duty_verbs_tenant look-release look-health look-drain look-needs look-log look-isolation"

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
	rm -rf -- "$STATE/services" "$STATE/slots" "$STATE/trees" "$STATE/failed" "$STATE/front.sum" "$STATE/stopped"
}

# Left running; what there is stays listed for whoever takes it over.
verb_tenant_leave() { owned >"$STATE/handed-over"; }

# --- releases ----------------------------------------------------------------------------

# FOLDER: one line a file, as deployer/bundle.h says; the digest of them.
tree_digest() {
	(
		cd -- "$1" || exit 1
		{
			find . -type f ! -perm -0100 -print0 | xargs -0r sha256sum | sed 's/^/644 /'
			find . -type f -perm -0100 -print0 | xargs -0r sha256sum | sed 's/^/755 /'
			find . -type l -printf 'link %l  %p\n'
			find . ! -type f ! -type l ! -type d -printf 'other  %p\n'
		} | sort | sha256sum | cut -c1-64
	)
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
	rm -rf -- "$unpack_new"
	take_incoming "$2" "$TMP/bundle"
	gzip -tq -- "$TMP/bundle" 2>/dev/null || die "the archive is damaged"
	mkdir -- "$unpack_new" || die "cannot make \"$unpack_new\": $(no_space "$unpack_new")"
	(umask 022 && tar --extract --gzip --file="$TMP/bundle" --directory="$unpack_new" --no-same-owner) 2>"$TMP/tar" ||
		die "cannot unpack: $(no_space "$unpack_new")"
	ensure_rights "$unpack_new" "root:$svc_user" 0750
	[ "$(tree_digest "$unpack_new")" = "$3" ] || die "what was unpacked is not what was packed"
	sync -f -- "$unpack_new"
	say "$3" | state_put "$STATE/trees/$1"
	rm -rf -- "$unpack_new.old"
	[ ! -e "$unpack_to" ] || mv -T -- "$unpack_to" "$unpack_new.old"
	mv -T -- "$unpack_new" "$unpack_to" || die "cannot put \"$unpack_to\" in place"
	rm -rf -- "$unpack_new.old"
	sync -- "$DUTY_HOME/releases"
	disown path "$unpack_new"
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
	SLOT_UNITS=0
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
		esac
	done <"$STATE/slots/$1"
}

# Ports that somebody listens on, as " 22 80 ".
listening() {
	LISTENING=' '
	for listen_at in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$listen_at" ] || continue
		while read -r _ listen_local _ listen_state _; do
			[ "$listen_state" = 0A ] || continue
			LISTENING="$LISTENING$((0x${listen_local##*:})) "
		done <"$listen_at"
	done
}

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

# FOLDER: digest of what we wrote into a slot.
slot_sum() { (cd -- "$1" && find . -type f | sort | xargs -r sha256sum | sha256sum | cut -c1-64); }

# WORD: in single quotes, but for $PORT.
quote_word() {
	printf '%s\n' "$1" | sed "s/'/'\\\\''/g; s/\\\$PORT/'\"\$PORT\"'/g; 1s/^/'/; \$s/\$/'/" | tr '\n' "$NL"
}

# The parts of the body: lines of a name and base64.  What is written is the service's alone.
slot_secrets() {
	while read -r secret_name secret_text; do
		case $secret_name in env | pass | ca) ;; *) die "\"$secret_name\" is no part of an environment" ;; esac
		printf '%s' "$secret_text" | base64 -d | put_file "$slot_at/$secret_name" "$svc_user" 0400
	done <"$BODY"
}

# N PORT EXEC...: what runs the instance, and runs any other program as it would run.
slot_instance() {
	instance_n=$1 instance_port=$2
	shift 2
	{
		printf '#!/bin/sh\n'
		printf 'set -a\n'
		[ ! -e "$slot_at/env" ] || printf ". '%s'\n" "$slot_at/env"
		[ ! -e "$slot_at/pass" ] || printf "PGPASSFILE='%s'\n" "$slot_at/pass"
		[ ! -e "$slot_at/ca" ] || printf "PGSSLROOTCERT='%s'\n" "$slot_at/ca"
		printf 'PORT=%s\nset +a\n' "$instance_port"
		printf "cd -- '%s' || exit 111\nexec \"\$@\"\n" "$DUTY_HOME/releases/$start_version"
	} | put_file "$slot_at/with-$instance_n" "root:$svc_user" 0750
	instance_line="exec '$slot_at/with-$instance_n'"
	if [ "${1#*/}" = "$1" ] && [ -e "$DUTY_HOME/releases/$start_version/$1" ]; then
		instance_first=./$1
		shift
		set -- "$instance_first" "$@"
	fi
	for instance_word; do instance_line="$instance_line $(quote_word "$instance_word")"; done
	printf '#!/bin/sh\nPORT=%s\n%s\n' "$instance_port" "$instance_line" |
		put_file "$slot_at/run-$instance_n" "root:$svc_user" 0750
	sup_define "$(unit_of "$start_service.$start_slot.$instance_n")" "$svc_user" "$DUTY_HOME" '' \
		"$start_secs" "$slot_at/run-$instance_n"
}

# The ports are taken under a lock of the whole host.
slot_note() {
	(
		flock 8
		choose_ports "$start_n"
		{
			printf 'version %s\ndef %s\nport %s\nmode %s\n' "$start_version" "$start_def" "$start_port" "$start_mode"
			printf 'path %s\ndrain %s\nports %s\nunits %s\n' "$start_path" "$start_drain" "$PORTS" "$start_units"
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
	front_i=0
	for front_port in $SLOT_PORTS; do
		front_i=$((front_i + 1))
		printf '\tserver %s%s 127.0.0.1:%s check inter 1s fall 2 rise 1\n' "$front_slot" $front_i "$front_port"
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
	front_try=0
	while [ $front_try -lt $((FRONT_SECONDS * 20)) ]; do
		listening
		front_all=1
		for front_port in $(front_ports "$DUTY_HOME/front/haproxy.cfg"); do
			case $LISTENING in *" $front_port "*) ;; *) front_all='' ;; esac
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
	sup_define "$front_unit" "$svc_user" "$DUTY_HOME/front" '' "$((front_hard + 2))" "$DUTY_HOME/front/start" SIGUSR1
	case $(sup_state "$front_unit") in
	running*) front_reload ;;
	*) sup_start "$front_unit" && front_listens ;;
	esac
}

# Ports that the front wants and somebody else has.
front_taken() {
	listening
	front_mine=" $(front_ports "$DUTY_HOME/front/haproxy.cfg" | tr '\n' ' ') "
	case $(sup_state "$front_unit") in running*) ;; *) front_mine=' ' ;; esac
	for taken_port; do
		case $front_mine in *" $taken_port "*) continue ;; esac
		case $LISTENING in *" $taken_port "*) say "$taken_port" ;; esac
	done
}

front_remove() {
	! is_owned unit "$front_unit" || sup_remove "$front_unit"
	rm -f -- "$DUTY_HOME/front/haproxy.cfg" "$DUTY_HOME/front/start" "$STATE/front.sum"
}

# New configuration in $TMP/front: checked, in place, in force; or all as before.
front_apply() {
	haproxy -c -q -f "$TMP/front" >"$TMP/front.check" 2>&1 || die "haproxy refuses the configuration"
	for front_port in $(front_ports "$TMP/front"); do
		[ -z "$(front_taken "$front_port")" ] || die "port $front_port is taken by another program on the host"
	done
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

# VERSION SERVICE...: those are what runs from now on; what ran before is `old`.
verb_front_set() {
	svc_begin
	version_ok "$1"
	set_version=$1 front_unit=$(unit_of front)
	shift
	for set_name; do svc_name_ok "$set_name"; done
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
	! is_owned unit "$front_unit" || sup_start "$front_unit"
	rm -f -- "$STATE/stopped"
}

# --- looking -------------------------------------------------------------------------------------

# What of a release's needs is missing here: "haproxy", "perl", a taken port, a user that is another's.
verb_look_needs() {
	front_unit=$(unit_of front)
	if [ "$1" = front ]; then
		command -v haproxy >/dev/null || say "haproxy"
	fi
	command -v perl >/dev/null || say "perl-base"
	shift
	front_taken "$@" | sed 's/^/port /'
}

look_service() {
	for look_at in "$STATE"/services/*; do
		[ -d "$look_at" ] || continue
		look_name=${look_at##*/}
		slot_of "$look_name" live
		look_slot=$SLOT
		[ -n "$look_slot" ] && slot_read "$look_name.$look_slot" || continue
		look_how=ok
		[ "$(slot_sum "$DUTY_HOME/slots/$look_name.$look_slot" 2>/dev/null)" = "$SLOT_SUM" ] || look_how=edited
		say "service $look_name $look_slot $SLOT_VERSION $SLOT_DEF $look_how"
		look_i=0
		for look_port in $SLOT_PORTS; do
			look_i=$((look_i + 1))
			say "instance $look_name $look_i $look_port $(sup_state "$(unit_of "$look_name.$look_slot.$look_i")")"
		done
	done
}

look_releases() {
	for look_at in "$DUTY_HOME"/releases/*; do
		[ -e "$look_at" ] || [ -L "$look_at" ] || continue
		look_name=${look_at##*/} look_tree=''
		if ! is_owned path "$look_at"; then
			say "foreign $look_name"
			continue
		fi
		[ ! -e "$STATE/trees/$look_name" ] || read -r look_tree <"$STATE/trees/$look_name"
		if [ ! -L "$look_at" ] && [ -d "$look_at" ] && [ "$(tree_digest "$look_at")" = "$look_tree" ]; then
			say "release $look_name $look_tree ok"
		else
			say "release $look_name ${look_tree:--} edited"
		fi
	done
}

look_front() {
	front_unit=$(unit_of front)
	is_owned unit "$front_unit" || return 0
	look_how=edited look_sum=''
	[ ! -e "$STATE/front.sum" ] || read -r look_sum <"$STATE/front.sum"
	[ ! -e "$DUTY_HOME/front/haproxy.cfg" ] || [ "$(sha_of "$DUTY_HOME/front/haproxy.cfg")" != "$look_sum" ] || look_how=ok
	say "front $look_how $(sup_state "$front_unit")"
}

verb_look_release() {
	[ ! -e "$STATE/stopped" ] || say stopped
	[ ! -L "$DUTY_HOME/current" ] || {
		look_link=$(readlink -- "$DUTY_HOME/current")
		say "current ${look_link#releases/}"
	}
	look_releases
	look_service
	look_front
}

# PORT PATH: the status of one GET, or why there is none; as the tenant's user, so that an answer meant to
# do harm does it there.
http_status() {
	as_user "$svc_user" perl -MIO::Socket::INET -e '
		my ($port, $path) = @ARGV;
		$SIG{ALRM} = sub { print "gave no answer in 5 s"; exit };
		alarm 5;
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port)
			or do { print "does not listen"; exit };
		print $s "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
		$s->flush;
		my $line = "";
		while (length($line) < 64 && $line !~ /\n/) { sysread($s, my $more, 1) or last; $line .= $more }
		for (my $n = 0; $n < 16 && sysread($s, my $rest, 4096); $n++) { }
		if ($line =~ m{^HTTP/1\.[01] ([0-9]{3})}) { print $1 =~ /^2/ ? "ok" : "answered $1" }
		else { print "answered no HTTP" }' -- "$1" "$2" 2>/dev/null || printf 'could not be asked'
}

# N WORD...: the program's exit code, run as the instance runs.
command_status() {
	command_with=$DUTY_HOME/slots/$health_slot/with-$1
	shift
	if [ "${1#*/}" = "$1" ] && [ -e "$DUTY_HOME/releases/$SLOT_VERSION/$1" ]; then
		command_first=./$1
		shift
		set -- "$command_first" "$@"
	fi
	command_code=0
	as_user "$svc_user" timeout -k 1 10 "$command_with" "$@" >/dev/null 2>&1 </dev/null || command_code=$?
	case $command_code in
	0) printf ok ;;
	124 | 137) printf 'command gave no answer in 10 s' ;;
	*) printf 'command ended with %s' "$command_code" ;;
	esac
}

# N PORT KIND WORD...
health_of() {
	health_n=$1 health_port=$2 health_kind=$3
	shift 3
	health_state=$(sup_state "$(unit_of "$health_slot.$health_n")")
	case $health_state in running*) ;; *)
		printf '%s 0 does not run\n' "$health_n"
		return
		;;
	esac
	health_pid=${health_state#running } health_pid=${health_pid%% *}
	case $health_kind in
	http) health_text=$(http_status "$health_port" "$1") ;;
	command) health_text=$(command_status "$health_n" "$@") ;;
	*) health_text=ok ;;
	esac
	printf '%s %s %s\n' "$health_n" "$health_pid" "$health_text"
}

# SERVICE next|live http PATH | command WORD... | none: a line an instance: its number, pid and how it is.
verb_look_health() {
	svc_begin
	svc_name_ok "$1"
	slot_of "$1" "$2"
	[ -n "$SLOT" ] || die "service \"$1\" does not run"
	health_slot=$1.$SLOT
	slot_read "$health_slot" || die "service \"$1\" does not run"
	shift 2
	[ "$1" != http ] || front_words_ok http "$2"
	health_i=0
	for health_each in $SLOT_PORTS; do
		health_i=$((health_i + 1))
		health_of $health_i "$health_each" "$@" >"$TMP/health.$health_i" &
	done
	wait
	health_j=0
	while [ $health_j -lt $health_i ]; do
		health_j=$((health_j + 1))
		cat -- "$TMP/health.$health_j"
	done
}

# Workers of the front that finish what they had before the last switch.
verb_look_drain() {
	front_unit=$(unit_of front)
	is_owned unit "$front_unit" || { say 0 && return; }
	front_workers
	# shellcheck disable=SC2086  # numbers
	set -- $FRONT_PIDS
	say $(($# > 0 ? $# - 1 : 0))
}

# SERVICE live|failed LINES [AFTER]: lines of all its instances, by time.
verb_look_log() {
	svc_name_ok "$1"
	is_number "$3" || die "\"$3\" is no number"
	if [ "$2" = failed ]; then
		[ ! -e "$STATE/failed/$1" ] || tail -n "$3" -- "$STATE/failed/$1" | tail -c 60000
		return
	fi
	slot_of "$1" live
	[ -n "$SLOT" ] || die "service \"$1\" does not run"
	each_instance "$1" "$SLOT" log_lines "$3" | sort -s -k1,1 | tail -n "$3" | tail -c 60000
}

# WHAT USER COMMAND...: it must not succeed.
attempt() {
	attempt_what=$1 attempt_user=$2
	shift 2
	if as_user "$attempt_user" "$@" >/dev/null 2>&1 </dev/null; then
		say "got $attempt_user $attempt_what"
	else
		say "refused $attempt_user $attempt_what"
	fi
}

# USER: tries to reach what is this tenant's alone.
attempts_as() {
	attempt "list the releases" "$1" ls "$DUTY_HOME/releases"
	attempt "read the program" "$1" ls "$DUTY_HOME/current/"
	attempt "connect to the front's control socket" "$1" perl -MIO::Socket::UNIX -e \
		'IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1' -- "$DUTY_HOME/front/run/admin.sock"
	for attempt_at in "$STATE"/services/*/live; do
		[ -e "$attempt_at" ] || continue
		read -r attempt_slot <"$attempt_at"
		attempt_name=${attempt_at%/live}
		attempt_name=${attempt_name##*/}
		attempt "read the environment file of $attempt_name" "$1" cat "$DUTY_HOME/slots/$attempt_name.$attempt_slot/env"
		attempt "read the passfile of $attempt_name" "$1" cat "$DUTY_HOME/slots/$attempt_name.$attempt_slot/pass"
		each_instance "$attempt_name" "$attempt_slot" attempt_process "$1"
	done
}

# USER UNIT
attempt_process() {
	process_state=$(sup_state "$2")
	case $process_state in running*) ;; *) return 0 ;; esac
	process_pid=${process_state#running } process_pid=${process_pid%% *}
	attempt "read the environment of a process of $attempt_name" "$1" cat "/proc/$process_pid/environ"
	attempt "read the files of a process of $attempt_name" "$1" ls "/proc/$process_pid/fd/"
	attempt "end a process of $attempt_name" "$1" sh -c 'kill -0 "$1"' sh "$process_pid"
}

# As nobody, and as the user of every other tenant on the host.
verb_look_isolation() {
	attempts_as nobody
	for other_at in "$ROOT"/tenants/*; do
		other_name=${other_at##*/}
		[ -d "$other_at" ] && [ "$other_name" != "$DUTY_NAME" ] || continue
		other_user=$(user_of "$other_name")
		! id -- "$other_user" >/dev/null 2>&1 || attempts_as "$other_user"
	done
}
