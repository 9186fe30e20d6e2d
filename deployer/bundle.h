/*
 * bundle.h - a bundle's files as an artefact: one archive under the home, named by what is in it.
 *
 * The digest is that of the files, not of the archive: SHA-256 over one line a
 * file, "644 SHA256  ./PATH" ("755 ..." where it is executable, "link TARGET
 * ./PATH"), sorted by bytes.  A folder and a commit with the same files have
 * the same, whatever compressed them, and a host can work it out again from
 * what it has unpacked.
 */
#pragma once

#include "lib/core/release.h"

#define BUNDLE_BYTES_MAX	((int64_t)512 << 20)	/* of all files */

/* Packed into HOME/bundles/DIGEST.tar.gz, unless the home was opened for reading: then only looked at. */
bool	 bundle_pack(Ctx *cx, Home *home, const Bundle *bundle, Artefact *out);
char	*bundle_archive(Arena *mem, const Home *home, const char *digest);
/* "/srv/app" or "/srv/app.git at 1a2b3c4d5e6f, folder app". */
char	*bundle_source_text(Arena *mem, const BundleSource *s);
