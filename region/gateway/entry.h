/*
 * entry.h - who is at the door: tenant, user and settings from the first packet
 * and from TLS SNI.
 *
 * The tenant is named by one or more of: `options` (-c tenant=acme, -ctenant=acme,
 * --tenant=acme), the user's suffix after the last dot (app.acme), the first label
 * of SNI under one of the configured domains (acme.db.example), the database.
 * Two that disagree are refused with 28000.  The database name counts when it is
 * the only one, and otherwise must be the same tenant's or equal the user's
 * (what libpq sends when none is given).  Names are compared as bytes; that of
 * SNI in lower case.
 */
#pragma once

#include "region/gateway/wire.h"

#define ENTRY_NAME	64
#define ENTRY_SETTINGS	24

typedef struct Entry {
	char		 tenant[ENTRY_NAME], user[ENTRY_NAME];
	StartupParam	 tracked[8];	/* settings that are kept for the client wherever it is connected */
	size_t		 ntracked;
	StartupParam	 other[ENTRY_SETTINGS];	/* any others: such a client keeps one server connection */
	size_t		 nothers;
	bool		 replication;	/* replication=... was asked for */
	char		 text[2048];	/* what the settings point into */
	const char	*sqlstate, *why;	/* when refused */
} Entry;

/* What settings `options` and the other parameters ask for, in PostgreSQL's order: of two for one setting the
 * last counts.  Names that are no settings (user, database...) and switches other than -c are refused (22023):
 * what is kept may be sent on as a parameter of a first packet.
 * sni NULL: none; suffixes: NULL-terminated, without a leading dot. */
bool	 entry_read(const Startup *s, const char *sni, const char *const *suffixes, Entry *out);
