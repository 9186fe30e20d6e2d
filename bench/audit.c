/*
 * audit - measures the logs of events.
 *
 *	audit busy HOME SECONDS GROUP	one writer into the vendor's log, GROUP events a transaction,
 *					while `copyhold audit run` works beside it: events a second,
 *					and ms from an event's commit to the signed checkpoint that
 *					has it: median, 99th of a hundred, greatest
 *	audit event HOME N		us that one event adds to a transaction; ms that publishing
 *					N of them takes
 *	audit many HOME LOGS SECONDS	an event for each of so many tenants, with `copyhold audit run`
 *					beside it: s until each log is signed, and the greatest age in s
 *					of any checkpoint in the time after that
 *	audit proof DIR LEAVES		a tree of so many leaves as tiles: ms and bytes of one proof
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compliance/audit/log.h"
#include "compliance/audit/tile.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"

#define ENTRY 1024

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- busy -------------------------------------------------------------------------------- */

typedef struct Commit {
	double	 at;
	uint64_t end;
} Commit;

typedef struct Busy {
	Home	*home;
	Log	 log;
	VEC(Commit) commits;
	VEC(double) waits;	/* one an event */
	size_t	 seen;		/* commits that a checkpoint has */
	char	 filler[ENTRY];
} Busy;

static bool
write_group(Ctx *cx, Busy *b, int group, const char *filler)
{
	Event e = { .verb = "bench.write", .object = "thing/1", .outcome = "ok", .after = filler };

	if (!lite_begin(cx, b->home->db))
		return false;
	for (int i = 0; i < group; i++)
		if (!event_write(cx, b->home, &e))
			return false;
	return lite_commit(cx, b->home->db);
}

