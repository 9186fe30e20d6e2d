# shellcheck shell=sh
# prepare.sh - makes a machine ready for copyhold: run by its root, again and again if need be.
# Above it stand: root user prefix supervise digest fence sudoers, and install_helper, which writes the helper.
# shellcheck disable=SC2154
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 022
say() { printf '%s\n' "$1" >&2; }
die() { say "$1" && exit 1; }

[ "$(id -u)" = 0 ] || die "only root can do this"
id -- "$user" >/dev/null 2>&1 || die "there is no user \"$user\""

mkdir -p -- "$root/bin" "$root/incoming" "$root/state/host"
chmod 755 -- "$root" "$root/bin"
chmod 700 -- "$root/state" "$root/state/host"
chown -- "$user:" "$root/incoming"
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

new=$root/bin/copyhold-host.new
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

if [ -n "$sudoers" ]; then
	file=/etc/sudoers.d/copyhold-${prefix%-}
	printf '%s\n' "$sudoers" >"$root/bin/sudoers.new"
	visudo -cq -f "$root/bin/sudoers.new" || die "visudo refuses the lines for sudoers"
	install -m 440 -o root -- "$root/bin/sudoers.new" "$file.new~"
	mv -f -- "$file.new~" "$file"
	rm -f -- "$root/bin/sudoers.new"
fi
say "ready: $root/bin/copyhold-host"
exit 0
