/*
 * table_form.h - how a snapshot and an encoded entry lie in memory: for
 * snapshot.c, which writes them, and table.c, which reads them.
 *
 *	snapshot   TableHead | RouteCell[routes] | LoginCell[logins] | u32[slots] | strings
 *	entry      EntryHead | RouteCell | LoginCell[logins] | strings
 *
 * Native byte order: both are read on the machine that made them.  Strings end
 * with NUL, and so does their last byte; 0 is the empty one.  A slot holds the
 * index of a route plus one; 0 is free; collisions go to the next slot.
 */
#pragma once

#include <string.h>

#include "region/route/table.h"

#define TABLE_MAGIC	"copyrts\n"
#define ENTRY_MAGIC	UINT32_C(0x59544e45)
#define TABLE_FORMAT	1

typedef struct TableHead {
	char		 magic[8];
	uint32_t	 format, head_n;
	uint64_t	 seed;
	int64_t		 seq;
	uint32_t	 routes, logins, slots, strings;
	uint64_t	 total;
} TableHead;

typedef struct RouteCell {
	char		 tenant[ROUTE_TENANT];
	int64_t		 epoch, seq, parked_until;
	uint32_t	 id, cluster, dbname;
	uint32_t	 first_login;
	int32_t		 cap;
	uint16_t	 logins;
	uint8_t		 state, flags;
} RouteCell;
enum { CELL_SUSPENDED = 1, CELL_TRANSACTION = 2, CELL_GUARDED = 4 };

typedef struct LoginCell {
	int64_t		 valid_until;
	uint32_t	 user, role;
	int32_t		 max_conns;
	uint32_t	 on;
} LoginCell;

typedef struct EntryHead {
	uint32_t	 magic, format;
	int64_t		 seq;
	uint32_t	 logins, strings;
} EntryHead;

_Static_assert(sizeof(TableHead) % 8 == 0 && sizeof(RouteCell) % 8 == 0 &&
	sizeof(LoginCell) % 8 == 0 && sizeof(EntryHead) % 8 == 0, "one may stand after the other");

/* FNV-1a, seeded, and mixed so that its low bits are good, too. */
static inline uint64_t
table_hash(uint64_t seed, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 33;
}
