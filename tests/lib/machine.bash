# shellcheck shell=bash
# machine.bash - for bats files: a machine of its own that starts, stops and starts anew.
#
#   load ../lib/hosts
#   load ../lib/machine
#   machine_start NAME systemd|runit COMMAND [OPTION OF host_start]...
#						skips where no such machine can be had here
#   machine_do NAME COMMAND			by a shell there
#   machine_stop NAME				its power is cut
#   machine_again NAME				it starts as it was left
#
# What it sees is this machine's system under a layer of its own: whatever is written, installed or
# removed there stays there.  It has processes, names of users and a process 1 of its own: systemd, or an init
# that runs sshd and what runit has in /etc/service.  The network is this machine's.  hosts_remove ends it.

# NAME KIND COMMAND: COMMAND prepares the system before it starts for the first time.
machine_start() {
	local at=$HOSTS/$1
	machine_possible "$2"
	host_start "$1" --unprepared --supervise "$2" "${@:4}"
	host_stop "$1"
	machine_disk "$1"
	echo "$2" >"$at/kind"
	printf '%s\n' "$3" >"$at/first"
	machine_again "$1" || skip "a machine of its own does not start here"
	sed -i "s|^  root: .*|  root: /var/lib/copyhold|" "$HOSTS/manifests/$1.yaml"
}

machine_possible() {
	unshare -m -p -i -u -C --fork true 2>/dev/null || skip "no namespaces can be made here"
	[ "$1" != systemd ] || [ -x /lib/systemd/systemd ] || skip "there is no systemd here"
	[ "$1" != systemd ] || machine_groups || skip "systemd would have no control groups here"
}

# Where systemd's are, as they are mounted here: both ways, or the newer one alone.
machine_groups() { [ -w /sys/fs/cgroup/cgroup.procs ] || [ -w /sys/fs/cgroup/systemd/cgroup.procs ]; }

machine_disk() {
	mkdir "$HOSTS/$1/disk"
	mount -t tmpfs -o mode=0755 tmpfs "$HOSTS/$1/disk" 2>/dev/null || skip "no tmpfs can be mounted here"
	mkdir "$HOSTS/$1/disk/changed" "$HOSTS/$1/disk/work" "$HOSTS/$1/disk/root"
	unshare -m mount -t overlay -o "$(machine_layers "$HOSTS/$1/disk")" overlay "$HOSTS/$1/disk/root" 2>/dev/null ||
		skip "no layer over the file system can be made here"
}

machine_layers() { echo "lowerdir=/,upperdir=$1/changed,workdir=$1/work"; }

machine_again() {
	local at=$HOSTS/$1
	rm -f "$at/up"
	setsid bash "$REPO/tests/lib/machine.sh" "$at" "$(cat "$at/kind")" "$(machine_layers "$at/disk")" "$REPO" \
		</dev/null >>"$at/console" 2>&1 3>&- &
	echo $! >"$at/outer"
	for ((try = 0; try < 600; try++)); do
		if [ -e "$at/up" ] && machine_answers "$1"; then
			return
		fi
		[ -e "/proc/$(cat "$at/outer")" ] || break
		sleep 0.1
	done
	echo "the machine does not start:" >&2
	tail -n 40 "$at/console" >&2
	return 1
}

machine_answers() {
	ssh-keyscan -p "$(host_port "$1")" -T 2 127.0.0.1 2>/dev/null | grep -q . &&
		{ [ "$(cat "$HOSTS/$1/kind")" = runit ] || machine_do "$1" 'systemctl is-system-running' >/dev/null 2>&1 ||
			machine_do "$1" 'systemctl is-system-running' 2>/dev/null | grep -q degraded; }
}

# Its process 1, as it is numbered here.
machine_init() { pgrep -P "$(pgrep -P "$(cat "$HOSTS/$1/outer")" -x unshare)"; }

machine_do() {
	nsenter -t "$(machine_init "$1")" -m -p -i -u -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C sh -c "$2"
}

machine_stop() {
	local init outer
	init=$(machine_init "$1" || true)
	[ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
	outer=$(cat "$HOSTS/$1/outer")
	while [ -e "/proc/$outer" ] && ! grep -q '^State:	Z' "/proc/$outer/status" 2>/dev/null; do sleep 0.05; done
}

machine_remove() {
	[ -e "$HOSTS/$1/disk" ] || return 0
	[ ! -e "$HOSTS/$1/outer" ] || machine_stop "$1"
	umount "$HOSTS/$1/disk" 2>/dev/null || true
}