/* As a reader sees it: the published file, looked at again and again. */
static void
look(Ctx *cx, Busy *b, int group)
{
	Ctx own = ctx_new(cx->mem);
	Checkpoint c = { 0 };
	Note note;
	bool found = false;
	double now = now_s();

	if (!log_checkpoint(&own, &b->log, &note, &c, &found) || !found)
		c.size = 0;
	while (b->seen < b->commits.n && b->commits.at[b->seen].end <= c.size) {
		for (int i = 0; i < group; i++)
			vec_push(cx->mem, &b->waits, now - b->commits.at[b->seen].at);
		b->seen++;
	}
	arena_free(own.mem);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static bool
busy(Ctx *cx, const char *dir, double seconds, int group)
{
	Busy b = { 0 };
	Ctx write = ctx_new(cx->mem);

	memset(b.filler, 'x', ENTRY - 1);
	if (!home_open(cx, dir, ACCESS_WRITES, &b.home) || !write_group(cx, &b, 1, "") ||
	    !log_of(cx, b.home, NULL, &b.log))
		return false;
	int64_t event;
	Bytes bytes;
	if (!log_entry(cx, b.home, &b.log, b.log.next - 1, &event, &bytes))
		return false;
	b.filler[ENTRY - bytes.n - 2] = '\0';	/* the null of `after` becomes text */
	uint64_t end = b.log.next;
	double from = now_s(), until = from + seconds;
	while (now_s() < until) {
		if (!write_group(&write, &b, group, b.filler)) {
			fail_copy(cx, &write);
			return false;
		}
		end += (uint64_t)group;
		vec_push(cx->mem, &b.commits, ((Commit){ now_s(), end }));
		look(cx, &b, group);
		arena_reset(write.mem);
		write = (Ctx){ .mem = write.mem, .fail = arena_alloc(write.mem, sizeof(Fail)) };
	}
	double took = now_s() - from;
	for (double limit = now_s() + 60; b.seen < b.commits.n && now_s() < limit; usleep(1000))
		look(cx, &b, group);
	if (b.seen < b.commits.n)
		return fail(cx, FAIL_TIMEOUT, NULL, "audit run did not catch up");
	qsort(b.waits.at, b.waits.n, sizeof *b.waits.at, by_size);
	printf("%.0f %.1f %.1f %.1f\n", (double)b.waits.n / took,
	    1000 * b.waits.at[b.waits.n / 2], 1000 * b.waits.at[b.waits.n * 99 / 100],
	    1000 * b.waits.at[b.waits.n - 1]);
	return true;
}

/* --- event --------------------------------------------------------------------------------- */

static bool
event_cost(Ctx *cx, const char *dir, int n)
{
	Busy b = { 0 };
	Log log;

	if (!home_open(cx, dir, ACCESS_WRITES, &b.home) || !write_group(cx, &b, 1, "x") ||
	    !log_of(cx, b.home, NULL, &log) || !log_publish(cx, b.home, &log, HEARTBEAT_IF_GROWN))
		return false;
	double from = now_s();
	if (!lite_begin(cx, b.home->db))
		return false;
	for (int i = 0; i < 5000; i++)
		if (!write_group(cx, &b, 1, "a state"))
			return false;
	double each = (now_s() - from) / 5000;
	if (!lite_commit(cx, b.home->db) || !log_publish(cx, b.home, &log, HEARTBEAT_IF_GROWN) ||
	    !write_group(cx, &b, n, "a state"))
		return false;
	from = now_s();
	if (!log_publish(cx, b.home, &log, HEARTBEAT_IF_GROWN))
		return false;
	printf("%.1f %.2f\n", each * 1e6, 1000 * (now_s() - from));
	return true;
}

/* --- many ---------------------------------------------------------------------------------- */

/* How many logs are behind, and how old the oldest checkpoint is. */
static bool
look_at_all(Ctx *cx, Home *home, size_t *behind, double *oldest)
{
	Ctx own = ctx_new(cx->mem);
	int64_t now = clock_wall_ms();
	Logs logs;

	*behind = 0;
	*oldest = 0;
	if (!log_all(&own, home, &logs)) {
		fail_copy(cx, &own);
		return false;
	}
	for (size_t i = 0; i < logs.n; i++) {
		double age = (double)(now - logs.at[i].signed_at) / 1000;
		*behind += logs.at[i].next > logs.at[i].size;
		*oldest = age > *oldest ? age : *oldest;
	}
	arena_free(own.mem);
	return true;
}

static bool
many(Ctx *cx, const char *dir, int n, double seconds)
{
	Event e = { .verb = "bench.write", .object = "thing/1", .outcome = "ok" };
	double oldest, worst = 0, all;
	size_t behind = 1;
	Home *home;

	if (!home_open(cx, dir, ACCESS_WRITES, &home))
		return false;
	double from = now_s();
	for (int i = 0; i < n; i++) {
		Ctx own = ctx_new(cx->mem);
		e.tenant = arena_printf(own.mem, "t%d", i);
		if ((i % 500 == 0 && !lite_begin(&own, home->db)) || !event_write(&own, home, &e) ||
		    ((i % 500 == 499 || i + 1 == n) && !lite_commit(&own, home->db))) {
			fail_copy(cx, &own);
			return false;
		}
		arena_free(own.mem);
	}
	for (; behind > 0 && now_s() < from + 600; usleep(100000))
		if (!look_at_all(cx, home, &behind, &oldest))
			return false;
	all = now_s() - from;
	for (double until = now_s() + seconds; now_s() < until; usleep(500000)) {
		if (!look_at_all(cx, home, &behind, &oldest))
			return false;
		worst = oldest > worst ? oldest : worst;
	}
	printf("%.1f %.1f\n", all, worst);
	return behind == 0 || fail(cx, FAIL_TIMEOUT, NULL, "audit run did not catch up");
}

/* --- proof ---------------------------------------------------------------------------------- */

/* All leaves are equal, so all full tiles of a level are: one file with many names. */
static bool
put_level(Ctx *cx, const char *dir, int level, uint64_t hashes, Hash *hash)
{
	unsigned char tile[TILE_WIDTH * HASH_BYTES];
	char *first = NULL;
	Range r;

	range_begin(&r, 0);
	for (unsigned i = 0; i < TILE_WIDTH; i++) {
		memcpy(tile + i * HASH_BYTES, hash->at, HASH_BYTES);
		range_add(&r, hash);
	}
	for (uint64_t n = 0; n < hashes / TILE_WIDTH; n++) {
		Ctx own = ctx_new(cx->mem);
		char *path = tile_path(own.mem, dir, level, n, TILE_WIDTH);
		char *folder = arena_dupn(own.mem, path, (size_t)(strrchr(path, '/') - path));
		bool made = n % 1000 != 0 || file_make_dirs(&own, folder, 0700);
		if (made && n % 50000 == 0) {	/* a file has no more than 65,000 names */
			made = file_write(&own, path, 0600, tile, sizeof tile);
			first = arena_dup(cx->mem, path);
		} else if (made)
			made = link(first, path) == 0;
		if (!made)
			return fail(cx, FAIL_SYSTEM, NULL, "cannot write \"%s\"", path);
		arena_free(own.mem);
	}
	unsigned rest = (unsigned)(hashes % TILE_WIDTH);
	char *path = tile_path(cx->mem, dir, level, hashes / TILE_WIDTH, rest);
	if (rest > 0 &&
	    (!file_make_dirs(cx, arena_dupn(cx->mem, path, (size_t)(strrchr(path, '/') - path)), 0700) ||
		!file_write(cx, path, 0600, tile, rest * HASH_BYTES)))
		return false;
	*hash = r.at[0];
	return true;
}

static bool
proof_cost(Ctx *cx, const char *dir, uint64_t leaves)
{
	Hash hash, leaf, root;
	Range r;
	double worst = 0, total = 0;
	size_t bytes = 0;

	merkle_leaf("leaf", 4, &leaf);
	hash = leaf;
	for (int level = 0; leaves >> 8 * level > 0; level++)
		if (!put_level(cx, dir, level, leaves >> 8 * level, &hash))
			return false;
	HashSource all = tile_hashes(cx->mem, dir, leaves);
	if (!merkle_compact(cx, &all, 0, leaves, &r))
		return false;
	range_root(&r, &root);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t index = i * 2654435761u % leaves;
		Ctx own = ctx_new(cx->mem);
		Hashes path;
		double from = now_s();
		HashSource source = tile_hashes(own.mem, dir, leaves);
		if (!merkle_inclusion(&own, &source, index, leaves, &path))
			return fail(cx, FAIL_SYSTEM, NULL, "%s", own.fail->what);
		double took = now_s() - from;
		if (!merkle_check_inclusion(&leaf, index, leaves, &path, &root))
			return fail(cx, FAIL_DIFFERENT, NULL, "a proof does not hold");
		worst = took > worst ? took : worst;
		total += took;
		bytes = path.n * 45 > bytes ? path.n * 45 : bytes;
		arena_free(own.mem);
	}
	printf("%.3f %.3f %zu\n", total, 1000 * worst, bytes);	/* total of 1,000: ms each */
	return true;
}

int
main(int argc, char **argv)
{
	Ctx cx = ctx_new(NULL);
	bool ok = false;

	if (argc == 5 && strcmp(argv[1], "busy") == 0)
		ok = busy(&cx, argv[2], strtod(argv[3], NULL), (int)strtol(argv[4], NULL, 10));
	else if (argc == 4 && strcmp(argv[1], "event") == 0)
		ok = event_cost(&cx, argv[2], (int)strtol(argv[3], NULL, 10));
	else if (argc == 5 && strcmp(argv[1], "many") == 0)
		ok = many(&cx, argv[2], (int)strtol(argv[3], NULL, 10), strtod(argv[4], NULL));
	else if (argc == 4 && strcmp(argv[1], "proof") == 0)
		ok = proof_cost(&cx, argv[2], strtoull(argv[3], NULL, 10));
	else
		fputs("usage: audit busy HOME SECONDS GROUP | event HOME N | many HOME LOGS SECONDS | "
		    "proof DIR LEAVES\n", stderr);
	if (!ok && cx.fail->kind)
		fputs(fail_text(cx.mem, cx.fail), stderr);
	arena_free(cx.mem);
	return !ok;
}
