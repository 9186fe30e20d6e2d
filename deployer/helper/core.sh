#!/bin/sh
#
# copyhold-host - what copyhold does on this machine, and nothing else: see docs/hosts.md.
#
#	copyhold-host serve DUTY
#
# DUTY is host, cluster/NAME or tenant/NAME.  Requests come in on standard input;
# who may start this with which duty is for sudoers to say.
# shellcheck disable=SC2034,SC3044  # the parts are one text: what one sets, another reads; disown is ours
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
unset IFS CDPATH ENV
umask 077

PROTOCOL=1
OUT_MAX=65536
BODY_MAX=65536
KEEP_STEPS=200
LOCK_SECONDS=600
SPARE_BYTES=131072 # given up on a full disk, so that what failed there can be told and undone
NL='
'
duty_verbs_host='' duty_verbs_cluster='' duty_verbs_tenant=''
duty_verbs_any='look-duty look-incoming'

# --- words ----------------------------------------------------------------------

die() {
	printf '%s\n' "$1" >&2
	exit 1
}

say() { printf '%s\n' "$1"; }

# TEXT: fails unless it is a number of at most 18 digits.
is_number() {
	case $1 in '' | *[!0-9]* | ???????????????????*) return 1 ;; esac
}

# TEXT: fails unless it is a name as manifests have them.
is_name() {
	case $1 in [!a-z]* | *[!a-z0-9-]* | '') return 1 ;; esac
	[ ${#1} -le 40 ]
}

is_digest() {
	case $1 in *[!0-9a-f]*) return 1 ;; esac
	[ ${#1} -eq 64 ]
}

# --- paths ----------------------------------------------------------------------

# The folders that the duty may touch.
path_is_ours() {
	case $DUTY_KIND in
	host) case $1 in "$ROOT"/*) return 0 ;; esac ;;
	*)
		case $1 in
		"$DUTY_HOME" | "$DUTY_HOME"/* | "$STATE"/* | "$ROOT/log/$PREFIX$DUTY_KIND.$DUTY_NAME".*) return 0 ;;
		"$ROOT/service/$PREFIX$DUTY_KIND.$DUTY_NAME".*) return 0 ;;
		esac
		;;
	esac
	return 1
}

# PATH: refuses what is not the duty's, and what a link on the way leads out to.
path_ok() {
	case $1/ in *//* | */./* | */../*) die "path \"$1\" is not plain" ;; esac
	path_is_ours "$1" || die "path \"$1\" is not of duty \"$DUTY\""
	path_at=$1
	while [ "$path_at" != "$ROOT" ] && [ -n "$path_at" ]; do
		if [ -L "$path_at" ]; then
			path_real=$(readlink -m -- "$path_at")
			path_is_ours "$path_real" || die "path \"$1\" leads to \"$path_real\" by a link"
		fi
		path_at=${path_at%/*}
	done
}

# PATH OWNER MODE: OWNER is USER or USER:GROUP.
ensure_dir() {
	path_ok "$1"
	own path "$1"
	[ -d "$1" ] || mkdir -p -- "$1" || die "cannot make folder \"$1\""
	ensure_rights "$1" "$2" "$3"
}

ensure_rights() {
	case $2 in *:*) rights_owner=$2 ;; *) rights_owner=$2:$2 ;; esac
	rights_mode=${3#0}
	[ "$(stat -c '%U:%G %a' -- "$1")" = "$rights_owner $rights_mode" ] && return
	chown -h -- "$rights_owner" "$1" || die "cannot give \"$1\" to $2"
	chmod -- "$3" "$1" || die "cannot set the rights of \"$1\""
}

# PATH OWNER MODE <BYTES: new or different only; whoever reads it sees the old or the new one.
put_file() {
	path_ok "$1"
	own path "$1"
	put_new=$1.new.$$
	rm -f -- "$put_new"
	(set -C && cat >"$put_new") || die "cannot write \"$1\": $(no_space "$1")"
	ensure_rights "$put_new" "$2" "$3"
	if cmp -s -- "$put_new" "$1" && [ ! -L "$1" ]; then
		rm -f -- "$put_new"
		ensure_rights "$1" "$2" "$3"
		return
	fi
	sync -- "$put_new" || die "cannot sync \"$1\": $(no_space "$1")"
	mv -fT -- "$put_new" "$1" || die "cannot put \"$1\" in place"
	sync -- "${1%/*}"
}

# What a failed write was for: the one cause that has a kind of its own.
no_space() {
	if [ "$(df --output=avail -- "${1%/*}" 2>/dev/null | tail -n 1 | tr -d ' ')" = 0 ]; then
		echo "no space left on device"
	else
		echo "write error"
	fi
}

remove_path() {
	path_ok "$1"
	rm -rf --one-file-system -- "$1" || die "cannot remove \"$1\""
	disown path "$1"
}

sha_of() {
	sha_text=$(sha256sum -- "$1") || die "cannot read \"$1\""
	printf '%s\n' "${sha_text%% *}"
}

sync_file() { sync -- "$1" || die "cannot sync \"$1\""; }

# DIGEST: its bytes; our user, whose folder it is, cannot lead us elsewhere by a link, nor hold us by a pipe.
read_incoming() { dd if="$ROOT/incoming/$1" iflag=nofollow,nonblock,fullblock bs=1M status=none; }

# DIGEST FILE: what came by host_put(), compared after it was copied to where nobody else writes.
take_incoming() {
	is_digest "$1" || die "\"$1\" is no digest"
	[ -f "$ROOT/incoming/$1" ] || die "\"$1\" has not arrived"
	if ! read_incoming "$1" >"$2"; then
		take_why=$(no_space "$2")
		rm -f -- "$2"
		die "cannot take \"$1\": $take_why"
	fi
	[ "$(sha_of "$2")" = "$1" ] || die "what arrived as \"$1\" is damaged"
}

# DIGEST: the duty takes what came under it; gone with the next one, or with the duty.
note_taken() {
	is_digest "$1" || die "\"$1\" is no digest"
	[ ! -e "$STATE/taken" ] || ! grep -qx -- "$1" "$STATE/taken" || return 0
	say "$1" >>"$STATE/taken" || die "cannot note \"$1\": $(no_space "$STATE/taken")"
}

# [DIGEST]: what the duty has taken goes, but for that, and for what another duty has taken, too: it may
# be about to take it.
drop_taken() {
	[ -e "$STATE/taken" ] || return 0
	# shellcheck disable=SC2013  # digests: words and lines are the same
	for drop_digest in $(cat -- "$STATE/taken"); do
		[ "$drop_digest" != "${1:-}" ] || continue
		is_digest "$drop_digest" || continue
		grep -lsx -- "$drop_digest" "$ROOT"/state/*/*/taken | grep -qvxF -- "$STATE/taken" ||
			rm -f -- "$ROOT/incoming/$drop_digest"
	done
	rm -f -- "$STATE/taken"
	[ -z "${1:-}" ] || note_taken "$1"
}

# --- what the duty has put here ----------------------------------------------------

# KIND NAME: its line stands before the thing does.
own() {
	case $2 in *"$NL"*) die "a name with a newline" ;; esac
	! is_owned "$1" "$2" || return 0
	printf '%s %s\n' "$1" "$2" >>"$STATE/items" || die "cannot note $1 \"$2\": $(no_space "$STATE/items")"
	sync -- "$STATE/items" "$STATE" || die "cannot sync \"$STATE/items\""
}

