# shellcheck shell=sh
# machine.sh - duty host: the machine as such.
# shellcheck disable=SC2154,SC2034  # the parts are one text: what one sets, another reads

duty_verbs_host="$duty_verbs_host look-duties packages-install"

# Each duty that was ever acted for, with its fence and what it owns.
verb_look_duties() {
	for duties_at in "$ROOT"/state/host "$ROOT"/state/cluster/* "$ROOT"/state/tenant/*; do
		[ -d "$duties_at" ] || continue
		duties_fence=0
		[ ! -e "$duties_at/fence" ] || read -r duties_fence <"$duties_at/fence" || :
		say "duty ${duties_at#"$ROOT"/state/} $duties_fence"
		work_of "$duties_at"
		[ ! -e "$duties_at/items" ] || cat -- "$duties_at/items"
	done
}

# PACKAGE...: what is there already stays as it is; packages are never removed.  What Debian starts with a new
# one is not wanted: a cluster "main" of PostgreSQL's, HAProxy's own service.
verb_packages_install() {
	for package; do
		case $package in *[!a-z0-9.+-]* | [!a-z0-9]*) die "\"$package\" is no package's name" ;; esac
	done
	command -v apt-get >/dev/null || die "this machine has no apt-get: install there $*"
	export DEBIAN_FRONTEND=noninteractive
	trap packages_loud EXIT
	case " $* " in *" postgresql-"*) packages_quiet ;; esac
	packages_proxy=''
	! has_package haproxy || packages_proxy=stays
	apt_get install -y --no-install-recommends -- "$@"
	if [ -z "$packages_proxy" ] && has_package haproxy; then service_off haproxy; fi
}

has_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' -- "$1" 2>/dev/null)" = installed ]; }

# The file belongs to postgresql-common, which brings its own when it is new.
PACKAGES_CONF=/etc/postgresql-common/createcluster.conf
PACKAGES_LINE='create_main_cluster = false # copyhold, while it installs'

packages_quiet() {
	apt_get install -y --no-install-recommends -- postgresql-common
	grep -qsxF -- "$PACKAGES_LINE" "$PACKAGES_CONF" || say "$PACKAGES_LINE" >>"$PACKAGES_CONF" ||
		die "cannot write \"$PACKAGES_CONF\": $(no_space "$PACKAGES_CONF")"
}

packages_loud() {
	! grep -qsxF -- "$PACKAGES_LINE" "$PACKAGES_CONF" || sed -i "/^$PACKAGES_LINE\$/d" "$PACKAGES_CONF"
}

# NAME: one that came with its package and that nobody asked for.
service_off() {
	if [ -d /run/systemd/system ]; then
		systemctl disable --now --quiet -- "$1.service" || die "unit \"$1\" does not stop"
	else
		invoke-rc.d "$1" stop >/dev/null 2>&1 || :
		update-rc.d "$1" disable >/dev/null 2>&1 || :
	fi
}

# Lists that are too old to find the package in are fetched once; another who installs is waited for.
apt_get() {
	set -- -qq -o DPkg::Lock::Timeout=600 "$@"
	apt-get "$@" >/dev/null 2>&1 && return
	apt-get -qq update >/dev/null 2>&1 || :
	apt_said=$(apt-get "$@" 2>&1 >/dev/null) || die "apt-get: $(printf '%s' "$apt_said" | tail -n 1)"
}
