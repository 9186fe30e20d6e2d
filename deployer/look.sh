# shellcheck shell=sh
# look.sh - what a machine is, asked without any right of root and without our helper: ROOT PACKAGE...
# The controller writes `set -- ROOT PACKAGE...` before it.
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
root=$1
shift
at=$root
while [ ! -d "$at" ] && [ -n "$at" ]; do at=${at%/*}; done
at=${at:-/}
tell() { printf '%s %s\n' "$1" "$2"; }
of_file() { sed -n "s/^$2[=:]//p" "$1" 2>/dev/null | head -n 1 | tr -d '"'; }
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
tell root "$(stat -c '%U %a' -- "$root" 2>/dev/null)"
tell uid "$(id -u)"
for package; do
	tell "package:$package" "$(dpkg-query -W -f '${db:Status-Status}' -- "$package" 2>/dev/null)"
done
exit 0
