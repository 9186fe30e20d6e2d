/*
 * An evidence file as anybody may have made it: either the bytes of a ZIP file,
 * or members put into a sound one, each behind its number and length.  The
 * verifier's own words are included, so that what a signature guards is read
 * without one.
 */
#include <stdlib.h>
#include <unistd.h>

#ifndef COPYHOLD_VERSION
#define COPYHOLD_VERSION "0"
#endif
#include "compliance/audit/verify.c"
#include "lib/base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_members(Ctx *cx, const char *path, const uint8_t *data, size_t size)
{
	Bytes at[EVIDENCE_MEMBERS] = { 0 };
	PackWriter *w;

	while (size >= 4) {
		size_t n = (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
		n = n < size - 4 ? n : size - 4;
		at[data[0] % EVIDENCE_MEMBERS] = (Bytes){ data + 4, n };
		data += 4 + n;
		size -= 4 + n;
	}
	unlink(path);
	if (!pack_begin(cx, path, &w))
		abort();
	for (size_t i = 0; i < EVIDENCE_MEMBERS; i++)
		if (!pack_add(cx, w, evidence_rules[i].name, at[i], PACK_STORED))
			abort();
	if (!pack_end(cx, w))
		abort();
}

/* Whatever was said of it, it was said: nothing is accepted that no key has signed. */
static void
verify_it(Ctx *cx, const char *path)
{
	EvidenceTrust trust = { 0 };
	Verdict v;

	if (!evidence_verify(cx, path, &trust, &v))
		abort();
	if (v.trusted || (v.sound ? v.proven.n == 0 : v.wrong.n == 0))
		abort();
}

static void
read_without_signatures(Ctx *cx, const char *path)
{
	EvidenceTrust trust = { 0 };
	Verdict v = { 0 };
	Check c = { .cx = cx, .trust = &trust, .v = &v };

	if (!pack_open(cx, path, evidence_rules, EVIDENCE_MEMBERS, &c.pack) || !read_small(&c))
		return;
	c.key = c.keys.at[0];
	check_members(&c);
	fail_clear(cx);
	if (!read_claims(&c))
		return;
	check_tree(&c);
	fail_clear(cx);
	evidence_signers(cx, &c.note, &c.keys, &c.signers);
	judge_events(&c);
	judge_signers(&c);
	check_page(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Ctx cx = ctx_new(NULL), deep = ctx_new(NULL);
	char *path = arena_printf(cx.mem, "/dev/shm/copyhold-fuzz-%d.zip", (int)getpid());

	if (size > 0 && data[0] == 'M')
		write_members(&cx, path, data + 1, size - 1);
	else if (!file_write(&cx, path, 0600, data, size))
		abort();
	verify_it(&cx, path);
	read_without_signatures(&deep, path);
	unlink(path);
	arena_free(deep.mem);
	arena_free(cx.mem);
	return 0;
}