is_owned() {
	[ -e "$STATE/items" ] || return 1
	while read -r owned_kind owned_name; do
		[ "$owned_kind $owned_name" != "$1 $2" ] || return 0
	done <"$STATE/items"
	return 1
}

disown() {
	[ -e "$STATE/items" ] || return 0
	while read -r owned_kind owned_name; do
		[ "$owned_kind $owned_name" = "$1 $2" ] || printf '%s %s\n' "$owned_kind" "$owned_name" ||
			die "cannot write \"$STATE/items\": $(no_space "$STATE/x")"
	done <"$STATE/items" >"$STATE/items.new"
	if ! sync -- "$STATE/items.new" || ! mv -f -- "$STATE/items.new" "$STATE/items" || ! sync -- "$STATE"; then
		die "cannot write \"$STATE/items\": $(no_space "$STATE/items")"
	fi
}

owned() { [ ! -e "$STATE/items" ] || cat -- "$STATE/items"; }

# Everything, the newest first.  Kinds of a part's own are removed by its function remove_item_KIND.
remove_owned() {
	[ -e "$STATE/items" ] || return 0
	tac -- "$STATE/items" >"$TMP/items"
	while read -r item_kind item_name <&3; do
		case $item_kind in
		path) remove_path "$item_name" ;;
		user) remove_user "$item_name" ;;
		unit) sup_remove "$item_name" ;;
		*) "remove_item_$item_kind" "$item_name" && disown "$item_kind" "$item_name" ;;
		esac
	done 3<"$TMP/items"
}

