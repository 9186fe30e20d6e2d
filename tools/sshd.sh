#!/bin/bash
#
# sshd.sh ACTION DIR NAME... - pretended hosts: sshds of their own on 127.0.0.1.
#
#   start DIR NAME [--config LINE]... [--host-key TYPE]...
#                         makes DIR/NAME and runs its sshd on a free port; what is there is kept, so a
#                         stopped one comes back on its port.  LINE is one of sshd_config and wins
#                         over ours; TYPE is ed25519, ecdsa or rsa (default: ed25519 and ecdsa)
#   many DIR PREFIX N [--config LINE]...
#                         start of PREFIX1 to PREFIXn
#   drop DIR NAME         cuts the sessions, at once; the sshd goes on, and so does what they ran
#   stop DIR NAME         ends the sshd, its sessions and what these ran, at once
#   remove DIR NAME       stop, and the folder goes
#   remove-all DIR        of every host in DIR, and the client's key
#   clear DIR NAME PREFIX what copyhold has running below its root, and the users whose names begin so
#   block DIR NAME        like a manifest: address, port, user, hostKey
#
# The files of DIR/NAME:
#   port, user, pid, log  of the sshd; it logs in as whoever started it
#   hostkey.pub           what to pin: type and key of the first TYPE; TYPE.pub of each
#   client, client.pub    the key that may log in (ed25519; links to DIR/client, one for all)
#   authorized_keys       who else may: add lines
#   root                  an empty folder, for what is put on this host
#   home                  another: HOME of the sessions, whose shell then reads no file of this machine's
set -euo pipefail

usage() {
	sed -n '3,/^set /s/^# \{0,1\}//p' "$0" >&2
	exit 64
}

