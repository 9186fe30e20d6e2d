/*
 * buf.h - growing text in an arena, with a stated maximum, and the one place
 * that quotes: SQL identifiers and literals, shell words, JSON strings.
 *
 * A Buf that would pass its maximum stops growing and stays `full`; the caller
 * asks once, at the end.  The text is always NUL-terminated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"

typedef struct Buf {
	Arena	*mem;
	char	*text;	/* never NULL after buf_new */
	size_t	 len;
	size_t	 cap;
	size_t	 max;
	bool	 full;
} Buf;

#define BUF_MAX_DEFAULT ((size_t)64 << 20)

Buf	 buf_new(Arena *mem);
Buf	 buf_new_max(Arena *mem, size_t max);
void	 buf_clear(Buf *b);
void	 buf_add(Buf *b, const char *text);
void	 buf_addn(Buf *b, const void *bytes, size_t n);
void	 buf_addc(Buf *b, char c);
void	 buf_fmt(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Invalid UTF-8 never passes a quoting function but buf_shell(): it becomes U+FFFD. */
void	 buf_ident(Buf *b, const char *name);	/* "name", quotes doubled */
void	 buf_literal(Buf *b, const char *value);	/* 'value', or E'..' with backslashes; NULL gives NULL */
void	 buf_shell(Buf *b, const char *word);	/* one POSIX shell word */
void	 buf_json(Buf *b, const char *value);	/* "value" as JSON string */
void	 buf_plain(Buf *b, const char *text, const char *newline);	/* for a terminal: control characters but colours become '?' */
bool	 utf8_valid(const char *bytes, size_t n);	/* RFC 3629, no NUL */
int	 text_width(const char *utf8);		/* terminal columns (wcwidth of each code point; colours have none) */
const char *nearest_word(const char *word, const char *const *words, size_t n);	/* for "did you mean", or NULL */
