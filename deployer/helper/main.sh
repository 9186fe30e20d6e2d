# shellcheck shell=sh
# main.sh - the loop: a request a line, its words without blanks and with %XX for other bytes; a reply is
# what the verb said and then a line that begins with the sentinel, which only the two ends know.
# shellcheck disable=SC2154,SC2034,SC3044  # the parts are one text: what one sets, another reads

# --- words of a request -----------------------------------------------------------------

# The bytes 01 to FF as variables byte_01...: made once, when the first escape comes.
make_bytes() {
	bytes_all=$(
		bytes_i=1
		while [ $bytes_i -le 255 ]; do
			# shellcheck disable=SC2059  # the format is the byte
			printf "\\$(printf %03o $bytes_i)"
			bytes_i=$((bytes_i + 1))
		done
		printf .
	)
	bytes_i=1
	while [ $bytes_i -le 255 ]; do
		bytes_rest=${bytes_all#?}
		bytes_at=${bytes_all%"$bytes_rest"}
		bytes_high=$((bytes_i / 16)) bytes_low=$((bytes_i % 16))
		hex_digit $bytes_high && bytes_name=$HEX
		hex_digit $bytes_low && bytes_name=$bytes_name$HEX
		eval "byte_$bytes_name=\$bytes_at"
		bytes_all=$bytes_rest
		bytes_i=$((bytes_i + 1))
	done
}

hex_digit() {
	case $1 in
	10) HEX=A ;; 11) HEX=B ;; 12) HEX=C ;; 13) HEX=D ;; 14) HEX=E ;; 15) HEX=F ;;
	*) HEX=$1 ;;
	esac
}

# WORD: sets WORD; false if it is malformed.
decode() {
	WORD='' decode_rest=$1
	while :; do
		case $decode_rest in
		*%*) ;;
		*)
			WORD=$WORD$decode_rest
			return 0
			;;
		esac
		WORD=$WORD${decode_rest%%\%*}
		decode_rest=${decode_rest#*%}
		case $decode_rest in
		[0-9A-F][0-9A-F]*) ;;
		-*)
			# %- is nothing: an empty word
			decode_rest=${decode_rest#-}
			continue
			;;
		*) return 1 ;;
		esac
		[ -n "${byte_01:-}" ] || make_bytes
		decode_tail=${decode_rest#??}
		decode_code=${decode_rest%"$decode_tail"}
		[ "$decode_code" != 00 ] || return 1
		eval "WORD=\$WORD\$byte_$decode_code"
		decode_rest=$decode_tail
	done
}

# --- replies --------------------------------------------------------------------------------

# STATUS CODE TOTAL DIGEST ERR
reply() { printf '%s end %s %s %s %s %s %s\n' "$SENTINEL" "$SEQ" "$1" "$2" "$3" "$4" "$5"; }

refuse() { reply refused 1 - - "$1"; }

# What holds the duty's lock, as far as it is known.
busy() {
	busy_with=$(work_of "$STATE")
	reply busy 75 - - "${busy_with#at-work }"
}

# FENCE: false where it is not to be had; then the reply has told why.
fence_passed() {
	fence_raise "$1"
	case $? in
	0) return 0 ;;
	1) reply fenced 1 - - "$FENCE_SEEN" ;;
	*) reply ok 1 - - "cannot raise the fence: $(no_space "$STATE/fence")" ;;
	esac
	return 1
}

# VERB: true if it is one of the duty's.
verb_known() {
	eval "verb_list=\$duty_verbs_$DUTY_KIND"
	case " $duty_verbs_any $verb_list " in *" $1 "*) ;; *) return 1 ;; esac
	verb_rest=$1 VERB_FUNCTION=verb
	while :; do
		VERB_FUNCTION=${VERB_FUNCTION}_${verb_rest%%-*}
		case $verb_rest in *-*) verb_rest=${verb_rest#*-} ;; *) return 0 ;; esac
	done
}

# VERB WORD...: in a shell of its own, which `die` ends; -e is on in it.
call_verb() {
	shift
	(
		set -e
		trap - EXIT
		"$VERB_FUNCTION" "$@"
	)
}

