# shellcheck shell=sh
# supervise.sh - who keeps clusters and services running: systemd, or runit where PID 1 is another.
#
# A unit is defined stopped; sup_start makes it run, also after the machine was started anew.
# shellcheck disable=SC2154,SC2034,SC3044  # the parts are one text: what one sets, another reads

# NAME: of the duty's own; NAME empty: the duty itself.
unit_of() { printf '%s\n' "$PREFIX$DUTY_KIND.$DUTY_NAME.${1:-main}"; }

unit_ok() {
	case $1 in
	*[!a-zA-Z0-9.-]*) die "\"$1\" is no unit's name" ;;
	"$PREFIX$DUTY_KIND.$DUTY_NAME".*) ;;
	*) die "unit \"$1\" is not of duty \"$DUTY\"" ;;
	esac
}

unit_file() { printf '/etc/systemd/system/%s.service\n' "$1"; }

sup_here() {
	[ "$SUPERVISE" != systemd ] || [ -d /run/systemd/system ] || die "PID 1 is not systemd here"
	[ "$SUPERVISE" != runit ] || command -v runsvdir >/dev/null || die "runit is missing: apt-get install runit"
}

# --- what both run -----------------------------------------------------------------------

# WORKDIR ENVFILE RUNFILE: the program's start; the environment's file is read by the user it belongs to.
unit_command() {
	printf "cd -- '%s' || exit 111\n" "$1"
	[ -z "$2" ] || printf "set -a\n. '%s' || exit 111\nset +a\n" "$2"
	printf "exec '%s'\n" "$3"
}

unit_word_ok() {
	case $1 in *[!A-Za-z0-9/._-]*) die "\"$1\" has characters that no unit can have" ;; esac
}

# --- systemd ---------------------------------------------------------------------------------

# NAME USER WORKDIR STOPSECS SIGNAL START
systemd_unit() {
	cat <<-END
		# Made by copyhold-host; what is written here is put back.
		[Unit]
		Description=copyhold: $1
		After=network-online.target
		Wants=network-online.target
		StartLimitIntervalSec=0

		[Service]
		Type=exec
		User=$2
		Group=$2
		ExecStart=$6
		Restart=always
		RestartSec=1
		KillSignal=$5
		TimeoutStopSec=$4
		UMask=0077
		NoNewPrivileges=yes
		ProtectSystem=strict
		ReadWritePaths=$DUTY_HOME
		ProtectHome=yes
		PrivateTmp=yes
		PrivateDevices=yes
		ProtectKernelTunables=yes
		ProtectKernelModules=yes
		ProtectControlGroups=yes
		RestrictSUIDSGID=yes
		LockPersonality=yes
		RestrictRealtime=yes

		[Install]
		WantedBy=multi-user.target
	END
}

# A file of /etc: put_file() is for what is below ROOT.
systemd_define() {
	def_file=$(unit_file "$1")
	own path "$ROOT/log/$1"
	mkdir -p -- "$ROOT/log/$1"
	unit_command "$3" "$4" "$6" | start_file "$1"
	systemd_unit "$1" "$2" "$3" "$5" "$7" "$ROOT/log/$1/start" >"$TMP/unit"
	if ! cmp -s -- "$TMP/unit" "$def_file"; then
		if ! systemd_put "$def_file"; then die "cannot write \"$def_file\": $(no_space "$def_file")"; fi
		systemctl daemon-reload
	fi
}

systemd_put() {
	cp -- "$TMP/unit" "$1.new" && chmod 644 -- "$1.new" && sync -- "$1.new" && mv -f -- "$1.new" "$1"
}

# NAME <BYTES: readable by the user that runs it, and nothing in it is secret.
start_file() {
	{ printf '#!/bin/sh\n' && cat; } | put_file "$ROOT/log/$1/start" root 0755
	chmod 0711 -- "$ROOT/log/$1"
}

# --- runit -----------------------------------------------------------------------------------

# NAME USER WORKDIR ENVFILE STOPSECS RUNFILE SIGNAL
runit_define() {
	run_at=$ROOT/service/$1
	own path "$ROOT/log/$1"
	mkdir -p -- "$ROOT/service" "$ROOT/log/$1"
	run_new=$ROOT/service/.$1.new
	rm -rf -- "$run_new"
	mkdir -p -- "$run_new/log" "$run_new/control"
	unit_command "$3" "$4" "$6" >"$run_new/start"
	printf '#!/bin/sh\nexec 2>&1\nexec env -i PATH=%s LC_ALL=C HOME=%s setpriv --reuid=%s --regid=%s %s %s\n' \
		"$PATH" "$3" "$2" "$2" "--init-groups --no-new-privs" "sh -u -c '$(quote_again "$run_new/start")'" >"$run_new/run"
	printf '#!/bin/sh\nexec svlogd -tt %s\n' "$ROOT/log/$1" >"$run_new/log/run"
	printf '%s\n' "$5" >"$run_new/stop-seconds"
	if [ "$7" != SIGTERM ]; then
		# shellcheck disable=SC2016  # for the shell that will run it
		printf '#!/bin/sh\nread -r pid <supervise/pid && kill -%s "$pid"\n' "${7#SIG}" >"$run_new/control/t"
		chmod 755 -- "$run_new/control/t"
	fi
	printf 's10000000\nn5\n' >"$ROOT/log/$1/config"
	chmod 755 -- "$run_new/run" "$run_new/log/run"
	runit_put "$1"
}

