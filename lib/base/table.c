#include "lib/base/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/vec.h"

#define GAP 2

struct Table {
	Arena *mem;
	Output output;
	const Column *columns;
	size_t n;
	VEC(const char *) cells;
};

Table *
table_new(Arena *mem, Output output, const Column *columns, size_t n)
{
	Table *t = arena_alloc(mem, sizeof *t);

	t->mem = mem;
	t->output = output;
	t->columns = columns;
	t->n = n;
	return t;
}

void
table_cell(Table *t, const char *value)
{
	vec_push(t->mem, &t->cells, arena_dup(t->mem, value));
}

void
table_int(Table *t, long long value)
{
	vec_push(t->mem, &t->cells, arena_printf(t->mem, "%lld", value));
}

void
table_bool(Table *t, bool value)
{
	bool text = t->output == OUTPUT_TEXT;

	vec_push(t->mem, &t->cells, value ? (text ? "yes" : "true") : (text ? "no" : "false"));
}

static const char *
cell_at(const Table *t, size_t row, size_t column)
{
	size_t i = row * t->n + column;

	return i < t->cells.n ? t->cells.at[i] : NULL;
}

static size_t
row_count(const Table *t)
{
	return t->n ? (t->cells.n + t->n - 1) / t->n : 0;
}

/* A number or a boolean stands bare in JSON; other text in such a column is quoted. */
static bool
is_bare(CellType type, const char *value)
{
	size_t sign = *value == '-';

	switch (type) {
	case CELL_TEXT:
		return false;
	case CELL_INT:
		return value[sign] && strspn(value + sign, "0123456789") == strlen(value + sign);
	case CELL_BOOL:
		return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
	case CELL_RAW:
		return true;
	}
	return false;
}

static void
add_object(Buf *b, const Table *t, size_t row)
{
	buf_addc(b, '{');
	for (size_t i = 0; i < t->n; i++) {
		const char *value = cell_at(t, row, i);

		buf_add(b, i ? "," : "");
		buf_json(b, t->columns[i].key);
		buf_addc(b, ':');
		if (!value)
			buf_add(b, "null");
		else if (is_bare(t->columns[i].type, value))
			buf_add(b, value);
		else
			buf_json(b, value);
	}
	buf_addc(b, '}');
}

static void
print_objects(const Table *t, FILE *out)
{
	bool lines = t->output == OUTPUT_JSONL;
	size_t rows = row_count(t);
	Arena *mem = arena_new(t->mem);

	if (!lines)
		fputs(rows ? "[\n" : "[]\n", out);
	for (size_t row = 0; row < rows; row++) {
		Buf b = buf_new(mem);

		add_object(&b, t, row);
		fputs(lines ? "" : "  ", out);
		fputs(b.text, out);
		fputs(lines || row + 1 == rows ? "\n" : ",\n", out);
		arena_reset(mem);
	}
	if (!lines && rows)
		fputs("]\n", out);
	arena_free(mem);
}

static const char *
plain(Arena *mem, const char *text)
{
	Buf b = buf_new(mem);

	buf_plain(&b, text ? text : "-", " ");
	return b.text;
}

static void
add_padded(Buf *b, const char *text, int width, bool right, bool last)
{
	int spaces = width - text_width(text);

	if (right)
		buf_fmt(b, "%*s", spaces, "");
	buf_add(b, text);
	if (!right && !last)
		buf_fmt(b, "%*s", spaces, "");
}

static void
print_row(const Table *t, FILE *out, const char *const *texts, const int *widths)
{
	Arena *mem = arena_new(t->mem);
	Buf b = buf_new(mem);
	size_t last = t->n;

	while (last > 0 && !t->columns[last - 1].title)
		last--;
	for (size_t i = 0; i < last; i++) {
		if (!t->columns[i].title)
			continue;
		if (b.len > 0)
			buf_fmt(&b, "%*s", GAP, "");
		add_padded(&b, texts[i], widths[i], t->columns[i].right, i + 1 == last);
	}
	while (b.len > 0 && b.text[b.len - 1] == ' ')
		b.text[--b.len] = '\0';
	buf_addc(&b, '\n');
	fputs(b.text, out);
	arena_free(mem);
}

static void
print_text(const Table *t, FILE *out)
{
	size_t rows = row_count(t);
	Arena *mem = arena_new(t->mem);
	const char **texts = arena_alloc(mem, (rows + 1) * t->n * sizeof *texts);
	int *widths = arena_alloc(mem, t->n * sizeof *widths);

	for (size_t row = 0; row <= rows; row++) {
		for (size_t i = 0; i < t->n; i++) {
			const char **text = &texts[row * t->n + i];

			*text = row ? plain(mem, cell_at(t, row - 1, i)) : t->columns[i].title;
			int width = *text ? text_width(*text) : 0;
			if (width > widths[i])
				widths[i] = width;
		}
	}
	for (size_t row = 0; row <= rows; row++)
		print_row(t, out, texts + row * t->n, widths);
	arena_free(mem);
}

void
table_print(Table *t, FILE *out)
{
	if (t->output == OUTPUT_TEXT)
		print_text(t, out);
	else
		print_objects(t, out);
}

void
out_text(FILE *out, const char *text)
{
	fputs(text, out);
}

bool
out_flush(FILE *out)
{
	return fflush(out) == 0 && !ferror(out);
}

void
out_line(FILE *out, const char *fmt, ...)
{
	Arena *mem = arena_new(NULL);
	Buf b = buf_new(mem);
	va_list ap;

	va_start(ap, fmt);
	buf_plain(&b, arena_vprintf(mem, fmt, ap), "\n");
	va_end(ap);
	fputs(b.text, out);
	fputc('\n', out);
	arena_free(mem);
}
