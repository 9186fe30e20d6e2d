/*
 * What anybody may send to a witness, and what its operator may give it as a
 * list of logs.  The log that it knows has a key that nobody holds here, so
 * nothing may ever be cosigned.
 */
#include <ftw.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compliance/audit/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Witness *witness;
static char dir[] = "/tmp/fuzz-witness.XXXXXX";

static int
forget(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void
clean(void)
{
	nftw(dir, forget, 16, FTW_DEPTH | FTW_PHYS);
}

/* Lives as long as the process. */
static void
start(void)
{
	static Ctx cx;
	static const char key[] =
	    "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\n";
	size_t logs;

	cx = ctx_new(NULL);
	if (mkdtemp(dir) == NULL || !witness_open(&cx, dir, "witness.example", &witness))
		abort();
	atexit(clean);
	if (!witness_trust_list(&cx, witness, "seed", key, strlen(key), &logs) || logs != 1)
		abort();
}

static void
request(Ctx *cx, const uint8_t *data, size_t size)
{
	WitnessAnswer a;

	if (!witness_add(cx, witness, (const char *)data, size, &a))
		abort();
	if (a.status != 400 && a.status != 403 && a.status != 404)
		abort();
	if (strstr(a.body, "\xE2\x80\x94 ") != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL);
	size_t logs;

	if (witness == NULL)
		start();
	request(&cx, data, size);
	if (!witness_trust_list(&cx, witness, "list", (const char *)data, size, &logs) &&
	    cx.fail->what == NULL)
		abort();
	arena_free(cx.mem);
	return 0;
}