# FILE: its text as it stands between single quotes.
quote_again() { sed "s/'/'\\\\''/g" "$1"; }

# What is there keeps its state; only files that differ are put in place.
runit_put() {
	run_at=$ROOT/service/$1 run_new=$ROOT/service/.$1.new
	if [ ! -d "$run_at" ]; then
		: >"$run_new/down"
		sync -- "$run_new/run" "$run_new/log/run" "$run_new"
		mv -T -- "$run_new" "$run_at"
		sync -- "$ROOT/service"
		return
	fi
	for run_file in run start log/run stop-seconds control/t; do
		if [ -e "$run_new/$run_file" ]; then
			cmp -s -- "$run_new/$run_file" "$run_at/$run_file" || mv -f -- "$run_new/$run_file" "$run_at/$run_file"
		else
			rm -f -- "$run_at/$run_file"
		fi
	done
	sync -- "$run_at/run" "$run_at"
	rm -rf -- "$run_new"
}

runit_pid() {
	RUNSVDIR=''
	[ -e "$ROOT/run/runsvdir.pid" ] || return 1
	read -r RUNSVDIR <"$ROOT/run/runsvdir.pid" || return 1
	is_number "$RUNSVDIR" && [ -r "/proc/$RUNSVDIR/cmdline" ] || return 1
	tr '\0' ' ' <"/proc/$RUNSVDIR/cmdline" 2>/dev/null | grep -qF -- "runsvdir -P $ROOT/service" || return 1
}

# One for all duties; the lock is of no duty.
runit_up() {
	! runit_pid || return 0
	(
		flock 8
		! runit_pid || exit 0
		# shellcheck disable=SC2016  # for the shell that will run it
		env -i PATH="$PATH" LC_ALL=C setsid sh -c 'echo $$ >"$2" && exec runsvdir -P "$1"' sh "$ROOT/service" \
			"$ROOT/run/runsvdir.pid" </dev/null >/dev/null 2>&1 8>&- 9>&- &
		up_try=0
		until runit_pid; do
			[ $up_try -lt 500 ] || die "runsvdir does not start: $(no_space "$ROOT/run/runsvdir.pid")"
			up_try=$((up_try + 1))
			sleep 0.02
		done
	) 8>>"$ROOT/run/runsvdir.lock" || exit 1
	runit_pid || die "runsvdir has ended"
}

# It looks for new folders every five seconds, or sooner where a signal wakes it.
runit_seen() {
	seen_try=0
	until [ -p "$ROOT/service/$1/supervise/ok" ] && sv status "$ROOT/service/$1" 2>/dev/null | grep -q '^[a-z]*: /'; do
		runit_up
		kill -CHLD "$RUNSVDIR" 2>/dev/null || :
		seen_try=$((seen_try + 1))
		[ $seen_try -lt 600 ] || die "runsvdir does not take up \"$1\""
		sleep 0.05
	done
}

# NAME: ends its runsv, too; that of a folder that is gone ends by itself, but not at once.
runit_remove() {
	run_at=$ROOT/service/$1
	if [ -p "$run_at/supervise/ok" ] && runit_pid; then
		: >"$run_at/down"
		read -r run_secs <"$run_at/stop-seconds" || run_secs=10
		sv -w "$run_secs" force-stop "$run_at" >/dev/null 2>&1 || :
		rm -rf -- "$ROOT/service/.$1.gone"
		mv -T -- "$run_at" "$ROOT/service/.$1.gone"
		run_at=$ROOT/service/.$1.gone
		sv force-shutdown "$run_at" >/dev/null 2>&1 || :
	fi
	rm -rf -- "$run_at" "$ROOT/service/.$1.new"
}

# --- the same words for both ---------------------------------------------------------------------

