/*
 * verify.h - the parts of verify_*.c among themselves.
 *
 * Inside deployer only.
 */
#pragma once

#include "deployer/items.h"

/* Where an attempt of attempts.def is tried. */
enum { AT_PLAIN = 1, AT_SHARED = 2, AT_THEIRS = 4, AT_ALL = AT_PLAIN | AT_SHARED };

/* A value that another tenant of the shared database has and this one has not; never shown. */
typedef struct Theirs {
	const char	*object, *field;	/* NULL: nobody else has any */
	const char	*relation, *column;	/* quoted, as this tenant's sessions find them */
	const char	*value, *digest;	/* the text, and its md5 */
} Theirs;

typedef struct Verify {
	Ctx		*cx;
	const Placement	*at;
	const Model	*m;
	const Login	*login;
	const Secret	*password;
	Pg		*pg;		/* as the login */
	Names		 databases;	/* others on the server */
	const char	*neighbour, *other_db, *other_oid, *object, *pid;
	const char	*wide, *wide_oid;	/* mode shared: a wide table, quoted, and its number */
	Theirs		 theirs;
	Attempts	*out;
} Verify;

void	 verify_file(Verify *v, Heading heading, const char *what, const char *result);
/* A session that an attempt ended is opened again. */
bool	 verify_session(Verify *v);

/* verify_shared.c: before the attempts, as our own login; and what no single statement tells. */
bool	 verify_look(Verify *v, Pg *pg);
bool	 verify_rules(Verify *v, Pg *admin);
