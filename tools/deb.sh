#!/bin/sh
#
# deb.sh - makes BUILD/copyhold_VERSION_ARCH.deb of what `make install` installs.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
version=${VERSION:-$(cat VERSION)}
arch=$(dpkg --print-architecture)
root=$build/deb

# Loaded when it is used, and there for one kind of processor only.
recommends=postgresql-client-15
[ "$arch" != amd64 ] || recommends="$recommends, libipsec-mb1"

rm -rf "$root"
mkdir -p "$root/DEBIAN"
make -s BUILD="$build" DESTDIR="$root" PREFIX=/usr install
gzip -9n <NOTICE >"$root/usr/share/doc/copyhold/NOTICE.gz"
rm "$root/usr/share/doc/copyhold/NOTICE"
mv "$root/usr/share/doc/copyhold/LICENSE" "$root/usr/share/doc/copyhold/copyright"
strip "$root/usr/bin/copyhold"
cat >"$root/DEBIAN/control" <<END
Package: copyhold
Version: $version
Architecture: $arch
Maintainer: The Copyhold authors <copyhold@localhost>
Depends: libc6 (>= 2.36), libpq5 (>= 15), libsqlite3-0 (>= 3.40), libjansson4, libyaml-0-2, libssl3, libzip4, libcurl4, libevent-core-2.1-7, libevent-extra-2.1-7, libevent-openssl-2.1-7
Recommends: $recommends
Section: database
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: control plane for multi-tenant PostgreSQL
 Copyhold places the tenants of a SaaS vendor on PostgreSQL servers, proves
 that they work and are isolated, and keeps the roll of what was done.
END
dpkg-deb --root-owner-group --build "$root" "$build/copyhold_${version}_$arch.deb"