serve_look() {
	case $1 in look-*) ;; *) refuse "\"$1\" is no verb of looking" && return ;; esac
	verb_known "$1" || { refuse "duty \"$DUTY\" has no verb \"$1\"" && return; }
	call_verb "$@" 2>"$TMP/err" </dev/null
	look_code=$?
	err_line "$TMP/err"
	reply ok $look_code - - "$ERR"
}

# KEY FENCE VERB WORD...: under the lock.
act_locked() {
	act_key=$1 act_fence=$2
	shift 2
	fence_passed "$act_fence" || return
	act_step=$act_key.$1
	if step_stored "$act_step" && [ "$STORED_CODE" = 0 ]; then
		reply_stored "$act_step" stored
		return
	fi
	guards_due
	[ -z "$GUARD_SECONDS" ] || guard_arm "$act_key" "$1" || return
	work_begins "$1"
	call_verb "$@" >"$STATE/steps/$act_step.out" 2>"$STATE/steps/$act_step.err" </dev/null
	act_code=$?
	work_ends
	# The seconds are those from here on: a restart may have taken as many.
	[ -z "$GUARD_SECONDS" ] || guard_write "$act_step" || {
		act_code=1
		echo "cannot arm the timer: $(no_space "$guard_file")" >>"$STATE/steps/$act_step.err"
	}
	if ! step_store "$act_step" $act_code; then
		reply ok 1 - - "cannot keep the result of \"$1\": $(no_space "$STATE/steps/x")"
		return
	fi
	step_stored "$act_step"
	reply_stored "$act_step" ok
}

# KEY.VERB STATUS
reply_stored() {
	[ ! -s "$STATE/steps/$1.out" ] || cat -- "$STATE/steps/$1.out"
	reply "$2" "$STORED_CODE" "$STORED_TOTAL" "$STORED_DIGEST" "$STORED_ERR"
}

# VERB: noted beside the lock for whoever waits for it.
work_begins() {
	now
	printf '%s %s %s\n' "$1" $$ "$NOW" 2>/dev/null >"$STATE/at-work" || :
}

work_ends() { printf '' 2>/dev/null >"$STATE/at-work" || :; }

# STATE: what is at work for that duty; nothing where its lock is free.
work_of() {
	[ -e "$1/lock" ] && ! (flock -n 9) 9>>"$1/lock" || return 0
	work_verb='' work_pid='' work_since=''
	read -r work_verb work_pid work_since 2>/dev/null <"$1/at-work" || :
	is_number "$work_since" || return 0
	now
	say "at-work $work_verb, process $work_pid, for $((NOW - work_since)) s"
}

# BYTES: the body, into $BODY; false where there is no room for it: it is read off all the same.
take_body() {
	BODY=$TMP/body
	if [ "$1" = 0 ]; then
		printf '' >"$BODY"
		return
	fi
	body_folder
	BODY=$BODIES/body
	# shellcheck disable=SC2216  # the rest of it goes nowhere
	head -c "$1" | {
		cat 2>/dev/null >"$BODY" || {
			cat >/dev/null
			exit 1
		}
	} || return 1
	[ "$(stat -c %s -- "$BODY")" = "$1" ] || exit 2
}

drop_body() { [ ! -s "$BODY" ] || printf '' >"$BODY"; }

valid_key() {
	case $1 in '' | *[!0-9a-f.]* | .*) return 1 ;; esac
	[ ${#1} -le 80 ]
}

# KEY FENCE BYTES VERB WORD...
serve_act() {
	valid_key "$1" && is_number "$2" && is_number "$3" && [ "$3" -le "$BODY_MAX" ] || exit 2
	act_key=$1 act_fence=$2
	if ! take_body "$3"; then
		reply ok 1 - - "cannot take the body of \"$4\": $(no_space "$BODY")"
		drop_body
		return
	fi
	shift 3
	case $1 in
	look-*) refuse "\"$1\" changes nothing" ;;
	*)
		if ! ensure_state; then
			reply ok 1 - - "cannot make \"$STATE\": $(no_space "$ROOT/state")"
		elif verb_known "$1"; then
			with_lock act_locked "$act_key" "$act_fence" "$@"
			[ $? -ne 75 ] || busy
		else
			refuse "duty \"$DUTY\" has no verb \"$1\""
		fi
		;;
	esac
	drop_body
}