# --- users ------------------------------------------------------------------------

# NAME: the operating system has names of 32 bytes; what is longer ends in a digest of it.
user_of() {
	user_text=$PREFIX$1
	if [ ${#user_text} -gt 32 ]; then
		user_sum=$(printf '%s' "$user_text" | sha256sum)
		user_text=$(printf '%.23s-%.8s' "$user_text" "$user_sum")
	fi
	printf '%s\n' "$user_text"
}

# COMMAND...: the one lock of /etc/passwd may be another's for a moment.
with_passwd() {
	passwd_try=0
	until passwd_text=$("$@" 2>&1); do
		passwd_try=$((passwd_try + 1))
		case $passwd_text in *lock*) [ $passwd_try -lt 300 ] || die "$passwd_text" ;; *) die "$passwd_text" ;; esac
		sleep 0.1
	done
}

# USER HOME: nobody logs in as it.
ensure_user() {
	case $1 in "$PREFIX"[a-z0-9]*) ;; *) die "user \"$1\" is not ours to make" ;; esac
	if id -- "$1" >/dev/null 2>&1; then
		is_owned user "$1" || die "user \"$1\" is there already, and not of duty \"$DUTY\""
		return 0
	fi
	own user "$1"
	with_passwd useradd --system --user-group --no-create-home --home-dir "$2" \
		--shell /usr/sbin/nologin -- "$1"
}

# USER: only one that we made; what it still runs is ended.
remove_user() {
	is_owned user "$1" || die "user \"$1\" is not of duty \"$DUTY\""
	if id -- "$1" >/dev/null 2>&1; then
		kill_user "$1"
		with_passwd userdel -- "$1"
	fi
	disown user "$1"
}

# UID: does anything run that is its?  Who waits to be buried does not run.
uid_runs() {
	# shellcheck disable=SC2013  # words and lines are the same here
	for runs_at in $(grep -lsE "^Uid:	($1|[0-9]+	[0-9]+	$1)	" /proc/[0-9]*/status); do
		grep -qs '^State:	[ZX]' "$runs_at" || return 0
	done
	return 1
}

# USER: it is killed by itself, as the kernel then ends all of it at once: who forks all the time is not
# outrun by one who looks for processes and ends them one by one.
kill_user() {
	kill_uid=$(id -u -- "$1")
	[ "$kill_uid" -gt 0 ] || die "user \"$1\" is root"
	kill_try=0
	while uid_runs "$kill_uid"; do
		kill_try=$((kill_try + 1))
		[ $kill_try -le 100 ] || die "processes of user \"$1\" do not end"
		kill_all "$kill_uid" || :
		[ $kill_try -le 3 ] || sleep 0.1
	done
}

# UID: its own limit of processes, if it has reached it, does not keep us out.
kill_all() {
	# shellcheck disable=SC2016  # for another shell
	set -- setpriv --reuid="$1" --regid="$(id -g -- "$1")" --clear-groups sh -c '[ "$(id -u)" -gt 0 ] && kill -KILL -1'
	prlimit --nproc=unlimited:unlimited "$@" 2>/dev/null || "$@" 2>/dev/null
}

# SECONDS USER COMMAND...: with nothing of ours in its environment.  It is ended by root, as its own user may
# stop whatever runs as it: code 124 or 137 tells of that, 125 to 127 that it did not begin.
as_user() {
	as_seconds=$1 as_name=$2
	shift 2
	as_group=$(id -g -- "$as_name") || return 127
	timeout -k 1 "$as_seconds" setpriv --reuid="$as_name" --regid="$as_group" --init-groups --no-new-privs \
		env -i PATH="$PATH" LC_ALL=C HOME=/nonexistent "$@"
}

