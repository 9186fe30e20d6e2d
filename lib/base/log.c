#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/lane.h"
#include "lib/base/vec.h"

#define LINE_MAX_BYTES 4096
#define ANSWER_MAX     256

static struct {
	LogLevel level;
	bool json;
	char live[LINE_MAX_BYTES]; /* shown now; empty: none */
} state = { .level = LOG_NORMAL };

void
log_setup(LogLevel level, bool json_lines)
{
	state.level = level;
	state.json = json_lines;
}

bool
log_is_tty(void)
{
	return isatty(STDERR_FILENO) == 1;
}

static int
terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

/* Cuts at whole characters, one column short: a full last column may wrap. */
static void
cut_to_width(char *line, int columns)
{
	size_t n = strlen(line);

	while (n > 0 && text_width(line) >= columns) {
		do
			n--;
		while (n > 0 && ((unsigned char)line[n] & 0xC0) == 0x80);
		line[n] = '\0';
	}
}

static void
draw_live(void)
{
	if (state.live[0])
		fprintf(stderr, "\r%s\033[K", state.live);
}

static void
erase_live(void)
{
	if (state.live[0])
		fputs("\r\033[K", stderr);
}

void
log_raw(const char *text)
{
	fflush(stdout); /* in the order in which it was said, where both go to one place */
	erase_live();
	fputs(text, stderr);
	draw_live();
	fflush(stderr);
}

static void
put_line(const char *fmt, va_list ap)
{
	Arena *mem = arena_new(NULL);
	Buf b = buf_new(mem);
	const char *text = arena_vprintf(mem, fmt, ap);

	if (state.json) {
		buf_fmt(&b, "{\"time\":\"%s\",\"message\":", clock_iso(mem, clock_wall_ms()));
		buf_json(&b, text);
		buf_add(&b, "}");
	} else {
		buf_plain(&b, text, "\n");
	}
	buf_addc(&b, '\n');
	log_raw(b.text);
	arena_free(mem);
}

void
log_say(const char *fmt, ...)
{
	va_list ap;

	if (state.level < LOG_NORMAL)
		return;
	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}

void
log_note(const char *fmt, ...)
{
	va_list ap;

	if (state.level < LOG_DEBUG)
		return;
	va_start(ap, fmt);
	put_line(fmt, ap);
	va_end(ap);
}

void
log_live(const char *fmt, ...)
{
	va_list ap;

	if (state.level < LOG_NORMAL || state.json || !log_is_tty())
		return;
	Arena *mem = arena_new(NULL);
	Buf b = buf_new_max(mem, LINE_MAX_BYTES - 1);
	va_start(ap, fmt);
	const char *text = arena_vprintf(mem, fmt, ap);
	va_end(ap);
	buf_plain(&b, text, " ");
	cut_to_width(b.text, terminal_width());
	memcpy(state.live, b.text, strlen(b.text) + 1);
	arena_free(mem);
	draw_live();
	fflush(stderr);
}

void
log_live_end(void)
{
	fflush(stdout);
	erase_live();
	state.live[0] = '\0';
	fflush(stderr);
}

static bool
read_line(char *line, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap) {
		/* In slices, so that a first SIGINT is noticed before the line ends. */
		if (!lane_wait(STDIN_FILENO, LANE_READ, clock_mono_ms() + 100)) {
			if (lane_stopping())
				return false;
			continue;
		}
		ssize_t got = read(STDIN_FILENO, line + n, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		if (line[n] == '\n') {
			line[n] = '\0';
			return true;
		}
		n++;
	}
	return false;
}

bool
log_ask(const char *question, const char *expected)
{
	char line[ANSWER_MAX];

	if (!isatty(STDIN_FILENO) || !log_is_tty())
		return false;
	Arena *mem = arena_new(NULL);
	Buf b = buf_new(mem);
	buf_plain(&b, question, "\n");
	log_live_end();
	fprintf(stderr, "%s ", b.text);
	fflush(stderr);
	arena_free(mem);
	return read_line(line, sizeof line) && strcmp(line, expected) == 0;
}

static bool
colours_wanted(void)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	if ((none && *none) || !term || strcmp(term, "dumb") == 0)
		return false;
	return isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

const char *
paint(const char *role)
{
	static const struct {
		const char *role, *start;
	} paints[] = {
		{ "add", "\033[32m" },
		{ "change", "\033[33m" },
		{ "remove", "\033[31m" },
		{ "error", "\033[1;31m" },
		{ "dim", "\033[2m" },
		{ "bold", "\033[1m" },
		{ "off", "\033[0m" },
	};

	for (size_t i = 0; i < LENGTH(paints); i++)
		if (strcmp(paints[i].role, role) == 0)
			return colours_wanted() ? paints[i].start : "";
	return "";
}
