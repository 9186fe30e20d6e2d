#!/bin/bash
#
# machine.sh FOLDER systemd|runit LAYERS REPO - runs a machine of machine.bash until its process 1 ends.
set -euo pipefail
at=$1 kind=$2 layers=$3 repo=$4
PATH=$PATH:/usr/sbin:/sbin

# What systemd keeps in order there is a part of ours, and its own.
# shellcheck disable=SC2015
join_group() {
	mkdir -p "$1" && echo $$ >"$1/cgroup.procs" || true
}

if [ "${5-}" != inside ]; then
	name=copyhold-test-$(basename "$(dirname "$at")")-$(basename "$at")
	if [ "$kind" = systemd ]; then
		for groups in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
			[ ! -w "$groups/cgroup.procs" ] || join_group "$groups/$name"
		done
	fi
	unshare -m -p -i -u -C --fork --kill-child bash "$0" "$at" "$kind" "$layers" "$repo" inside &
	wait $! || true
	for groups in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
		[ ! -d "$groups/$name" ] || {
			echo $$ >"$groups/cgroup.procs"
			find "$groups/$name" -depth -type d -exec rmdir {} + 2>/dev/null || true
		}
	done
	exit 0
fi

root=$at/disk/root
mount --make-rprivate /
mount -t overlay -o "$layers" overlay "$root"

mount_own() {
	local device
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount -t tmpfs -o mode=0755 tmpfs "$root/run"
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
	for device in null zero full random urandom tty; do cp -a "/dev/$device" "$root/dev/"; done
	mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/sshd" "$root/run/lock"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	mount -t tmpfs tmpfs "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s /proc/self/fd/0 "$root/dev/stdin"
	ln -s /proc/self/fd/1 "$root/dev/stdout"
	ln -s /proc/self/fd/2 "$root/dev/stderr"
}

# Seen at the same place there as here.
share() {
	mkdir -p "$root$1"
	mount --bind "$1" "$root$1"
}

mount_groups() {
	if [ -d /sys/fs/cgroup/systemd ]; then
		mount -t tmpfs -o mode=0755 tmpfs "$root/sys/fs/cgroup"
		mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
		mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
		mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
	else
		mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	fi
}

# The command that starts its sshd.
sshd_command() {
	printf '%s -D -f %s/config -E %s/log -p %s -o PidFile=none\n' "$(command -v sshd)" "$at" "$at" "$(cat "$at/port")"
}

# Users have numbers that none of this machine's have: who ends another's processes by them spares ours.
number_users() {
	local first=$((100000 + 0x$(tr -dc 0-9a-f <"$at/prefix") * 1000)) of
	for of in UID GID; do
		sed -i "/SYS_${of}_M/d" "$root/etc/login.defs"
		printf 'SYS_%s_MIN %s\nSYS_%s_MAX %s\n' $of $first $of $((first + 999)) >>"$root/etc/login.defs"
	done
}

# Names of users that come and go on this machine meanwhile are none of its.
own_users() {
	local file
	for file in passwd group shadow gshadow; do
		cp -p "$root/etc/$file" "$root/etc/$file.own"
		mv "$root/etc/$file.own" "$root/etc/$file"
		rm -f "$root/etc/$file.lock"
	done
}

# Nothing of this machine's own starts there.
first_start() {
	own_users
	number_users
	rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/default.target "$root"/etc/cron.d/*
	rm -f "$root/etc/fstab" "$root/usr/sbin/policy-rc.d"
	find "$root/etc/service/" -mindepth 1 -maxdepth 1 -exec rm -rf {} + 2>/dev/null || true
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	printf '[Service]\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' "$(sshd_command)" \
		>"$root/etc/systemd/system/test-sshd.service"
	ln -s ../test-sshd.service "$root/etc/systemd/system/multi-user.target.wants/"
	# Its name is that of many: what is asked for process 1 there says so.
	mkdir "$root/sbin/test"
	{
		printf '#!/bin/sh\n[ ! -d /etc/service ] || runsvdir -P /etc/service &\n[ ! -x /usr/sbin/cron ] || cron\n'
		printf '%s &\nwhile :; do sleep 1; done\n' "$(sshd_command)"
	} >"$root/sbin/test/init"
	chmod 755 "$root/sbin/test/init"
	chroot "$root" sh -c "$(cat "$at/first")" </dev/null
}

mount_own
share "$(dirname "$at")"
[ -e "$root$repo/Makefile" ] || share "$repo"
cp /etc/resolv.conf "$root/run/resolv.conf" && mount --bind "$root/run/resolv.conf" "$root/etc/resolv.conf"
[ -e "$at/started" ] || first_start
: >"$at/started"
: >"$at/up"
cd "$root"
if [ "$kind" = systemd ]; then
	mount_groups
	exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd --log-target=console
fi
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /sbin/test/init
