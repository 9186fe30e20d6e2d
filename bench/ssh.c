/*
 * Sessions over SSH as the adapter has them.  A HOST is a folder of tools/sshd.sh.
 *
 *	ssh step HOST PORT N		N steps on one open channel: p50 and p99 in ms
 *	ssh steps FILE PASSES HOST...	dials all at once, feeds FILE to a sh of each, PASSES times:
 *					ms until the first pass was over, ms of each further one, ms of our CPU for a host
 *	ssh crowd N ROUNDS HOST...	N sessions open at a time, a step on each in ROUNDS rounds:
 *					KiB of memory after the first and the last round, ms of CPU for a session
 *	ssh put HOST FILE PATH		ms
 *	ssh relay PORT MS		prints its own port; what passes it takes that long each way
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/adapters/ssh.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/lane.h"

#define WAIT_MS 120000

typedef struct Host {
	Ctx cx;
	SshTarget to;
	Ssh *session;
	SshChannel *sh;
	const char *script;
} Host;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
cpu_ms(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e3 +
	    (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e3;
}

static long
memory_kib(void)
{
	long pages = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
must(Ctx *cx, bool good)
{
	if (good)
		return;
	fputs(fail_text(cx->mem, cx->fail), stderr);
	exit(1);
}

static int64_t
soon(void)
{
	return clock_mono_ms() + WAIT_MS;
}

static char *
line_of(Ctx *cx, const char *folder, const char *name)
{
	char *text;
	size_t n;

	must(cx, file_read(cx, arena_printf(cx->mem, "%s/%s", folder, name), 1 << 20, &text, &n));
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static Host
host_at(const char *folder)
{
	Host h = { .cx = ctx_new(NULL) };
	const char **keys = arena_alloc(h.cx.mem, sizeof *keys);

	keys[0] = line_of(&h.cx, folder, "hostkey.pub");
	h.to = (SshTarget){ .name = "host",
		.address = "127.0.0.1",
		.port = strtol(line_of(&h.cx, folder, "port"), NULL, 10),
		.user = line_of(&h.cx, folder, "user"),
		.host_keys = keys,
		.host_keys_n = 1,
		.identity = arena_printf(h.cx.mem, "%s/client", folder) };
	return h;
}

static void
open_sh(Host *h)
{
	must(&h->cx, ssh_open(&h->cx, &h->to, soon(), &h->session));
	must(&h->cx, ssh_command(&h->cx, h->session, "exec sh -s", soon(), &h->sh));
}

/* Feeds text that ends by writing one line, and waits for that line. */
static void
step(Host *h, const char *text)
{
	char bytes[4096];
	size_t n = 0;

	must(&h->cx, ssh_write(&h->cx, h->sh, text, strlen(text), soon()));
	do
		must(&h->cx, ssh_read(&h->cx, h->sh, bytes, sizeof bytes, &n, soon()));
	while (n > 0 && bytes[n - 1] != '\n');
	if (n == 0) {
		fprintf(stderr, "a shell ended: %s\n", ssh_stderr(h->sh));
		exit(1);
	}
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
bench_step(const char *folder, long port, int n)
{
	Host h = host_at(folder);
	double *took = arena_alloc(h.cx.mem, (size_t)n * sizeof *took);

	h.to.port = port ? port : h.to.port;
	open_sh(&h);
	step(&h, "echo\n");
	for (int i = 0; i < n; i++) {
		double from = now_ms();

		step(&h, "echo done\n");
		took[i] = now_ms() - from;
	}
	qsort(took, (size_t)n, sizeof *took, by_size);
	printf("%.3f %.3f\n", took[n / 2], took[n * 99 / 100]);
}

static void
dial_lane(void *arg)
{
	Host *h = arg;

	open_sh(h);
	step(h, h->script);
}

static void
step_lane(void *arg)
{
	Host *h = arg;

	step(h, h->script);
}

static void
all(Host *hosts, int n, void (*fn)(void *))
{
	Arena *mem = arena_new(NULL);
	Lanes *lanes = lanes_new(mem);

	for (int i = 0; i < n; i++)
		lane_spawn(lanes, fn, &hosts[i]);
	lanes_run(lanes);
	arena_free(mem);
}

static Host *
hosts_at(Ctx *cx, char **folders, int folders_n, int n, const char *script)
{
	Host *hosts = arena_alloc(cx->mem, (size_t)n * sizeof *hosts);

	for (int i = 0; i < n; i++) {
		hosts[i] = host_at(folders[i % folders_n]);
		hosts[i].script = script;
	}
	return hosts;
}

static void
bench_steps(const char *file, int passes, char **folders, int n)
{
	Ctx cx = ctx_new(NULL);
	char *script;
	size_t size;

	must(&cx, file_read(&cx, file, 1 << 20, &script, &size));
	Host *hosts = hosts_at(&cx, folders, n, n, script);
	double from = now_ms(), cpu = cpu_ms();
	for (int i = 0; i < passes; i++) {
		all(hosts, n, i == 0 ? dial_lane : step_lane);
		printf("%.0f ", now_ms() - from);
		from = now_ms();
	}
	printf("%.2f\n", (cpu_ms() - cpu) / n);
}

static void
bench_crowd(int n, int rounds, char **folders, int folders_n)
{
	Ctx cx = ctx_new(NULL);
	Host *hosts = hosts_at(&cx, folders, folders_n, n, "echo done\n");
	double cpu = cpu_ms();

	all(hosts, n, dial_lane);
	long first = memory_kib();
	double opened = cpu_ms() - cpu;
	for (int i = 0; i < rounds; i++)
		all(hosts, n, step_lane);
	printf("%ld %ld %.2f %.3f\n", first, memory_kib(), opened / n,
	    (cpu_ms() - cpu - opened) / n / rounds);
}

static void
bench_put(const char *folder, const char *file, const char *path)
{
	Host h = host_at(folder);

	must(&h.cx, ssh_open(&h.cx, &h.to, soon(), &h.session));
	double from = now_ms();
	must(&h.cx, ssh_put(&h.cx, h.session, file, path, 0600, soon()));
	printf("%.0f\n", now_ms() - from);
}

/* --- a line that is long ------------------------------------------------------------------ */

typedef struct Part {
	struct Part *next;
	double due;
	size_t n;
	char bytes[16384];
} Part;

typedef struct Way {
	int from, to;
	Part *first, **tail;
} Way;

static void
take_in(Way *w, double delay)
{
	Part *p = calloc(1, sizeof *p);
	ssize_t n = p ? read(w->from, p->bytes, sizeof p->bytes) : -1;

	if (n <= 0)
		exit(0);
	p->n = (size_t)n;
	p->due = now_ms() + delay;
	*w->tail = p;
	w->tail = &p->next;
}

static double
give_out(Way *w)
{
	while (w->first && w->first->due <= now_ms()) {
		Part *p = w->first;

		if (send(w->to, p->bytes, p->n, MSG_NOSIGNAL) != (ssize_t)p->n)
			exit(0);
		w->first = p->next;
		if (!w->first)
			w->tail = &w->first;
		free(p);
	}
	return w->first ? w->first->due - now_ms() : 1000;
}

static int
bound_socket(struct sockaddr_in *at)
{
	socklen_t n = sizeof *at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)at, n) != 0 || listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)at, &n) != 0) {
		perror("relay");
		exit(1);
	}
	return fd;
}