# SECONDS N UNDO-WORD... KEY FENCE BYTES VERB WORD...
serve_guard() {
	is_number "$1" && is_number "$2" && [ "$1" -le 3600 ] && [ "$2" -le 20 ] && [ $# -gt $(($2 + 5)) ] || exit 2
	GUARD_SECONDS=$1 guard_n=$2 GUARD_UNDO=''
	shift 2
	verb_known "$1" || { refuse "duty \"$DUTY\" has no verb \"$1\"" && GUARD_SECONDS='' && return; }
	while [ "$guard_n" -gt 0 ]; do
		encode "$1"
		GUARD_UNDO="$GUARD_UNDO $ENCODED"
		shift
		guard_n=$((guard_n - 1))
	done
	serve_act "$@"
	GUARD_SECONDS=''
}

# --- the dead man's switch -------------------------------------------------------------------

# WORD: the form of a request's words again, for a file.
encode() {
	ENCODED=$1
	case $1 in
	'' ) ENCODED=%- ;;
	*[!A-Za-z0-9_./:=@,+-]*) ENCODED=$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g' | tr a-f A-F) ;;
	esac
}

# Sets NOW, in seconds since the machine was started, which no clock that is set moves, and BOOT.
now() {
	read -r NOW _ </proc/uptime
	NOW=${NOW%%.*}
	read -r BOOT </proc/sys/kernel/random/boot_id
}

# KEY.VERB: when, by which count of seconds, and what then.
guard_write() {
	guard_file=$STATE/guards/$1
	now
	printf '%s %s%s\n' "$BOOT" $((NOW + GUARD_SECONDS)) "$GUARD_UNDO" >"$guard_file.new" && sync -- "$guard_file.new" &&
		mv -f -- "$guard_file.new" "$guard_file" && sync -- "$STATE/guards"
}

# KEY VERB: armed before the verb runs; a process that nobody waits for undoes it, and lives before that.
guard_arm() {
	rm -f -- "$STATE/steps/$1.$2.undone"
	if ! guard_write "$1.$2"; then
		refuse "cannot arm the timer: $(no_space "$guard_file")"
		return 1
	fi
	guard_lives=$1.$2.lives.$$.$SEQ
	setsid "$HELPER" guard "$DUTY" "$1.$2" "$guard_lives" </dev/null >/dev/null 2>&1 9>&- &
	guard_turns=0
	until [ -e "$STATE/guards/$guard_lives" ]; do
		if [ $((guard_turns += 1)) -gt 1500 ]; then
			rm -f -- "$guard_file"
			refuse "cannot arm the timer: its process does not start"
			return 1
		fi
		sleep 0.02
	done
	rm -f -- "$STATE/guards/$guard_lives"
}

# FILE: reads it; true if its time is over, or the machine was started anew since.
guard_over() {
	read -r guard_boot guard_at guard_words 2>/dev/null <"$1" || return 1
	now
	[ "$guard_boot" != "$BOOT" ] || [ "$NOW" -ge "$guard_at" ]
}

# KEY.VERB: the other timers of that verb, of changes that nobody has confirmed, in OTHERS.
guard_others() {
	OTHERS=''
	for guard_other in "$STATE"/guards/*."${1##*.}"; do
		[ ! -e "$guard_other" ] || [ "$guard_other" = "$STATE/guards/$1" ] || OTHERS="$OTHERS ${guard_other##*/}"
	done
}

# KEY.VERB: a later change of the same kind has a timer that takes both back.
guard_followed() {
	guard_others "$1"
	for guard_other in $OTHERS; do
		guard_over "$STATE/guards/$guard_other" || return 0
	done
	return 1
}

