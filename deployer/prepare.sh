# shellcheck shell=sh
# prepare.sh - makes a machine ready for copyhold: run by its root, again and again if need be.
# Above it stand: root mark user prefix supervise digest fence sudoers, and install_helper, which writes the
# helper.
# shellcheck disable=SC2154
# shellcheck disable=SC2015  # what is after || ends it, also where the middle failed
# shellcheck disable=SC3013  # every sh of a distribution has -ef
# shellcheck disable=SC2016  # text for another shell
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 022
say() { printf '%s\n' "$1" >&2; }
die() { say "$1" && exit 1; }
unsafe() { say "$1" && exit 77; }

[ "$(id -u)" = 0 ] || die "only root can do this"
id -- "$user" >/dev/null 2>&1 || die "there is no user \"$user\""

# --- nobody else can put a helper of his own in the place of ours ----------------------------

# FOLDER: root's, and no other's to write in.
guarded() {
	[ ! -L "$1" ] || unsafe "\"$1\" is a link; it leads to \"$(readlink -m -- "$1")\""
	[ -d "$1" ] || unsafe "\"$1\" is no folder"
	[ "$(stat -c %u -- "$1")" = 0 ] || unsafe "\"$1\" belongs to \"$(stat -c %U -- "$1")\", not to root"
	case $(stat -c %a -- "$1") in
	*[2367]? | *[2367]) [ -n "${2-}" ] && [ -k "$1" ] || unsafe "others than root can write in \"$1\"" ;;
	esac
}

# FOLDER: each from / on; one that is not there is made.  Of a folder above, such as /tmp, it is enough that
# nobody can move in it what is root's.
way_to() {
	[ -z "$1" ] || way_to "${1%/*}"
	[ -e "${1:-/}" ] || [ -L "$1" ] || mkdir -- "$1"
	guarded "${1:-/}" above
}

way_to "$root"
guarded "$root"
for at in bin state state/host run tenants clusters service log; do
	[ ! -e "$root/$at" ] && [ ! -L "$root/$at" ] || guarded "$root/$at"
done
at=$(find "$root/bin" "$root/state/host" ! -uid 0 -print -quit 2>/dev/null) || :
[ -z "$at" ] || unsafe "\"$at\" belongs to \"$(stat -c %U -- "$at")\", not to root"
[ ! -L "$root/incoming" ] || unsafe "\"$root/incoming\" is a link"

mkdir -p -- "$root/bin" "$root/incoming" "$root/state/host"
chmod 755 -- "$root" "$root/bin"
chmod 700 -- "$root/state" "$root/state/host"
chown -h -- "$user:" "$root/incoming"
chmod 700 -- "$root/incoming"

# The lock and the fence are those of duty host.
exec 9>>"$root/state/host/lock"
flock -w 60 9 || die "another is at work here"
if [ -n "$fence" ]; then
	seen=0
	[ ! -e "$root/state/host/fence" ] || read -r seen <"$root/state/host/fence"
	[ "$fence" -ge "$seen" ] || { echo "fenced $seen" && exit 76; }
	echo "$fence" >"$root/state/host/fence.new"
	sync -- "$root/state/host/fence.new"
	mv -f -- "$root/state/host/fence.new" "$root/state/host/fence"
fi

# --- the helper ----------------------------------------------------------------------------

new=$root/bin/copyhold-host.new
rm -f -- "$new"
install_helper >"$new"
sum=$(sha256sum -- "$new")
[ "${sum%% *}" = "$digest" ] || die "the helper has arrived damaged, or the disk is full"
chown root: "$new"
chmod 755 -- "$new"
printf 'prefix %s\nsupervise %s\n' "$prefix" "$supervise" >"$root/bin/copyhold-host.conf.new"
chmod 644 -- "$root/bin/copyhold-host.conf.new"
sync -- "$new" "$root/bin/copyhold-host.conf.new"
mv -f -- "$root/bin/copyhold-host.conf.new" "$root/bin/copyhold-host.conf"
mv -f -- "$new" "$root/bin/copyhold-host"
sync -- "$root/bin"

