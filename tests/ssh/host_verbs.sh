# shellcheck shell=sh
# host_verbs.sh - verbs that only the helper of test_host.c has: they count what they do.
# shellcheck disable=SC2154,SC2034  # of the other parts
duty_verbs_host="$duty_verbs_host look-words look-bytes look-die look-noise t-nothing t-count t-die t-bytes t-body t-wait t-cut t-uncut t-take"
duty_verbs_host="$duty_verbs_host t-note t-unnote t-hold"
duty_verbs_tenant="$duty_verbs_tenant t-path t-user t-unit look-unit t-leave"

verb_look_words() {
	for word; do printf '%s|' "$word"; done
}

# N
verb_look_bytes() { head -c "$1" /dev/zero | tr '\0' x; }

verb_look_die() {
	printf 'half a line'
	echo 'a warning' >&2
	die "it is not there: \"$1\""
}

verb_look_noise() { head -c 300000000 /dev/zero; }

verb_t_nothing() { :; }

verb_t_count() {
	echo once >>"$STATE/count"
	wc -l <"$STATE/count"
}

verb_t_die() {
	echo once >>"$STATE/died"
	die "that cannot be done"
}

verb_t_bytes() { verb_look_bytes "$1"; }

verb_t_body() {
	sha_of "$BODY"
	put_file "$ROOT/body" root 0600 <"$BODY"
}

# Until somebody lets it go on.
verb_t_wait() {
	: >"$STATE/begun"
	until [ -e "$STATE/go" ]; do sleep 0.02; done
	verb_t_count
}

# FILE: nobody logs in any more.
verb_t_cut() { mv -- "$1" "$1.away"; }
verb_t_uncut() { mv -- "$1.away" "$1"; }

# FILE: its undo may be hindered, and may be run twice.
verb_t_note() { echo noted >"$1"; }

verb_t_unnote() {
	echo tried >>"$1.tries"
	[ ! -e "$1.stuck" ] || die "it is stuck"
	rm -f -- "$1"
}

# Where its body is, and what kind of a file system that is; until somebody lets it go on.
verb_t_hold() {
	printf '%s\n' "$BODY" "$(stat -f -c %T -- "$BODY")" >"$STATE/body.new"
	mv -- "$STATE/body.new" "$STATE/body"
	until [ -e "$STATE/go" ]; do sleep 0.02; done
}

# DIGEST
verb_t_take() {
	take_incoming "$1" "$TMP/taken"
	cat "$TMP/taken"
}

verb_t_path() {
	case $1 in
	dir) ensure_dir "$2" root 0700 ;;
	file) echo "$3" | put_file "$2" root 0600 ;;
	remove) remove_path "$2" ;;
	esac
}

verb_t_user() { ensure_user "$(user_of "$1")" /nonexistent; }

# A service that writes what it got.
verb_t_unit() {
	test_user=$(user_of "$DUTY_NAME")
	ensure_user "$test_user" "$DUTY_HOME"
	ensure_dir "$DUTY_HOME" "root:$test_user" 0750
	printf 'WORD=%s\n' "'it is
here'" | put_file "$DUTY_HOME/env" "$test_user" 0400
	# shellcheck disable=SC2016  # for the shell that will run it
	printf '#!/bin/sh\nprintf "%%s\\n" "$WORD" "$(id -un)"\nexec sleep 3600\n' | put_file "$DUTY_HOME/run" root 0755
	sup_define "$(unit_of "$1")" "$test_user" "$DUTY_HOME" "$DUTY_HOME/env" 2 "$DUTY_HOME/run"
	[ "$2" != start ] || sup_start "$(unit_of "$1")"
	[ "$2" != stop ] || sup_stop "$(unit_of "$1")" 2
}

verb_look_unit() {
	case ${2:-state} in
	state) sup_state "$(unit_of "$1")" ;;
	logs) sup_logs "$(unit_of "$1")" 10 ;;
	esac
}

verb_t_leave() { remove_owned; }