# NAME USER WORKDIR ENVFILE STOPSECS RUNFILE [SIGNAL]: ENVFILE, of sh assignments, may be empty.  A unit that
# runs takes the new definition when it is restarted.
sup_define() {
	unit_ok "$1"
	sup_here
	is_number "$5" || die "\"$5\" is no number of seconds"
	for def_word in "$2" "$3" "$4" "$6"; do unit_word_ok "$def_word"; done
	own unit "$1"
	if [ "$SUPERVISE" = systemd ]; then
		systemd_define "$1" "$2" "$3" "$4" "$5" "$6" "${7:-SIGTERM}"
	else
		runit_define "$1" "$2" "$3" "$4" "$5" "$6" "${7:-SIGTERM}"
	fi
}

sup_start() {
	unit_ok "$1"
	if [ "$SUPERVISE" = systemd ]; then
		systemctl enable --now --quiet -- "$1.service" || die "unit \"$1\" does not start"
		return
	fi
	runit_up
	rm -f -- "$ROOT/service/$1/down"
	runit_seen "$1"
	# A word that comes while its runsv begins may be lost: it is said again.
	sv -w 10 start "$ROOT/service/$1" >/dev/null || start_said=$(sv -w 20 start "$ROOT/service/$1") ||
		die "unit \"$1\" does not start: $start_said"
}

# NAME [SECS]: asked to end, then killed.
sup_stop() {
	unit_ok "$1"
	if [ "$SUPERVISE" = systemd ]; then
		systemctl disable --now --quiet -- "$1.service" || die "unit \"$1\" does not stop"
		return
	fi
	[ -d "$ROOT/service/$1" ] || return 0
	: >"$ROOT/service/$1/down"
	[ -p "$ROOT/service/$1/supervise/ok" ] && runit_pid || return 0
	stop_secs=${2:-}
	[ -n "$stop_secs" ] || read -r stop_secs <"$ROOT/service/$1/stop-seconds"
	sv -w "$stop_secs" force-stop "$ROOT/service/$1" >/dev/null 2>&1 || :
	case $(sup_state "$1") in running*) die "unit \"$1\" does not stop" ;; esac
}

sup_restart() {
	sup_stop "$1" "${2:-}"
	sup_start "$1"
}

# NAME: "running PID SINCE", "stopped" or "missing"; SINCE in seconds since 1970.
sup_state() {
	unit_ok "$1"
	if [ "$SUPERVISE" = systemd ]; then
		systemd_state "$1"
		return
	fi
	[ -d "$ROOT/service/$1" ] || { echo missing && return; }
	state_pid='' state_word=''
	if runit_pid && [ -p "$ROOT/service/$1/supervise/ok" ]; then
		read -r state_word <"$ROOT/service/$1/supervise/stat" || :
		read -r state_pid <"$ROOT/service/$1/supervise/pid" || :
	fi
	case $state_word:$state_pid in
	run*:[0-9]*) say "running $state_pid $(stat -c %Y "$ROOT/service/$1/supervise/pid")" ;;
	*) echo stopped ;;
	esac
}

systemd_state() {
	[ -e "$(unit_file "$1")" ] || { echo missing && return; }
	systemctl show --property=ActiveState,MainPID,ActiveEnterTimestamp --timestamp=unix "$1.service" >"$TMP/show"
	state_active='' state_pid=0 state_since=@0
	while IFS='=' read -r state_name state_value; do
		case $state_name in
		ActiveState) state_active=$state_value ;;
		MainPID) state_pid=$state_value ;;
		ActiveEnterTimestamp) state_since=$state_value ;;
		esac
	done <"$TMP/show"
	case $state_active in
	active | reloading) say "running $state_pid ${state_since#@}" ;;
	*) echo stopped ;;
	esac
}

# NAME LINES [AFTER]: the last lines; AFTER is a time in seconds since 1970, for whoever follows.
sup_logs() {
	unit_ok "$1"
	is_number "$2" || die "\"$2\" is no number of lines"
	if [ "$SUPERVISE" = systemd ]; then
		journalctl --quiet --no-pager --output=short-iso --lines="$2" --unit="$1.service" ${3:+--since="@$3"}
		return
	fi
	[ -d "$ROOT/log/$1" ] || return 0
	set -- "$2" "$ROOT/log/$1"/@*.s "$ROOT/log/$1/current"
	logs_n=$1
	shift
	for logs_at; do [ ! -f "$logs_at" ] || cat -- "$logs_at"; done | tail -n "$logs_n"
}

sup_remove() {
	unit_ok "$1"
	if [ "$SUPERVISE" = systemd ]; then
		systemctl disable --now --quiet -- "$1.service" 2>/dev/null || :
		rm -f -- "$(unit_file "$1")"
		systemctl daemon-reload
		# One that did not end well is remembered until then, without its file, too.
		systemctl reset-failed -- "$1.service" 2>/dev/null || :
	else
		runit_remove "$1"
	fi
	rm -rf -- "$ROOT/log/$1"
	disown path "$ROOT/log/$1"
	disown unit "$1"
}