# KEY.VERB: runs the undo if it is time and nobody has confirmed; under the lock.  One that fails stays to be
# tried again, and one that was not seen to end is run twice: undoes do not mind.
guard_fire() {
	guard_file=$STATE/guards/$1
	guard_over "$guard_file" || return 0
	if guard_followed "$1"; then
		rm -f -- "$guard_file"
		return 0
	fi
	guard_over "$guard_file" || return 0
	set -f
	# shellcheck disable=SC2086  # the words have no blanks
	set -- "$1" $guard_words
	set +f
	guard_step=$1
	shift
	guard_count=$#
	while [ "$guard_count" -gt 0 ]; do
		decode "$1" || return 1
		shift
		set -- "$@" "$WORD"
		guard_count=$((guard_count - 1))
	done
	verb_known "$1" || return 1
	# Whatever comes of it, the step has not been done any more.
	rm -f -- "$STATE/steps/$guard_step.rc"
	work_begins "$1"
	call_verb "$@" >"$STATE/steps/$guard_step.out" 2>"$STATE/steps/$guard_step.err" </dev/null
	guard_code=$?
	work_ends
	err_line "$STATE/steps/$guard_step.err"
	printf '%s - -\n%s\n.\n' "$guard_code" "$ERR" >"$STATE/steps/$guard_step.undone" || return 1
	sync -- "$STATE/steps/$guard_step.undone" "$STATE/steps" && [ "$guard_code" = 0 ] || return 1
	rm -f -- "$guard_file"
	sync -- "$STATE/guards"
}

# Under the lock, before anything else is done.
guards_due() {
	for guard_name in "$STATE"/guards/*; do
		case $guard_name in *.new | *.lives.*) continue ;; esac
		[ ! -e "$guard_name" ] || (guard_fire "${guard_name##*/}")
	done
}

# Timers that did not live to their end: the machine was started anew since.  One that lives gets its second.
guards_overdue() {
	for guard_name in "$STATE"/guards/*; do
		case $guard_name in *.new | *.lives.*) continue ;; esac
		if ! guard_over "$guard_name"; then continue; fi
		[ "$guard_boot" != "$BOOT" ] || [ "$NOW" -gt $((guard_at + 2)) ] || continue
		(
			LOCK_SECONDS=2
			with_lock guard_fire "${guard_name##*/}"
		)
	done
}