[ $# -ge 2 ] || usage
action=$1
mkdir -p "$2"
dir=$(realpath "$2")
shift 2
PATH=$PATH:/usr/sbin:/sbin

# FILE TYPE
make_key() {
	[ -e "$1" ] || ssh-keygen -q -t "$2" -N '' -C copyhold-test -f "$1" </dev/null
}

# Hosts that are started side by side share this one.
make_client() {
	(
		flock 9
		make_key "$dir/client" ed25519
	) 9>"$dir/.client.lock"
	ln -sf ../client "$host/client"
	ln -sf ../client.pub "$host/client.pub"
	cat "$dir/client.pub" >"$host/authorized_keys"
}

make_host_keys() {
	local type
	for type in "${types[@]}"; do
		make_key "$host/host_$type" "$type"
		cut -d ' ' -f 1,2 "$host/host_$type.pub" >"$host/$type.pub"
	done
	cp "$host/${types[0]}.pub" "$host/hostkey.pub"
}

# Of two values sshd takes the first, so those of --config stand above ours.
make_config() {
	local type
	for type in ${lines[@]+"${lines[@]}"}; do
		printf '%s\n' "$type"
	done
	for type in "${types[@]}"; do
		printf 'HostKey %s/host_%s\n' "$host" "$type"
	done
	cat <<-END
		ListenAddress 127.0.0.1
		PidFile $host/pid
		AuthorizedKeysFile $host/authorized_keys
		StrictModes no
		UsePAM no
		UseDNS no
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		SetEnv HOME=$host/home
		PrintMotd no
		PrintLastLog no
		MaxSessions 50
		LogLevel VERBOSE
		Subsystem sftp $sftp
	END
}

sftp_server() {
	local path
	for path in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server; do
		[ ! -x "$path" ] || { echo "$path" && return; }
	done
	echo internal-sftp
}

pid_of() { cat "$host/pid" 2>/dev/null || true; }

running() {
	local pid
	pid=$(pid_of)
	[ -n "$pid" ] && [ -e "/proc/$pid" ] && grep -qa "$host/config" "/proc/$pid/cmdline"
}

# PORT: true once the sshd there listens.  One that cannot have the port ends, and says so in its log.
try_port() {
	local child
	rm -f "$host/pid"
	: >>"$host/log"
	setsid "$(command -v sshd)" -D -f "$host/config" -E "$host/log" -p "$1" \
		</dev/null >/dev/null 2>&1 9>&- &
	child=$!
	until [ -s "$host/pid" ]; do
		[ -e "/proc/$child" ] || return 1
		sleep 0.01
	done
	echo "$1" >"$host/port"
}

start_sshd() {
	local port try
	if [ -s "$host/port" ] && try_port "$(cat "$host/port")"; then
		return
	fi
	for try in {1..50}; do
		port=$((20000 + (RANDOM * 7 + RANDOM) % 12000))
		! try_port "$port" || return 0
		grep -q 'already in use' "$host/log" || break
	done
	echo "the sshd of $host does not start (try $try):" >&2
	cat "$host/log" >&2
	return 1
}

start() {
	local -a lines=() types=()
	while [ $# -gt 0 ]; do
		case $1 in
		--config) lines+=("${2?}") ;;
		--host-key) types+=("${2?}") ;;
		*) usage ;;
		esac
		shift 2
	done
	! running || return 0
	if [ ! -e "$host/config" ]; then
		[ ${#types[@]} -gt 0 ] || types=(ed25519 ecdsa)
		mkdir -p "$host/root" "$host/home"
		id -un >"$host/user"
		make_client
		make_host_keys
		sftp=$(sftp_server)
		make_config >"$host/config"
	fi
	[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
	start_sshd
}

# PID [COMMAND]: what descends from it, children before parents; of that name only.  Sessions are
# children of the sshd (privilege separation: grandchildren), what they run are children of these.
descendants() {
	local child
	for child in $(pgrep -P "$1" || true); do
		descendants "$child" "${@:2}"
		[ $# -lt 2 ] || [ "$(cat "/proc/$child/comm" 2>/dev/null)" = "$2" ] || continue
		echo "$child"
	done
}

end_pids() {
	local pid
	for pid; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	for pid; do
		while [ -e "/proc/$pid" ] && ! grep -q '^State:	[ZX]' "/proc/$pid/status" 2>/dev/null; do
			sleep 0.01
		done
	done
}

drop() {
	local -a pids
	running || return 0
	mapfile -t pids < <(descendants "$(pid_of)" sshd)
	end_pids ${pids[@]+"${pids[@]}"}
}

stop() {
	local -a pids
	running || return 0
	mapfile -t pids < <(pid_of && descendants "$(pid_of)")
	end_pids "${pids[@]}"
	rm -f "$host/pid"
}

# PID: it and all that descends from it; stopped first, so that nothing is started anew meanwhile.
end_tree() {
	local child
	kill -STOP "$1" 2>/dev/null || true
	for child in $(pgrep -P "$1" || true); do end_tree "$child"; done
	kill -KILL "$1" 2>/dev/null || true
}

# The helper's own, which may be at work for a moment after whoever asked is gone.
end_helpers() {
	local -a pids
	while mapfile -t pids < <(pgrep -f "^[^ ]*sh $host/root/bin/copyhold-host ") && [ ${#pids[@]} -gt 0 ]; do
		end_pids "${pids[@]}"
	done
}

end_user() {
	local pid
	for pid in $(pgrep -U "$1" || true); do kill -KILL "$pid" 2>/dev/null || true; done
}

# A number in a file may be another's by now.
clear_host() {
	local user pid prefix=${1:?}
	end_helpers
	pid=$(cat "$host/root/run/runsvdir.pid" 2>/dev/null || true)
	if [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "runsvdir -P $host/root/service "; then
		end_tree "$pid"
	fi
	# they name the helper, wherever below the host's folder a test has its root
	{ grep -lsF -- " $host/" /etc/sudoers.d/copyhold-* /etc/cron.d/copyhold-* || true; } | xargs -r rm -f --
	for user in $(getent passwd | cut -d : -f 1 | grep "^$prefix" || true); do
		end_user "$user"
		until userdel "$user" 2>/dev/null || ! getent passwd "$user" >/dev/null; do
			sleep 0.1
			end_user "$user"
		done
	done
}

block() {
	printf 'address: 127.0.0.1\nport: %s\nuser: %s\nhostKey: "%s"\n' \
		"$(cat "$host/port")" "$(cat "$host/user")" "$(cat "$host/hostkey.pub")"
}

if [ "$action" = remove-all ]; then
	for host in "$dir"/*/; do
		host=${host%/}
		[ ! -e "$host/config" ] || { stop && rm -rf -- "$host"; }
	done
	rm -f "$dir/client" "$dir/client.pub" "$dir/.client.lock"
	exit
fi
[ $# -ge 1 ] || usage
host=$dir/$1
case $action in
start)
	mkdir -p "$host"
	start "${@:2}"
	;;
many)
	prefix=$1 n=$2
	for ((i = 1; i <= n; i++)); do
		host=$dir/$prefix$i
		mkdir -p "$host"
		start "${@:3}"
	done
	;;
drop) drop ;;
stop) stop ;;
remove)
	stop
	rm -rf -- "$host"
	;;
block) block ;;
clear) clear_host "${2-}" ;;
*) usage ;;
esac
