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
	if ! fence_raise "$act_fence"; then
		reply fenced 1 - - "$FENCE_SEEN"
		return
	fi
	act_step=$act_key.$1
	if step_stored "$act_step" && [ "$STORED_CODE" = 0 ]; then
		reply_stored "$act_step" stored
		return
	fi
	[ -z "$GUARD_SECONDS" ] || guard_arm "$act_key" "$1" || return
	call_verb "$@" >"$STATE/steps/$act_step.out" 2>"$STATE/steps/$act_step.err" </dev/null
	act_code=$?
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

# BYTES: the body, into $BODY.
take_body() {
	BODY=$TMP/body
	: >"$BODY"
	[ "$1" -gt 0 ] || return 0
	head -c "$1" >"$BODY"
	[ "$(stat -c %s -- "$BODY")" = "$1" ]
}

drop_body() { [ ! -s "$TMP/body" ] || : >"$TMP/body"; }

valid_key() {
	case $1 in '' | *[!0-9a-f.]* | .*) return 1 ;; esac
	[ ${#1} -le 80 ]
}

# KEY FENCE BYTES VERB WORD...
serve_act() {
	valid_key "$1" && is_number "$2" && is_number "$3" && [ "$3" -le "$BODY_MAX" ] || exit 2
	take_body "$3" || exit 2
	act_key=$1 act_fence=$2
	shift 3
	case $1 in
	look-*) refuse "\"$1\" changes nothing" ;;
	*)
		if ! ensure_state; then
			reply ok 1 - - "cannot make \"$STATE\": $(no_space "$ROOT/state")"
		elif verb_known "$1"; then
			with_lock act_locked "$act_key" "$act_fence" "$@"
			[ $? -ne 75 ] || reply busy 75 - - "the duty's lock is held by another"
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

guard_write() {
	printf '%s%s\n' "$guard_at" "$GUARD_UNDO" >"$guard_file.new" && sync -- "$guard_file.new" &&
		mv -f -- "$guard_file.new" "$guard_file" && sync -- "$STATE/guards"
}

# KEY VERB: armed before the verb runs; a process that nobody waits for undoes it.
guard_arm() {
	guard_file=$STATE/guards/$1.$2
	guard_at=$(($(date +%s) + GUARD_SECONDS))
	if ! guard_write; then
		refuse "cannot arm the timer: $(no_space "$guard_file")"
		return 1
	fi
	setsid "$HELPER" guard "$DUTY" "$1.$2" </dev/null >/dev/null 2>&1 9>&- &
}

# KEY.VERB: runs the undo if it is time and nobody has confirmed; under the lock.
guard_fire() {
	guard_file=$STATE/guards/$1
	[ -e "$guard_file" ] || return 0
	read -r guard_at guard_words <"$guard_file"
	[ "$(date +%s)" -ge "$guard_at" ] || return 0
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
	call_verb "$@" >"$STATE/steps/$guard_step.out" 2>"$STATE/steps/$guard_step.err" </dev/null
	guard_code=$?
	err_line "$STATE/steps/$guard_step.err"
	printf '%s - -\n%s\n.\n' "$guard_code" "$ERR" >"$STATE/steps/$guard_step.undone"
	rm -f -- "$STATE/steps/$guard_step.rc"
	sync -- "$STATE/steps/$guard_step.undone" "$STATE/steps"
	rm -f -- "$guard_file"
	sync -- "$STATE/guards"
}

# Timers that did not live to their end: the machine was started anew since.
guards_overdue() {
	for guard_file in "$STATE"/guards/*; do
		case $guard_file in *.new) continue ;; esac
		[ -e "$guard_file" ] || continue
		read -r guard_at guard_words <"$guard_file" || :
		is_number "$guard_at" || continue
		[ "$(date +%s)" -le $((guard_at + 2)) ] || with_lock guard_fire "${guard_file##*/}"
	done
}

# KEY FENCE VERB: over a new connection.
confirm_locked() {
	if ! fence_raise "$2"; then
		reply fenced 1 - - "$FENCE_SEEN"
	elif [ -e "$STATE/guards/$1.$3" ]; then
		rm -f -- "$STATE/guards/$1.$3"
		sync -- "$STATE/guards"
		reply ok 0 - - ''
	elif [ -e "$STATE/steps/$1.$3.undone" ]; then
		reply undone 1 - - ''
	else
		reply ok 0 - - ''
	fi
}

serve_confirm() {
	valid_key "$1" && is_number "$2" && verb_known "$3" && ensure_state || exit 2
	with_lock confirm_locked "$@"
	[ $? -ne 75 ] || reply busy 75 - - "the duty's lock is held by another"
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
	[ $? -ne 75 ] || reply busy 75 - - "the duty's lock is held by another"
}

forget_locked() {
	if ! fence_raise "$2"; then
		reply fenced 1 - - "$FENCE_SEEN"
		return
	fi
	rm -f -- "$STATE/steps/$1".* "$STATE/guards/$1".*
	sync -- "$STATE/steps" "$STATE/guards"
	reply ok 0 - - ''
}

# KEY FENCE
serve_forget() {
	valid_key "$1" && is_number "$2" && ensure_state || exit 2
	with_lock forget_locked "$@"
	[ $? -ne 75 ] || reply busy 75 - - "the duty's lock is held by another"
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
	TMP=$ROOT/run/work.$$
	sweep
	mkdir -- "$TMP" || die "cannot make \"$TMP\": $(no_space "$TMP")"
	trap 'rm -rf -- "$TMP"' EXIT
	# Handled, not ignored: what is ignored here would be ignored by every service started from here.
	trap : HUP INT PIPE TERM
	GUARD_SECONDS=''
}

# Work folders of those who could not remove them.
sweep() {
	for sweep_at in "$ROOT"/run/work.*; do
		sweep_pid=${sweep_at##*.}
		if [ "$sweep_pid" = $$ ] || [ ! -e "/proc/$sweep_pid" ]; then
			rm -rf -- "$sweep_at"
		fi
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

# DUTY KEY.VERB: outlives whoever armed it, and ends when that was confirmed.
guard() {
	guard_key=$2
	set_up "$1"
	while read -r guard_at guard_words 2>/dev/null <"$STATE/guards/$guard_key"; do
		[ "$(date +%s)" -lt "$guard_at" ] || with_lock guard_fire "$guard_key" || exit 1
		sleep 0.5
	done
}

case ${1:-}:$# in
serve:2) exec setsid -w "$0" serve-here "$2" ;;
serve-here:2) serve "$2" ;;
guard:3) guard "$2" "$3" ;;
*) usage ;;
esac
