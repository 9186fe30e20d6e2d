# shellcheck shell=sh
# leave.sh - takes away what prepare.sh has put on a machine, unless somebody still has something there.
# Above it stand: root prefix fence.
# shellcheck disable=SC2154
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
[ "$fence" -ge "$seen" ] || { echo "fenced $seen" && exit 76; }
for items in "$root"/state/cluster/*/items "$root"/state/tenant/*/items; do
	[ ! -s "$items" ] || { echo "left as it is: something of ours is still there" && exit 0; }
done
if [ -s "$root/run/runsvdir.pid" ]; then
	read -r pid <"$root/run/runsvdir.pid"
	if [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "runsvdir -P $root/service"; then
		kill -HUP "$pid"
	fi
fi
rm -f -- "/etc/sudoers.d/copyhold-${prefix%-}"
rm -rf -- "${root:?}/bin" "$root/incoming" "$root/run" "$root/state"
rmdir -- "$root/tenants" "$root/clusters" "$root/service" "$root/log" "$root" 2>/dev/null || :
exit 0