# KEY FENCE VERB: over a new connection.
confirm_locked() {
	fence_passed "$2" || return
	confirm_step=$1.$3
	if [ -e "$STATE/steps/$confirm_step.undone" ]; then
		{
			read -r undone_code _
			read -r ERR
		} <"$STATE/steps/$confirm_step.undone" || :
		is_number "${undone_code:-}" || undone_code=1
		reply undone "$undone_code" - - "$ERR"
	elif ! step_stored "$confirm_step"; then
		reply undone 1 - - "its result is not kept"
	else
		# Those of earlier changes, too: what is there now is what was confirmed.
		rm -f -- "$STATE"/guards/*."$3"
		sync -- "$STATE/guards"
		reply ok 0 - - ''
	fi
}

serve_confirm() {
	valid_key "$1" && is_number "$2" && verb_known "$3" && ensure_state || exit 2
	with_lock confirm_locked "$@"
	[ $? -ne 75 ] || busy
}

# --- what is kept ---------------------------------------------------------------------------

# Whoever only looks leaves no folder behind.
ensure_state() {
	[ ! -d "$STATE/guards" ] || return 0
	# Users of tenants and clusters go through these to what is theirs.
	(umask 022 && mkdir -p -- "$ROOT/tenants" "$ROOT/clusters" "$ROOT/log" "$ROOT/service") &&
		mkdir -p -- "$STATE/steps" "$STATE/guards" && sync -- "$STATE"
}

stored_locked() {
	if step_stored "$1.$2"; then
		reply_stored "$1.$2" stored
	else
		reply none 0 - - ''
	fi
}

# KEY VERB
serve_stored() {
	valid_key "$1" && verb_known "$2" || exit 2
	if [ ! -d "$STATE/guards" ]; then
		reply none 0 - - ''
		return
	fi
	with_lock stored_locked "$@"
	[ $? -ne 75 ] || busy
}

forget_locked() {
	fence_passed "$2" || return
	rm -f -- "$STATE/steps/$1".* "$STATE/guards/$1".*
	sync -- "$STATE/steps" "$STATE/guards"
	reply ok 0 - - ''
}

# KEY FENCE
serve_forget() {
	valid_key "$1" && is_number "$2" && ensure_state || exit 2
	with_lock forget_locked "$@"
	[ $? -ne 75 ] || busy
}

serve_fence() {
	fence_seen
	say "$FENCE_SEEN"
	reply ok 0 - - ''
}

# --- verbs of every duty -------------------------------------------------------------------

# What the duty has here.
verb_look_duty() {
	fence_seen
	say "fence $FENCE_SEEN"
	work_of "$STATE"
	owned
}

# DIGEST: is it there, whole?
verb_look_incoming() {
	is_digest "$1" || die "\"$1\" is no digest"
	[ -f "$ROOT/incoming/$1" ] || return 0
	incoming_sum=$(read_incoming "$1" | sha256sum)
	[ "${incoming_sum%% *}" != "$1" ] || say yes
}

# --- start ------------------------------------------------------------------------------------

usage() {
	echo "usage: copyhold-host serve host|cluster/NAME|tenant/NAME" >&2
	exit 64
}

# The file beside us says what the manifest did: "prefix ch-", "supervise systemd".
read_settings() {
	PREFIX='' SUPERVISE=''
	while read -r setting_name setting_value; do
		case $setting_name in prefix) PREFIX=$setting_value ;; supervise) SUPERVISE=$setting_value ;; esac
	done <"$ROOT/bin/copyhold-host.conf"
	case $PREFIX in [!a-z]* | *[!a-z0-9-]* | '') die "\"prefix\" in \"$ROOT/bin/copyhold-host.conf\" is wrong" ;; esac
	case $SUPERVISE in systemd | runit) ;; *) die "\"supervise\" in \"$ROOT/bin/copyhold-host.conf\" is wrong" ;; esac
}

set_duty() {
	DUTY=$1 DUTY_KIND=${1%%/*} DUTY_NAME=${1#*/}
	case $1 in
	host) DUTY_NAME='' DUTY_HOME=$ROOT ;;
	cluster/*) DUTY_HOME=$ROOT/clusters/$DUTY_NAME ;;
	tenant/*) DUTY_HOME=$ROOT/tenants/$DUTY_NAME ;;
	*) usage ;;
	esac
	[ "$1" = host ] || is_name "$DUTY_NAME" || usage
	STATE=$ROOT/state/$DUTY
}

set_up() {
	case $0 in /*/bin/copyhold-host) HELPER=$0 ;; *) die "start it by its absolute path" ;; esac
	ROOT=$(cd -P -- "${0%/bin/*}" && pwd) || exit
	[ "$(id -u)" = 0 ] || die "only root can do this; our user needs a line in sudoers"
	read_settings
	set_duty "$1"
	mkdir -p -- "$ROOT/run" || die "cannot make \"$ROOT/run\": $(no_space "$ROOT/run")"
	started $$ || die "cannot read /proc/$$/stat"
	WORK=work.$$.$START TMP=$ROOT/run/work.$$.$START BODIES='' GUARD_SECONDS=''
	sweep
	mkdir -- "$TMP" || die "cannot make \"$TMP\": $(no_space "$TMP")"
	trap leave_work EXIT
	# Handled, not ignored: what is ignored here would be ignored by every service started from here.
	trap : HUP INT PIPE TERM
}