# --- what runs under runit runs after a restart of the machine, too ----------------------------

# What ROOT/service is looked after by: started with the machine, it takes the place that the helper's own has
# otherwise, and does so under the helper's lock.
boot_text() {
	cat <<-'END'
		#!/bin/sh
		# copyhold-boot - runs the program of its words, `runsvdir -P ROOT/service`; see docs/hosts.md.
		PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
		export PATH LC_ALL
		umask 077
		run=${0%/bin/*}/run
		mkdir -p -- "$run" || exit
		exec 8>>"$run/runsvdir.lock"

		running() {
			read -r pid <"$run/runsvdir.pid" && [ "$pid" != $$ ] || return 1
			tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$1"
		}

		flock 8
		while running "$*" 2>/dev/null; do
			flock -u 8
			sleep 2
			flock 8
		done
		echo $$ >"$run/runsvdir.pid"
		exec env -i PATH="$PATH" LC_ALL=C "$@" 8>&-
	END
}

# The folder of services of the machine's own runit, if that runs.
machine_services() {
	for pid in /proc/[0-9]*; do
		read -r name <"$pid/comm" && [ "$name" = runsvdir ] || continue
		[ "$pid/root" -ef / ] && [ "$pid/ns/mnt" -ef /proc/self/ns/mnt ] || continue
		words=" $(tr '\0' ' ' <"$pid/cmdline") " || continue
		for services in /etc/service /service /var/service; do
			case $words in *" $services "*) echo $services && return ;; esac
		done
	done 2>/dev/null
}

# FILE MODE <TEXT
put() {
	cat >"$1.new"
	chmod "$2" -- "$1.new"
	sync -- "$1.new"
	mv -f -- "$1.new" "$1"
}

# By the machine's runit, or by cron; what neither can do is for `host check` to tell.
boot_set() {
	boot_text | put "$root/bin/copyhold-boot" 755
	services=$(machine_services) || :
	if [ -n "$services" ]; then
		rm -f -- "/etc/cron.d/$mark"
		[ ! -e "$services/$mark" ] || return 0
		rm -rf -- "$services/.$mark"
		mkdir -p -- "$services/.$mark/control"
		printf '#!/bin/sh\nexec %s runsvdir -P %s\n' "$root/bin/copyhold-boot" "$root/service" |
			put "$services/.$mark/run" 755
		# On this signal runsvdir ends what it runs, too.
		printf '#!/bin/sh\nread -r pid <supervise/pid && kill -HUP "$pid"\n' |
			put "$services/.$mark/control/t" 755
		mkdir -p -- "$root/service"
		mv -T -- "$services/.$mark" "$services/$mark"
	elif [ -x /usr/sbin/cron ] && [ -d /etc/cron.d ]; then
		printf '# %s\n@reboot root setsid %s runsvdir -P %s </dev/null >/dev/null 2>&1 &\n' \
			"Services below $root, with the machine's start; by copyhold." \
			"$root/bin/copyhold-boot" "$root/service" | put "/etc/cron.d/$mark" 644
	fi
}

[ "$supervise" != runit ] || boot_set

# --- our user's rights -------------------------------------------------------------------------

# sudo does not read files whose names have a dot.
if [ -n "$sudoers" ]; then
	command -v visudo >/dev/null || die "sudo is missing: apt-get install -y sudo"
	new=$(mktemp "/etc/sudoers.d/.$mark.XXXXXX")
	trap 'rm -f -- "$new"' EXIT
	printf '# What %s needs below %s, by copyhold.\n%s\n' "$user" "$root" "$sudoers" >"$new"
	visudo -cq -f "$new" || die "visudo refuses the lines for sudoers"
	chmod 440 -- "$new"
	sync -- "$new"
	mv -f -- "$new" "/etc/sudoers.d/$mark"
fi
say "ready: $root/bin/copyhold-host"
exit 0
