# shellcheck shell=sh
# look.sh - verbs of duty tenant/NAME that only look: what of a release stands here, how healthy it is, what it
# said, and who else on the machine could reach it.
# shellcheck disable=SC2154,SC2034  # the parts are one text: what one sets, another reads
# shellcheck disable=SC2016  # text for another shell or for perl
# shellcheck disable=SC2015  # what is after || ends it, also where the middle failed

duty_verbs_tenant="$duty_verbs_tenant look-release look-health look-drain look-needs look-log look-isolation"

# --- what stands here ------------------------------------------------------------------------------

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

# A state of its own has the instance whose port another user has taken: the front asks that one.
look_service() {
	listening
	look_uid=$(id -u -- "$(user_of "$DUTY_NAME")" 2>/dev/null) || look_uid=none
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
			look_i=$((look_i + 1)) look_state=lost
			[ "$SLOT_PORT" != 0 ] && port_lost "$look_port" "$look_uid" ||
				look_state=$(sup_state "$(unit_of "$look_name.$look_slot.$look_i")")
			say "instance $look_name $look_i $look_port $look_state"
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
	look_state=$(sup_state "$front_unit")
	listening
	look_uid=$(id -u -- "$(user_of "$DUTY_NAME")" 2>/dev/null) || look_uid=none
	for look_port in $(front_ports "$DUTY_HOME/front/haproxy.cfg"); do
		! front_lost "$look_port" "$look_uid" || look_state=lost
	done
	say "front $look_how $look_state"
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

# --- health -----------------------------------------------------------------------------------------

# PORT-OR-SOCKET PATH: the status of one GET, or why there is none; as the tenant's user, so that an answer meant to
# do harm does it there.
http_status() {
	as_user 10 "$svc_user" perl -MIO::Socket::INET -MIO::Socket::UNIX -e '
		my ($port, $path) = @ARGV;
		$SIG{ALRM} = sub { print "gave no answer in 5 s"; exit };
		alarm 5;
		my $s = $port =~ m{^/} ? IO::Socket::UNIX->new(Peer => $port)
			: IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port);
		$s or do { print "does not listen"; exit };
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
	as_user 10 "$svc_user" "$command_with" "$@" >/dev/null 2>&1 </dev/null || command_code=$?
	case $command_code in
	0) printf ok ;;
	124 | 137) printf 'command gave no answer in 10 s' ;;
	*) printf 'command ended with %s' "$command_code" ;;
	esac
}

# N PORT KIND WORD...: whose answer it is, is asked after it came.
health_of() {
	health_n=$1 health_port=$2 health_to=$2 health_kind=$3
	shift 3
	[ "$SLOT_LISTEN" = port ] || health_to=$SOCKET_AT$health_n
	health_state=$(sup_state "$(unit_of "$health_slot.$health_n")") health_pid=0 health_text='does not run'
	case $health_state in
	running*)
		health_pid=${health_state#running } health_pid=${health_pid%% *}
		case $health_kind in
		http) health_text=$(http_status "$health_to" "$1") ;;
		command) health_text=$(command_status "$health_n" "$@") ;;
		*) health_text=ok ;;
		esac
		;;
	esac
	listening
	if [ "$health_kind$SLOT_PORT" != none0 ] && port_lost "$health_port" "$health_uid"; then
		health_pid=0 health_text="has lost its port $health_port to user \"$(uid_name "$OTHER_UID")\""
	fi
	printf '%s %s %s\n' "$health_n" "$health_pid" "$health_text"
}