static void
relay(uint16_t port, double delay)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1, listener = bound_socket(&at);

	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	int client = accept(listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM, 0);
	at.sin_port = htons(port);
	if (client < 0 || connect(server, (struct sockaddr *)&at, sizeof at) != 0)
		exit(1);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	Way ways[2] = { { .from = client, .to = server }, { .from = server, .to = client } };
	ways[0].tail = &ways[0].first;
	ways[1].tail = &ways[1].first;
	for (;;) {
		struct pollfd p[2] = { { client, POLLIN, 0 }, { server, POLLIN, 0 } };
		double a = give_out(&ways[0]), b = give_out(&ways[1]), span = a < b ? a : b;
		struct timespec t = { 0, (long)((span > 0 ? span : 0) * 1e6) };

		if (span >= 1000)
			t = (struct timespec){ 1, 0 };
		ppoll(p, 2, &t, NULL);
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				take_in(&ways[i], delay);
	}
}

int
main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	lane_catch_signals();
	if (strcmp(what, "step") == 0 && argc == 5)
		bench_step(argv[2], strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
	else if (strcmp(what, "steps") == 0 && argc > 4)
		bench_steps(argv[2], (int)strtol(argv[3], NULL, 10), argv + 4, argc - 4);
	else if (strcmp(what, "crowd") == 0 && argc > 4)
		bench_crowd((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10),
		    argv + 4, argc - 4);
	else if (strcmp(what, "put") == 0 && argc == 5)
		bench_put(argv[2], argv[3], argv[4]);
	else if (strcmp(what, "relay") == 0 && argc == 4)
		relay((uint16_t)strtol(argv[2], NULL, 10), strtod(argv[3], NULL));
	else {
		fputs("usage: see the beginning of bench/ssh.c\n", stderr);
		return 64;
	}
	return 0;
}
