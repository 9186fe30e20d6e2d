/*
 * table.h - results to stdout: one column list gives aligned text, JSON and
 * JSON lines.  printf to stdout lives here and nowhere else.
 */
#pragma once

#include <stdio.h>

#include "lib/base/buf.h"

typedef enum Output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_JSONL } Output;

typedef enum CellType { CELL_TEXT, CELL_INT, CELL_BOOL, CELL_RAW } CellType;	/* RAW: the text is JSON already */

typedef struct Column {
	const char	*key;		/* JSON member */
	const char	*title;		/* heading in text; NULL: JSON only */
	CellType	 type;
	bool		 right;		/* align right */
} Column;

typedef struct Table Table;

Table	*table_new(Arena *mem, Output output, const Column *columns, size_t n);
void	 table_cell(Table *t, const char *value);	/* next cell, row by row; NULL prints "-" / null; copied */
void	 table_int(Table *t, long long value);
void	 table_bool(Table *t, bool value);
void	 table_print(Table *t, FILE *out);	/* text: aligned by display width; JSON: array; JSONL: a line each */
void	 out_text(FILE *out, const char *text);	/* one result that is no table */
/* A line for people: what a terminal would take for a command is left out.  JSON goes by out_text. */
void	 out_line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool	 out_flush(FILE *out);		/* false if what was printed did not all arrive */
