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
		[ ! -e "$duties_at/items" ] || cat -- "$duties_at/items"
	done
}

# PACKAGE...: what is there already stays as it is; packages are never removed.
verb_packages_install() {
	for package; do
		case $package in *[!a-z0-9.+-]* | [!a-z0-9]*) die "\"$package\" is no package's name" ;; esac
	done
	export DEBIAN_FRONTEND=noninteractive
	apt_get install -y --no-install-recommends -- "$@"
}

# Lists that are too old to find the package in are fetched once.
apt_get() {
	apt-get -qq "$@" >/dev/null 2>&1 && return
	apt-get -qq update >/dev/null 2>&1 || :
	apt_said=$(apt-get -qq "$@" 2>&1 >/dev/null) || die "apt-get: $(printf '%s' "$apt_said" | tail -n 1)"
}
