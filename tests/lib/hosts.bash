# shellcheck shell=bash
# hosts.bash - for bats files: pretended hosts, each an sshd on 127.0.0.1 with a root and users of its own.
#
#   load ../lib/home
#   load ../lib/hosts
#   setup_file() { hosts_setup; hosts_region here CN; host_start h1; }
#   teardown_file() { hosts_remove; }
#
# Their manifests are in $HOSTS/manifests; root runs them, others skip.

hosts_setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	while HOSTS=$(mktemp -d "${COPYHOLD_TEST_TMP:-/tmp}/copyhold-hosts.XXXXXX") && ! hosts_apart; do
		rmdir "$HOSTS"
	done
	chmod 0711 "$HOSTS"
	mkdir "$HOSTS/manifests"
	export HOSTS
}

# Each host gives its services ports that are free from a place on that its root's path has chosen.  Here all hosts
# have the ports of one machine: two that begin side by side would find the same ones free at the same time.
hosts_apart() {
	local name sum place other
	local -a places=()
	for name in h{1..9} a1 b1 v1 small bare; do
		sum=$(printf '%s' "$HOSTS/$name/root" | cksum)
		place=$((${sum%% *} % 12000))
		for other in ${places[@]+"${places[@]}"}; do
			[ $(((place - other + 12000) % 12000)) -ge 20 ] || return 1
			[ $(((other - place + 12000) % 12000)) -ge 20 ] || return 1
		done
		places+=("$place")
	done
}

# NAME COUNTRY
hosts_region() {
	printf 'apiVersion: copyhold/v1\nkind: Region\nmetadata: {name: %s}\nspec: {country: %s}\n' "$1" "$2" \
		>"$HOSTS/manifests/region-$1.yaml"
}

# NAME [--region REGION] [--owner TENANT] [--supervise WORD] [--unprepared] [--sudo] [--more LINE]...
#   [OPTION OF sshd.sh]...
# region "here" unless said otherwise; LINE goes into the manifest's spec; the helper is there, unless
# --unprepared.  With --sudo our user is an ordinary one (host_user NAME), who may do nothing as root yet.
host_start() {
	local name=$1 region=here owner='' supervise=runit prepared=1 sudo=''
	local -a more=() options=()
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--region) region=$2 && shift 2 ;;
		--owner) owner=$2 && shift 2 ;;
		--supervise) supervise=$2 && shift 2 ;;
		--more) more+=("$2") && shift 2 ;;
		--unprepared) prepared='' && shift ;;
		--sudo) sudo=1 && shift ;;
		*) options+=("$1" "$2") && shift 2 ;;
		esac
	done
	"$REPO/tools/sshd.sh" start "$HOSTS" "$name" ${options[@]+"${options[@]}"}
	chmod 0711 "$HOSTS/$name"
	chmod 0755 "$HOSTS/$name/root"
	[ -e "$HOSTS/$name/prefix" ] || host_choose_prefix >"$HOSTS/$name/prefix"
	[ -z "$sudo" ] || host_make_user "$name"
	[ -z "$sudo" ] || more+=("sudo: true")
	host_manifest "$name" "$region" "$owner" "$supervise" ${more[@]+"${more[@]}"} >"$HOSTS/manifests/$name.yaml"
	[ -z "$prepared" ] || host_prepare "$name" "$supervise"
}

# One that no other host on this machine has: by it users are told apart, and ended when a host is cleared.
host_choose_prefix() {
	local prefix try
	for ((try = 0; try < 100; try++)); do
		prefix=t$(od -An -N2 -tx1 /dev/urandom | tr -d ' \n')-
		if getent passwd | grep -q "^$prefix"; then continue; fi
		[ -n "${COPYHOLD_TEST_TMP-}" ] || break
		! mkdir "$COPYHOLD_TEST_TMP/prefix.$prefix" 2>/dev/null || break
	done
	printf '%s' "$prefix"
}

host_user() { cat "$HOSTS/$1/user"; }

# NAME: an ordinary user who may log in.
host_make_user() {
	local user
	user=$(host_prefix "$1")op
	if ! id "$user" >/dev/null 2>&1; then
		until useradd --system --password '*' --shell /bin/sh --home-dir /nonexistent "$user" 2>/dev/null; do sleep 0.1; done
	fi
	echo "$user" >"$HOSTS/$1/user"
	chmod 0644 "$HOSTS/$1/authorized_keys"
}

# NAME REGION OWNER SUPERVISE LINE...
host_manifest() {
	local line
	cat <<-END
		apiVersion: copyhold/v1
		kind: Host
		metadata: {name: $1}
		spec:
		  region: $2
		  address: 127.0.0.1
		  port: $(host_port "$1")
		  user: $(host_user "$1")
		  hostKeys: ["$(cat "$HOSTS/$1/hostkey.pub")"]
		  identity: $HOSTS/client
		  root: $(host_root "$1")
		  supervise: $4
		  userPrefix: $(host_prefix "$1")
	END
	[ -z "$3" ] || echo "  owner: $3"
	for line in "${@:5}"; do echo "  $line"; done
}

# NAME SUPERVISE: as `copyhold host check --fix` leaves it.
host_prepare() {
	local root part
	root=$(host_root "$1")
	mkdir -p "$root/bin" "$root/incoming"
	for part in core supervise machine postgres service look main; do
		cat "$REPO/deployer/helper/$part.sh"
	done >"$root/bin/copyhold-host"
	chmod 0755 "$root/bin" "$root/bin/copyhold-host"
	chmod 0700 "$root/incoming"
	chown "$(host_user "$1"):" "$root/incoming"
	printf 'prefix %s\nsupervise %s\n' "$(host_prefix "$1")" "$2" >"$root/bin/copyhold-host.conf"
}

host_root() { echo "$HOSTS/$1/root"; }
host_port() { cat "$HOSTS/$1/port"; }
host_prefix() { cat "$HOSTS/$1/prefix"; }
host_stop() { "$REPO/tools/sshd.sh" stop "$HOSTS" "$1"; }	# as a machine that is off
host_drop() { "$REPO/tools/sshd.sh" drop "$HOSTS" "$1"; }	# its sessions are cut
# It comes back as it was.
host_again() { "$REPO/tools/sshd.sh" start "$HOSTS" "$1"; }

hosts_remove() {
	local at
	[ -n "${HOSTS-}" ] || return 0
	for at in "$HOSTS"/*/prefix; do
		[ ! -e "$at" ] || host_clear "$(basename "$(dirname "$at")")"
	done
	"$REPO/tools/sshd.sh" remove-all "$HOSTS"
	rm -rf -- "$HOSTS"
}

# NAME: what its services and users have running, and the users.
host_clear() { "$REPO/tools/sshd.sh" clear "$HOSTS" "$1" "$(host_prefix "$1")"; }
