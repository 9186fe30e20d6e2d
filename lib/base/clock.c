#include "lib/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static int64_t
now_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec / 1000000;
}

int64_t
clock_wall_ms(void)
{
	const char *fixed = getenv("COPYHOLD_NOW");

	if (fixed && *fixed) {
		char *end;
		long long ms = strtoll(fixed, &end, 10);

		if (*end == '\0')
			return ms;
	}
	return now_ms(CLOCK_REALTIME);
}

int64_t
clock_mono_ms(void)
{
	return now_ms(CLOCK_MONOTONIC);
}

char *
clock_iso(Arena *mem, int64_t wall_ms)
{
	int64_t ms = wall_ms % SECOND, s = wall_ms / SECOND;
	struct tm tm = { 0 };

	if (ms < 0) {
		ms += SECOND;
		s--;
	}
	time_t t = (time_t)s;
	gmtime_r(&t, &tm);
	return arena_printf(mem, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
}

/* Matches text against a shape in which each 0 stands for a digit. */
static bool
has_shape(const char *text, const char *shape)
{
	for (; *shape; text++, shape++)
		if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
			return false;
	return *text == '\0';
}

static int
digits(const char *p, int n)
{
	int value = 0;

	while (n-- > 0)
		value = value * 10 + (*p++ - '0');
	return value;
}

bool
clock_parse(const char *iso, int64_t *wall_ms)
{
	bool day_only = has_shape(iso, "0000-00-00");
	bool with_ms = has_shape(iso, "0000-00-00T00:00:00.000Z");

	if (!day_only && !with_ms && !has_shape(iso, "0000-00-00T00:00:00Z"))
		return false;
	struct tm tm = {
		.tm_year = digits(iso, 4) - 1900,
		.tm_mon = digits(iso + 5, 2) - 1,
		.tm_mday = digits(iso + 8, 2),
		.tm_hour = day_only ? 0 : digits(iso + 11, 2),
		.tm_min = day_only ? 0 : digits(iso + 14, 2),
		.tm_sec = day_only ? 0 : digits(iso + 17, 2),
	};
	struct tm same = tm;
	time_t t = timegm(&same);
	if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour ||
	    same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec || same.tm_year != tm.tm_year)
		return false; /* timegm() moved a day or an hour that does not exist */
	*wall_ms = (int64_t)t * SECOND + (with_ms ? digits(iso + 20, 3) : 0);
	return true;
}

static char *
two_units(Arena *mem, int64_t span, int64_t big, const char *big_name, int64_t small,
    const char *small_name)
{
	int64_t a = span / big, b = span % big / small;

	if (b == 0)
		return arena_printf(mem, "%" PRId64 " %s", a, big_name);
	return arena_printf(mem, "%" PRId64 " %s %" PRId64 " %s", a, big_name, b, small_name);
}

char *
clock_human(Arena *mem, int64_t span_ms)
{
	if (span_ms < 0)
		span_ms = 0;
	if (span_ms < SECOND)
		return arena_printf(mem, "%" PRId64 " ms", span_ms);
	if (span_ms < MINUTE && span_ms % SECOND < 100)
		return arena_printf(mem, "%" PRId64 " s", span_ms / SECOND);
	if (span_ms < MINUTE)
		return arena_printf(
		    mem, "%" PRId64 ".%" PRId64 " s", span_ms / SECOND, span_ms % SECOND / 100);
	if (span_ms < HOUR)
		return two_units(mem, span_ms, MINUTE, "min", SECOND, "s");
	if (span_ms < DAY)
		return two_units(mem, span_ms, HOUR, "h", MINUTE, "min");
	return two_units(mem, span_ms, DAY, "d", HOUR, "h");
}

int64_t
backoff_ms(int attempt, int64_t base_ms, int64_t cap_ms)
{
	int64_t ceiling = base_ms;
	uint64_t chance;

	while (attempt-- > 0 && ceiling < cap_ms)
		ceiling = ceiling > cap_ms / 2 ? cap_ms : ceiling * 2;
	if (ceiling > cap_ms)
		ceiling = cap_ms;
	if (ceiling <= 0)
		return 0;
	random_bytes(&chance, sizeof chance);
	return (int64_t)(chance % ((uint64_t)ceiling + 1));
}

void
random_bytes(void *out, size_t n)
{
	unsigned char *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fputs("copyhold: the kernel gives no random bytes\n", stderr);
			abort();
		}
		p += got;
		n -= (size_t)got;
	}
}

char *
random_uuid(Arena *mem)
{
	unsigned char b[16];

	random_bytes(b, sizeof b);
	b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
	return arena_printf(mem,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
	    b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
	    b[15]);
}

char *
random_name(Arena *mem, size_t letters)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	char *name = arena_alloc(mem, letters + 1);

	random_bytes(name, letters);
	for (size_t i = 0; i < letters; i++)
		name[i] = alphabet[(unsigned char)name[i] & 31];
	return name;
}

typedef struct FaultPlan {
	bool read;
	enum { FAULT_NONE, FAULT_LIST, FAULT_KILL, FAULT_STOP, FAULT_KILL_AFTER } what;
	const char *file;
	long at, after_ms;
	long passed;
} FaultPlan;

static void
plan_read(FaultPlan *plan)
{
	const char *text = getenv("COPYHOLD_FAULT");
	char *end = NULL;

	plan->read = true;
	if (!text)
		return;
	if (strncmp(text, "list:", 5) == 0) {
		plan->what = FAULT_LIST;
		plan->file = text + 5;
	} else if (strncmp(text, "kill:", 5) == 0) {
		plan->what = FAULT_KILL;
		plan->at = strtol(text + 5, &end, 10);
	} else if (strncmp(text, "stop:", 5) == 0) {
		plan->what = FAULT_STOP;
		plan->at = strtol(text + 5, &end, 10);
	} else if (strncmp(text, "kill-after:", 11) == 0) {
		plan->what = FAULT_KILL_AFTER;
		plan->at = strtol(text + 11, &end, 10);
		plan->after_ms = *end == ':' ? strtol(end + 1, &end, 10) : 0;
	}
}

static void
list_name(const char *file, const char *name)
{
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	if (dprintf(fd, "%s\n", name) < 0)
		perror(file);
	close(fd);
}

static void
kill_later(long ms)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };
	timer_t timer;

	if (ms <= 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &when, NULL) != 0)
		raise(SIGKILL);
}

void
fault_point(const char *name)
{
	static FaultPlan plan;

	if (!plan.read)
		plan_read(&plan);
	if (plan.what == FAULT_NONE)
		return;
	if (plan.what == FAULT_LIST)
		list_name(plan.file, name);
	else if (++plan.passed != plan.at)
		return;
	else if (plan.what == FAULT_KILL_AFTER)
		kill_later(plan.after_ms);
	else
		raise(plan.what == FAULT_KILL ? SIGKILL : SIGSTOP);
}
