/*
 * measure [-t] [-n ROUNDS] -- COMMAND... [-- COMMAND...]... - the commands in
 * turn, ROUNDS times, output thrown away (-t: of a terminal); prints a line a
 * command: the median milliseconds to the end, those to the first byte that it
 * wrote (-1: none), the greatest resident memory in KiB, the last exit status.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS 8
#define ROUNDS	 1000

static struct {
	char	**argv;
	double	 wall[ROUNDS], first[ROUNDS];
	long	 rss;
	int	 status;
} commands[COMMANDS];
static bool terminal;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

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

	return (x > y) - (x < y);
}

static double
median(double *at, size_t n)
{
	qsort(at, n, sizeof *at, by_size);
	return n % 2 ? at[n / 2] : (at[n / 2 - 1] + at[n / 2]) / 2;
}

/* Our end, and theirs in *other. */
static int
channel(int *other)
{
	int ends[2];

	if (!terminal) {
		if (pipe2(ends, O_CLOEXEC) != 0)
			die("pipe");
	} else {
		ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0)
			die("terminal");
		ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (ends[1] < 0)
			die("terminal");
	}
	*other = ends[1];
	return ends[0];
}

static pid_t
start(char **argv, int *out)
{
	posix_spawn_file_actions_t acts;
	extern char **environ;
	int theirs;
	pid_t pid;

	*out = channel(&theirs);
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&acts, theirs, 1);
	posix_spawn_file_actions_adddup2(&acts, theirs, 2);
	if (posix_spawnp(&pid, argv[0], &acts, NULL, argv, environ) != 0)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&acts);
	close(theirs);
	return pid;
}

static void
run(size_t c, size_t round)
{
	static char sink[65536];
	double begun = now_ms(), first = -1;
	struct rusage use;
	int out, status;
	pid_t pid = start(commands[c].argv, &out);

	while (read(out, sink, sizeof sink) > 0)
		if (first < 0)
			first = now_ms() - begun;
	close(out);
	if (wait4(pid, &status, 0, &use) != pid)
		die("wait4");
	commands[c].wall[round] = now_ms() - begun;
	commands[c].first[round] = first;
	if (use.ru_maxrss > commands[c].rss)
		commands[c].rss = use.ru_maxrss;
	commands[c].status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static size_t
split(char **argv)
{
	size_t n = 0;

	for (char **p = argv; *p; p++) {
		if (strcmp(*p, "--") != 0)
			continue;
		*p = NULL;
		if (n == COMMANDS)
			break;
		commands[n++].argv = p + 1;
	}
	return n;
}

int
main(int argc, char **argv)
{
	size_t rounds = 1, n;

	for (int option; (option = getopt(argc, argv, "+tn:")) != -1;) {
		terminal = terminal || option == 't';
		if (option == 'n')
			rounds = strtoul(optarg, NULL, 10);
	}
	n = split(argv + optind - 1);
	if (!n || !rounds || rounds > ROUNDS) {
		fprintf(stderr, "usage: measure [-t] [-n ROUNDS] -- COMMAND... [-- COMMAND...]...\n");
		return 64;
	}
	for (size_t round = 0; round < rounds; round++)
		for (size_t c = 0; c < n; c++)
			run(c, round);
	for (size_t c = 0; c < n; c++)
		printf("%.2f %.2f %ld %d\n", median(commands[c].wall, rounds),
		    median(commands[c].first, rounds), commands[c].rss, commands[c].status);
	return 0;
}
