/*
 * gateway.c - what is measured of the gateway.
 *
 *	gateway idle DSN N		opens N connections, says "ready", ends when its input does
 *	gateway latency DSN N		N prepared SELECT 1, one after the other: median and 99th of 100, in us
 *	gateway writers DSN FILE N	for each line of FILE, the rest of a DSN, a client that writes N times a second;
 *					"ready" when all are in; until SIGTERM, then "writes W failed F"
 *	gateway refused DSN N		N logins that are refused: median in us
 *	gateway watch DSN SECONDS	the same at 1,000 a second: median, 99.9 of 100 and greatest, in us
 */
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static PGconn *
open_one(const char *dsn)
{
	PGconn *c = PQconnectdb(dsn);

	if (PQstatus(c) == CONNECTION_OK)
		return c;
	fprintf(stderr, "gateway: %s", PQerrorMessage(c));
	exit(1);
}

static int
idle(const char *dsn, long n)
{
	PGconn **all = calloc((size_t)n, sizeof *all);
	char byte;

	for (long i = 0; i < n; i++)
		all[i] = open_one(dsn);
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (long i = 0; i < n; i++)
		PQfinish(all[i]);
	free(all);
	return 0;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
ask(PGconn *c)
{
	PGresult *r = PQexecPrepared(c, "one", 0, NULL, NULL, NULL, 0);

	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		fprintf(stderr, "gateway: %s", PQresultErrorMessage(r));
		exit(1);
	}
	PQclear(r);
}

static PGconn *
prepared(const char *dsn)
{
	PGconn *c = open_one(dsn);

	PQclear(PQprepare(c, "one", "SELECT 1", 0, NULL));
	return c;
}

static int
latency(const char *dsn, long n)
{
	PGconn *c = prepared(dsn);
	double *took = calloc((size_t)n, sizeof *took);

	for (long i = 0; i < n / 10; i++)
		ask(c);
	for (long i = 0; i < n; i++) {
		double from = now_us();
		ask(c);
		took[i] = now_us() - from;
	}
	qsort(took, (size_t)n, sizeof *took, by_size);
	printf("%.1f %.1f\n", took[n / 2], took[n * 99 / 100]);
	free(took);
	PQfinish(c);
	return 0;
}

static int
watch(const char *dsn, double seconds)
{
	PGconn *c = prepared(dsn);
	long n = 0, most = (long)(seconds * 1000);
	double *took = calloc((size_t)most + 1, sizeof *took), began = now_us();

	while (n < most) {
		double due = began + (double)n * 1000, from = now_us();
		if (from < due)
			nanosleep(&(struct timespec){ .tv_nsec = (long)((due - from) * 1000) }, NULL);
		from = now_us();
		ask(c);
		took[n++] = now_us() - from;
	}
	qsort(took, (size_t)n, sizeof *took, by_size);
	printf("%.1f %.1f %.1f\n", took[n / 2], took[n * 999 / 1000], took[n - 1]);
	free(took);
	PQfinish(c);
	return 0;
}

static volatile sig_atomic_t over;

static void
on_term(int signal)
{
	(void)signal;
	over = 1;
}

/* What has been answered, and is still to be. */
static void
written(PGconn *c, long *writes, long *failed)
{
	PGresult *r;

	while ((r = PQgetResult(c)) != NULL) {
		++*writes;
		*failed += PQresultStatus(r) != PGRES_COMMAND_OK;
		PQclear(r);
	}
}

static int
writers(const char *dsn, const char *file, double rate)
{
	PGconn *all[1024];
	char line[1024], full[2048];
	long n = 0, writes = 0, failed = 0;
	FILE *f = fopen(file, "r");

	signal(SIGTERM, on_term);
	while (f && n < 1024 && fgets(line, sizeof line, f)) {
		snprintf(full, sizeof full, "%s %s", dsn, line);
		all[n++] = open_one(full);
	}
	if (!f || n == 0)
		return 1;
	fclose(f);
	puts("ready");
	fflush(stdout);
	for (long i = 0; !over; i++) {
		PGconn *c = all[i % n];
		double next = now_us() + 1e6 / rate / (double)n;
		if (!PQisBusy(c)) {
			written(c, &writes, &failed);
			PQsendQuery(c, "INSERT INTO account (name, country) VALUES ('n', 'CN')");
		}
		while (!over && now_us() < next)
			usleep(200);
		for (long k = 0; k < n; k++)
			PQconsumeInput(all[k]);
	}
	for (long k = 0; k < n; k++)
		written(all[k], &writes, &failed);
	printf("writes %ld failed %ld\n", writes, failed);
	return 0;
}

static int
refused(const char *dsn, long n)
{
	double *took = calloc((size_t)n, sizeof *took);

	for (long i = 0; i < n; i++) {
		double from = now_us();
		PGconn *c = PQconnectdb(dsn);
		took[i] = now_us() - from;
		if (PQstatus(c) == CONNECTION_OK)
			return 1;
		PQfinish(c);
	}
	qsort(took, (size_t)n, sizeof *took, by_size);
	printf("%.0f\n", took[n / 2]);
	free(took);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "idle") == 0)
		return idle(argv[2], strtol(argv[3], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "latency") == 0)
		return latency(argv[2], strtol(argv[3], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "watch") == 0)
		return watch(argv[2], strtod(argv[3], NULL));
	if (argc == 5 && strcmp(argv[1], "writers") == 0)
		return writers(argv[2], argv[3], strtod(argv[4], NULL));
	if (argc == 4 && strcmp(argv[1], "refused") == 0)
		return refused(argv[2], strtol(argv[3], NULL, 10));
	return 64;
}