# --- the duty's lock, fence and results --------------------------------------------------

# COMMAND...: under the lock; 75 where it is not to be had.  What goes on after the verb must not inherit
# descriptor 9: it would keep the lock.
with_lock() {
	(
		flock -w "$LOCK_SECONDS" 9 || exit 75
		"$@"
	) 9>>"$STATE/lock"
}

fence_seen() {
	FENCE_SEEN=0
	[ ! -e "$STATE/fence" ] || read -r FENCE_SEEN <"$STATE/fence" || :
	is_number "$FENCE_SEEN" || FENCE_SEEN=0
}

# FENCE: 1 if a newer holder was here, 2 if it cannot be written.
fence_raise() {
	fence_seen
	[ "$1" -ge "$FENCE_SEEN" ] || return 1
	[ "$1" -gt "$FENCE_SEEN" ] || return 0
	if fence_write "$1" 2>/dev/null; then
		[ -s "$STATE/spare" ] || head -c "$SPARE_BYTES" /dev/zero 2>/dev/null >"$STATE/spare" || :
	else
		rm -f -- "$STATE/spare"
		fence_write "$1" 2>/dev/null || return 2
	fi
}

fence_write() {
	say "$1" >"$STATE/fence.new" && sync -- "$STATE/fence.new" &&
		mv -f -- "$STATE/fence.new" "$STATE/fence" && sync -- "$STATE"
}

# KEY.VERB: sets STORED_CODE, STORED_TOTAL, STORED_DIGEST, STORED_ERR; the file ends in a dot if it is whole.
step_stored() {
	[ -e "$STATE/steps/$1.rc" ] || return 1
	{
		read -r STORED_CODE STORED_TOTAL STORED_DIGEST
		read -r STORED_ERR
		read -r stored_end
	} <"$STATE/steps/$1.rc" || :
	[ "${stored_end:-}" = . ]
}

# KEY.VERB CODE: after it has run.  What it said is cut to OUT_MAX; the digest is of all.
step_store() {
	store_total=- store_digest=-
	if [ -s "$STATE/steps/$1.out" ]; then
		store_total=$(stat -c %s -- "$STATE/steps/$1.out")
		if [ "$store_total" -gt $OUT_MAX ]; then
			store_digest=$(sha_of "$STATE/steps/$1.out")
			truncate -s $OUT_MAX -- "$STATE/steps/$1.out"
		else
			store_total=-
		fi
	fi
	err_line "$STATE/steps/$1.err"
	printf '%s %s %s\n%s\n.\n' "$2" "$store_total" "$store_digest" "$ERR" >"$STATE/steps/$1.rc" || return 1
	sync -- "$STATE/steps/$1.out" "$STATE/steps/$1.rc" "$STATE/steps" || return 1
	step_prune
}

# The oldest results go when there are twice as many as are kept.
step_prune() {
	set -- "$STATE"/steps/*.rc
	[ $# -gt $((KEEP_STEPS * 2)) ] || return 0
	prune_n=0
	# shellcheck disable=SC2012  # names are ours: hexadecimal digits, dots and verbs
	ls -t -- "$STATE/steps" | while read -r prune_name; do
		case $prune_name in *.rc | *.undone) prune_n=$((prune_n + 1)) ;; *) continue ;; esac
		[ $prune_n -gt $KEEP_STEPS ] || continue
		prune_name=$STATE/steps/${prune_name%.*}
		rm -f -- "$prune_name.rc" "$prune_name.out" "$prune_name.err" "$prune_name.undone"
	done
}

# FILE: its lines as one, in ERR; read without a new process.
err_line() {
	ERR='' err_n=0
	[ -s "$1" ] || return 0
	while read -r err_text || [ -n "$err_text" ]; do
		err_n=$((err_n + 1))
		[ $err_n -le 20 ] || break
		ERR=${ERR:+$ERR; }$err_text
	done <"$1"
	[ ${#ERR} -le 2000 ] || ERR=$(printf '%.2000s' "$ERR")
}
