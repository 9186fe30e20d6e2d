/*
 * words.h - what the statements of a query are about, from their first words:
 * a reader of PostgreSQL's lexical rules (documentation, "Lexical Structure")
 * that takes the text in pieces and keeps a fixed state.
 *
 * It knows strings ('', E'', U&'', $tag$), quoted and Unicode-escaped names, both
 * kinds of comments (nested), and where one statement ends and the next begins.
 * It sees neither into DO and function bodies nor what a function does: docs/gateway.md
 * says so.  Used to find what pins a session and, on guarded routes, what is
 * refused; never to change a text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Word {			/* a set of these is said of a text */
	WORD_LISTEN	= 1 << 0,	/* LISTEN */
	WORD_NOTIFY	= 1 << 1,	/* NOTIFY, pg_notify( */
	WORD_LOCK	= 1 << 2,	/* LOCK [TABLE] */
	WORD_SAVEPOINT	= 1 << 3,	/* SAVEPOINT: counted in Words.savepoints */
	WORD_SET	= 1 << 4,	/* SET [SESSION] or RESET of a setting that we do not track; set_config(,
					 * UPDATE pg_settings; RESET ALL, with WORD_TRACKED and WORD_DEADLINE */
	WORD_TRACKED	= 1 << 5,	/* SET or RESET of one that the server reports of those that we do */
	WORD_ROLE	= 1 << 6,	/* SET ROLE, SET SESSION AUTHORIZATION */
	WORD_TEMP	= 1 << 7,	/* CREATE TEMP|TEMPORARY, SELECT ... INTO TEMP; pg_temp */
	WORD_HOLD	= 1 << 8,	/* DECLARE ... WITH HOLD */
	WORD_PREPARE	= 1 << 9,	/* PREPARE name (not PREPARE TRANSACTION) */
	WORD_ADVISORY	= 1 << 10,	/* pg_[try_]advisory_lock[_shared]( : session level */
	WORD_ADVISORY_XACT = 1 << 11,
	WORD_DO		= 1 << 12,	/* DO, CALL */
	WORD_DISCARD_ALL = 1 << 13,	/* DISCARD ALL; DEALLOCATE ALL is WORD_DEALLOCATE with no name */
	WORD_DEALLOCATE	= 1 << 14,
	WORD_LOAD	= 1 << 15,	/* LOAD */
	WORD_COPY	= 1 << 16,	/* COPY ... */
	WORD_RUNS_SQL	= 1 << 17,	/* query_to_xml(, ts_stat( and their kin, which run a text; a name that
					 * is too long, or escaped, to be known */
	WORD_DEADLINE	= 1 << 18,	/* SET [LOCAL] statement_timeout, lock_timeout,
					 * idle_in_transaction_session_timeout... */
	WORD_TRANSACTION = 1 << 19,	/* BEGIN COMMIT ROLLBACK... */
	WORD_PREPARED_XACT = 1 << 20,	/* PREPARE TRANSACTION, COMMIT PREPARED */
	WORD_ALTER_ROLE	= 1 << 21,	/* ALTER ROLE, USER, GROUP */
	WORD_ENCODING	= 1 << 22,	/* SET [LOCAL] or RESET of client_encoding */
	WORD_BYTES	= 1 << 23	/* Words.bytes, where no more than a set is kept */
} Word;

#define WORDS_NAME	132	/* bytes of a name as it is written; PostgreSQL keeps 63 of it */
#define WORDS_FIRST	6
#define WORDS_KEPT	40

typedef struct Words {
	uint32_t	 found;		/* Word */
	uint32_t	 statements;	/* that are not empty; those within a function's or a rule's body count, too */
	uint32_t	 savepoints;	/* SAVEPOINT less RELEASE, 0 at least; none after COMMIT or ROLLBACK */
	uint32_t	 deepest;	/* the most that savepoints has been */
	uint32_t	 resets;	/* by 1 << VAR_*: settings that are set back to what the session began with */
	char		 name[64];	/* of the one DEALLOCATE; "" for ALL or several */
	bool		 bytes;		/* not only ASCII: what it is depends on client_encoding */
	bool		 odd;		/* ended within a string, a comment or a name: the server will refuse it; or
					 * it cannot be followed (a $tag$ above WORDS_NAME): better refuse it */
	/* the reader's own */
	bool		 standard_strings;
	uint8_t		 state;
	uint8_t		 escapes;	/* a backslash in this string, and in one that continues it, hides a quote */
	uint8_t		 goes_on;	/* after a string: blanks (1), with a newline (2), so that a quote
					 * goes on with it */
	uint8_t		 unicode;	/* a U&"" that is complete and waits for UESCAPE (1), for its string (2) */
	uint8_t		 deallocated;
	uint32_t	 comments;	/* how deep */
	uint32_t	 string_n;	/* bytes of this string so far */
	char		 string_first;
	uint32_t	 matched;	/* of the tag */
	uint32_t	 word_n, tag_n;	/* above WORDS_NAME: what came after it is not kept */
	char		 word[WORDS_NAME], tag[WORDS_NAME];	/* being read; a $tag$, or the U&"" that waits */
	uint32_t	 tokens;	/* of this statement so far */
	char		 first[WORDS_FIRST][WORDS_KEPT];	/* WORD, "name, ' or the sign itself */
	char		 last[2][WORDS_KEPT];	/* the token before, and the one before that */
	uint32_t	 seen;		/* of this statement */
} Words;

void	 words_start(Words *w, bool standard_conforming_strings);
void	 words_add(Words *w, const char *text, size_t n);
void	 words_end(Words *w);
/* A whole text.  One with a backslash is read both ways, since a pipelined SET may come before it that is
 * not answered yet: what either finds counts, and `odd` and the rest are as the setting has it. */
void	 words_text(Words *w, const char *text, size_t n, bool standard_conforming_strings);
bool	 words_forget_all(const Words *w);	/* DISCARD ALL, DEALLOCATE ALL: prepared statements go */
/* Can texts in this client_encoding be read here?  In SJIS, BIG5, GBK, UHC, GB18030 and JOHAB, which only
 * clients may use, the second byte of a character may look like a backslash: what refuses by words has to
 * refuse those. */
bool	 words_encoding(const char *client_encoding);
bool	 words_tracked(const char *setting);	/* client_encoding DateStyle TimeZone IntervalStyle
						 * extra_float_digits standard_conforming_strings application_name, in any case */
const char *word_name(Word w);			/* "LISTEN", "session SET", "temporary table"... for people */
