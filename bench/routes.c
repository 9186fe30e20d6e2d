/*
 * routes HOME N MS - N changes of routes, one each MS milliseconds: from the beginning of the catalogue's
 * transaction to the answer that every worker of every gateway has it in use; ms: median, 99th of a
 * hundred, greatest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/clock.h"
#include "region/gateway/ask.h"

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Held and let go in turn: each is a change that the workers must have. */
static bool
change(Ctx *cx, Home *home, const char *tenant, int i)
{
	bool did = true, all;
	const char *why;

	if (!lite_begin(cx, home->db))
		return false;
	if (i % 2 == 0 ? !catalog_route_park(cx, home, tenant, clock_wall_ms() + 60000, &did)
		       : !catalog_route_release(cx, home, tenant, &did)) {
		lite_rollback(home->db);
		return false;
	}
	if (!lite_commit(cx, home->db) || !ask_wait(cx, home, 0, 10000, &all, &why))
		return false;
	return all || fail(cx, FAIL_TIMEOUT, NULL, "%s has not got it", why);
}

static bool
measure(Ctx *cx, const char *dir, int n, int64_t pause_ms)
{
	double *took = arena_alloc(cx->mem, (size_t)n * sizeof *took);
	Home *home;

	if (!home_open(cx, dir, ACCESS_WRITES, &home))
		return false;
	for (int i = 0; i < n; i++) {
		Ctx own = ctx_new(cx->mem);
		double from = now_ms();
		if (!change(&own, home, arena_printf(own.mem, "t%05d", 1 + i / 2 % 900), i)) {
			fail_copy(cx, &own);
			return false;
		}
		took[i] = now_ms() - from;
		arena_free(own.mem);
		if (took[i] < (double)pause_ms)
			nanosleep(
			    &(struct timespec){
				.tv_nsec = (long)(((double)pause_ms - took[i]) * 1e6) },
			    NULL);
	}
	qsort(took, (size_t)n, sizeof *took, by_size);
	printf("%.2f %.2f %.2f\n", took[n / 2], took[n * 99 / 100], took[n - 1]);
	return true;
}

int
main(int argc, char **argv)
{
	Ctx cx = ctx_new(NULL);

	if (argc != 4) {
		fputs("usage: routes HOME N MS\n", stderr);
		return 64;
	}
	bool ok = measure(&cx, argv[1], (int)strtol(argv[2], NULL, 10), strtoll(argv[3], NULL, 10));
	if (!ok)
		fputs(fail_text(cx.mem, cx.fail), stderr);
	arena_free(cx.mem);
	return !ok;
}
