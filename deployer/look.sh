# shellcheck shell=sh
# look.sh - what a machine is, asked without any right of root and without our helper:
# ROOT MARK yes|no PACKAGE...; the third: we need sudo there.
# The controller writes `set -- ROOT...` before it.
# shellcheck disable=SC2015
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
root=$1 mark=$2 sudo=$3
shift 3
at=$root
while [ ! -d "$at" ] && [ -n "$at" ]; do at=${at%/*}; done
at=${at:-/}
tell() { printf '%s %s\n' "$1" "$2"; }
of_file() { sed -n "s/^$2[=:]//p" "$1" 2>/dev/null | head -n 1 | tr -d '"'; }

# FOLDER [above]: OWNER RIGHTS, where others than root can put something of theirs into it; above the root a
# sticky one is good enough.
open_folder() {
	[ -e "$1" ] || return 0
	[ ! -L "$1" ] || { echo "link -" && return; }
	case $(stat -c '%u %a' -- "$1") in
	"0 "*[2367]? | "0 "*[2367]) [ -n "${2-}" ] && [ -k "$1" ] || stat -c '%U %a' -- "$1" ;;
	"0 "*) ;;
	*) stat -c '%U %a' -- "$1" ;;
	esac
}

# From the top: OWNER RIGHTS FOLDER of the first that is open.
open_way() {
	way=/ way_rest=${root#/}/
	while :; do
		way_how=$(open_folder "$way" above)
		[ -z "$way_how" ] || { echo "$way_how $way" && return; }
		[ -n "$way_rest" ] || break
		way=${way%/}/${way_rest%%/*} way_rest=${way_rest#*/}
	done
	for way in "$root" "$root/bin" "$root/state" "$root/run"; do
		way_how=$(open_folder "$way")
		[ -z "$way_how" ] || { echo "$way_how $way" && return; }
	done
}

# Who starts what runit supervises below the root when the machine starts.
boot() {
	[ -e "$root/bin/copyhold-boot" ] || return
	for boot_at in /etc/service /service /var/service; do
		[ ! -e "$boot_at/$mark/run" ] || { echo runit && return; }
	done
	[ ! -e "/etc/cron.d/$mark" ] || { echo cron && return; }
	echo nobody
}

# The duties that sudo lets us start the helper for.
duties() {
	sudo -n -l 2>/dev/null | while read -r duties_line; do
		case $duties_line in *" NOPASSWD: $root/bin/copyhold-host serve "*) tell duty "${duties_line##* serve }" ;; esac
	done
}

tell os "$(of_file /etc/os-release PRETTY_NAME)"
tell apt "$(command -v apt-get)"
tell arch "$(uname -m)"
tell kernel "$(uname -r)"
tell hostname "$(uname -n)"
tell pid1 "$(cat /proc/1/comm 2>/dev/null)"
tell memory "$(of_file /proc/meminfo MemTotal | tr -dc 0-9)"
tell clock "$(date +%s%3N)"
tell disk "$(df -Pk -- "$at" 2>/dev/null | awk 'END { print $2, $3, $4 }')"
tell mount "$(findmnt -no OPTIONS -T "$at" 2>/dev/null)"
tell there "$(stat -c %F -- "$root" 2>/dev/null)"
tell open "$(open_way)"
tell boot "$(boot)"
tell uid "$(id -u)"
[ "$sudo" = no ] || duties
for package; do
	tell "package:$package" "$(dpkg-query -W -f '${db:Status-Status}' -- "$package" 2>/dev/null)"
done
exit 0