# SERVICE next|live http PATH | command WORD... | none: a line an instance: its number, pid and how it is.
verb_look_health() {
	svc_begin
	svc_name_ok "$1"
	slot_of "$1" "$2"
	[ -n "$SLOT" ] || die "service \"$1\" does not run"
	health_slot=$1.$SLOT health_uid=$(id -u -- "$svc_user")
	slot_read "$health_slot" || die "service \"$1\" does not run"
	[ "$SLOT_LISTEN" = port ] || socket_of "$health_slot"
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

# --- who else could reach it ------------------------------------------------------------------------

# USER WHAT COMMAND...: it must not succeed.  What could not be tried is not refused.
attempt() {
	attempt_user=$1 attempt_what=$2 attempt_code=0
	shift 2
	[ -z "$attempt_over" ] || return 0
	as_user 10 "$attempt_user" "$@" >/dev/null 2>&1 </dev/null || attempt_code=$?
	case $attempt_code in
	0) attempt_word=got ;;
	124 | 125 | 126 | 127 | 137) attempt_word=untried ;;
	*) attempt_word=refused ;;
	esac
	case $attempt_code in 124 | 137) attempt_over=1 ;; esac
	say "$attempt_word $attempt_user $attempt_what"
}

# PATH USER WHAT COMMAND...: if there is something to be reached.
attempt_at() {
	[ -e "$1" ] || return 0
	shift
	attempt "$@"
}

# USER: can anything be tried as it?  If not even this is done, no refusal proves anything.
attempt_begins() {
	attempt_over=''
	as_user 10 "$1" cat /etc/passwd >/dev/null 2>&1 </dev/null && return
	say "untried $1 anything"
	return 1
}

# USER: tries to reach what is this tenant's alone.
attempts_as() {
	attempt_begins "$1" || return 0
	attempt_at "$DUTY_HOME/releases" "$1" "list the releases" ls "$DUTY_HOME/releases"
	attempt_at "$DUTY_HOME/current/" "$1" "read the program" ls "$DUTY_HOME/current/"
	attempt_socket "$DUTY_HOME/front/run/admin.sock" "$1" "connect to the front's control socket"
	for attempt_live in "$STATE"/services/*/live; do
		[ -e "$attempt_live" ] || continue
		read -r attempt_slot <"$attempt_live"
		attempt_name=${attempt_live%/live}
		attempt_name=${attempt_name##*/}
		attempt_files=$DUTY_HOME/slots/$attempt_name.$attempt_slot
		attempt_at "$attempt_files/env" "$1" "read the environment file of $attempt_name" cat "$attempt_files/env"
		attempt_at "$attempt_files/pass" "$1" "read the passfile of $attempt_name" cat "$attempt_files/pass"
		attempt_instances "$1"
		each_instance "$attempt_name" "$attempt_slot" attempt_process "$1"
	done
}

# SOCKET USER WHAT: 3 is refused; any other failure is none of its rights.
attempt_socket() {
	attempt_at "$1" "$2" "$3" perl -MIO::Socket::UNIX -e '
		exit 0 if IO::Socket::UNIX->new(Peer => $ARGV[0]);
		exit($!{EACCES} ? 3 : 127)' -- "$1"
}

# USER: past the front.
attempt_instances() {
	slot_read "$attempt_name.$attempt_slot" && [ "$SLOT_LISTEN" = socket ] || return 0
	socket_of "$attempt_name.$attempt_slot"
	for attempt_sock in "$SOCKET_AT"*; do
		attempt_socket "$attempt_sock" "$1" "connect to an instance of $attempt_name"
	done
}

# USER UNIT
attempt_process() {
	process_state=$(sup_state "$2")
	case $process_state in running*) ;; *) return 0 ;; esac
	process_pid=${process_state#running } process_pid=${process_pid%% *}
	process_said=$(
		attempt "$1" "read the environment of a process of $attempt_name" cat "/proc/$process_pid/environ"
		attempt "$1" "read the files of a process of $attempt_name" ls "/proc/$process_pid/fd/"
		attempt "$1" "end a process of $attempt_name" sh -c 'kill -0 "$1"' sh "$process_pid"
	)
	[ -n "$process_said" ] || return 0
	[ -e "/proc/$process_pid" ] || process_said="untried $1 reach a process of $attempt_name"
	case $process_said in untried* | *"${NL}untried"*) attempt_over=1 ;; esac
	say "$process_said"
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