# PID: sets START, when it was started, in ticks since the machine was; false if there is no such process.
started() {
	read -r started_line 2>/dev/null <"/proc/$1/stat" || return 1
	# shellcheck disable=SC2086  # numbers, behind the command's name in parentheses
	set -- ${started_line##*)}
	shift 19
	START=$1
}

# Sets MEMORY: where this root's bodies are in a machine's folders of memory, / as =.
memory_name() {
	MEMORY=copyhold-host/ memory_rest=$ROOT/
	while [ -n "$memory_rest" ]; do
		MEMORY=$MEMORY=${memory_rest%%/*}
		memory_rest=${memory_rest#*/}
	done
}

# FOLDER: one for bodies in it, which nobody else can have made.
memory_ours() { [ ! -L "$1/copyhold-host" ] && [ -d "$1/copyhold-host" ] && [ -O "$1/copyhold-host" ]; }

# Sets BODIES.  A body has secrets: it lies in memory where the machine has such a folder, so that no disk
# keeps it when the power is cut.
body_folder() {
	[ -z "$BODIES" ] || return 0
	for body_in in /run /dev/shm; do
		[ "$(stat -f -c %T -- $body_in 2>/dev/null)" = tmpfs ] || continue
		BODIES=$body_in/$MEMORY/$WORK
		# Another session that ends may just have taken the folder away.
		for body_try in 1 2 3; do
			mkdir -m 0700 -- "$body_in/copyhold-host" 2>/dev/null || memory_ours $body_in || break
			mkdir -- "$body_in/$MEMORY" 2>/dev/null || :
			! mkdir -- "$BODIES" 2>/dev/null || return 0
		done
	done
	BODIES=$TMP
}

leave_work() {
	rm -rf -- "$TMP" "${BODIES:-$TMP}"
	[ "${BODIES:-$TMP}" = "$TMP" ] || rmdir -- "${BODIES%/*}" "${BODIES%/*/*}" 2>/dev/null || :
}

# Work folders of those who could not remove them.
sweep() {
	memory_name
	set -- "$ROOT"/run/work.*
	! memory_ours /run || set -- "$@" "/run/$MEMORY"/work.*
	! memory_ours /dev/shm || set -- "$@" "/dev/shm/$MEMORY"/work.*
	for sweep_at; do
		sweep_who=${sweep_at##*/work.}
		START=''
		if ! started "${sweep_who%%.*}" || [ "$sweep_who" != "${sweep_who%%.*}.$START" ]; then rm -rf -- "$sweep_at"; fi
	done
}

greet() {
	read -r hello SENTINEL || exit 0
	case $hello:$SENTINEL in hello:*[!0-9a-f]*) exit 2 ;; hello:*) ;; *) exit 2 ;; esac
	[ ${#SENTINEL} -eq 32 ] || exit 2
	printf '%s hello %s %s %s %s\n' "$SENTINEL" "$PROTOCOL" "$(sha_of "$HELPER")" "$PREFIX" "$SUPERVISE"
}

# SEQ KIND WORD...: the words are decoded in place.
dispatch() {
	SEQ=$1 dispatch_kind=$2
	is_number "$SEQ" || exit 2
	shift 2
	dispatch_count=$#
	while [ $dispatch_count -gt 0 ]; do
		case $1 in
		*%*) decode "$1" || exit 2 ;;
		*) WORD=$1 ;;
		esac
		shift
		set -- "$@" "$WORD"
		dispatch_count=$((dispatch_count - 1))
	done
	case $dispatch_kind:$# in
	look:[1-9]*) serve_look "$@" ;;
	act:[4-9]* | act:[1-9][0-9]*) serve_act "$@" ;;
	guard:[7-9]* | guard:[1-9][0-9]*) serve_guard "$@" ;;
	confirm:3) serve_confirm "$@" ;;
	stored:2) serve_stored "$@" ;;
	forget:2) serve_forget "$@" ;;
	fence:0) serve_fence ;;
	*) exit 2 ;;
	esac
}

# Its own session: a cut one takes nothing down that has begun.
serve() {
	set_up "$1"
	greet
	guards_overdue
	while read -r line; do
		set -f
		# shellcheck disable=SC2086  # the words have no blanks
		set -- $line
		set +f
		[ $# -ge 2 ] || exit 2
		dispatch "$@"
	done
}

# DUTY KEY.VERB LIVES: outlives whoever armed it, and ends when that was confirmed or is undone.
guard() {
	guard_key=$2 guard_lives=$3
	set_up "$1"
	printf '' >"$STATE/guards/$guard_lives" || exit
	guard_pause=0.5
	while [ -e "$STATE/guards/$guard_key" ]; do
		if guard_over "$STATE/guards/$guard_key"; then
			# Not after ||: there the verb would go on after what fails in it.
			with_lock guard_fire "$guard_key"
			guard_code=$?
			[ $guard_code -eq 0 ] || guard_pause=10
		fi
		sleep $guard_pause
	done
}

case ${1:-}:$# in
serve:2) exec setsid -w "$0" serve-here "$2" ;;
serve-here:2) serve "$2" ;;
guard:4) guard "$2" "$3" "$4" ;;
*) usage ;;
esac
