# shellcheck shell=sh
# leave.sh - takes away what prepare.sh has put on a machine, unless somebody still has something there.
# Above it stand: root mark fence.
# shellcheck disable=SC2154,SC2015
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
die() { printf '%s\n' "$1" >&2 && exit 1; }

[ "$(id -u)" = 0 ] || die "only root can do this"
[ -d "$root/state/host" ] || exit 0
exec 9>>"$root/state/host/lock"
flock -w 60 9 || die "another is at work here"
seen=0
[ ! -e "$root/state/host/fence" ] || read -r seen <"$root/state/host/fence"
[ -z "$fence" ] || [ "$fence" -ge "$seen" ] || { echo "fenced $seen" && exit 76; }
for items in "$root"/state/cluster/*/items "$root"/state/tenant/*/items; do
	[ -s "$items" ] && [ ! -e "${items%items}handed-over" ] || continue
	duty=${items#"$root/state/"}
	echo "left as it is: duty \"${duty%/items}\" still has something there" && exit 0
done

# What was handed over goes on as it is, and so does what starts it; of ours nothing can reach it any more.
kept=''
for at in "$root"/clusters/* "$root"/tenants/* "$root"/service/*; do
	[ ! -e "$at" ] || kept=1
done

rm -f -- "/etc/sudoers.d/$mark"
rm -f -- "$root"/bin/copyhold-host*
rm -rf -- "$root/incoming"
if [ -n "$kept" ]; then
	rm -rf -- "${root:?}/state"
	rmdir -- "$root/bin" "$root/service" 2>/dev/null && rm -rf -- "$root/run"
	echo "what was handed over runs on below \"$root\""
	exit 0
fi

rm -f -- "/etc/cron.d/$mark"
for services in /etc/service /service /var/service; do
	[ -e "$services/$mark" ] || [ -e "$services/.$mark" ] || continue
	[ ! -e "$services/$mark" ] || mv -T -- "$services/$mark" "$services/.$mark"
	sv -w 10 force-shutdown "$services/.$mark" >/dev/null 2>&1 || :
	rm -rf -- "$services/.$mark"
done
if [ -s "$root/run/runsvdir.pid" ]; then
	read -r pid <"$root/run/runsvdir.pid"
	if [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "runsvdir -P $root/service"; then
		kill -HUP "$pid"
	fi
fi
rm -rf -- "${root:?}/bin" "$root/run" "$root/state"
rmdir -- "$root/tenants" "$root/clusters" "$root/service" "$root/log" "$root" 2>/dev/null || :
exit 0
