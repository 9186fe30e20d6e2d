/*
 * data.h - rows into a tenant and the proof that they arrived: import of a
 * model from an existing database, load, compare.
 *
 * A source is any PostgreSQL database (source.h).  No value of a row is ever
 * in an error, a note or a report, but keys in a comparison that was asked to
 * show them.
 */
#pragma once

#include "deployer/source.h"
#include "lib/core/place.h"

/* A Model of the tables of one schema, checked; `notes`: what is carried otherwise, or not. */
bool	 data_import(Ctx *cx, const PgTarget *source, const char *schema, const char *name,
	    Model **out, Names *notes);

typedef struct DataFrom {
	const PgTarget	*target;
	const char	*schema;
} DataFrom;

/* --- which column goes into which field ----------------------------------------- */

typedef struct Pair {
	Field			 field;		/* resolved: a reference has its target's type */
	const SourceColumn	*column;
	const char		*here;		/* the column's name on the tenant's side, quoted */
} Pair;

typedef struct Match {		/* one object and its table over there */
	const Object		*object;
	const SourceTable	*table;
	Relation		 here;
	struct { Pair *at; size_t n, cap; } pairs;
	Names	 left_out;	/* columns there without a field */
	Names	 missing;	/* fields without a column there */
	Names	 clashes;	/* "field \"a\" is number, column \"A\" is text" */
	bool	 key_matched;	/* every field of the key is among the pairs */
} Match;

typedef struct Matches {
	struct { Match *at; size_t n, cap; } objects;	/* in the model's order */
	Names			 absent;	/* objects without a table there */
	Names			 strays;	/* tables there without an object */
} Matches;

bool	 match_source(Ctx *cx, const Placement *at, const Model *m, const Source *s,
	    Matches *out);

/* --- load ----------------------------------------------------------------------- */

typedef struct DataObject {
	const Match	*match;
	int64_t		 rows, bytes, ms;
} DataObject;

typedef struct DataReport {
	Matches		 matches;
	struct { DataObject *at; size_t n, cap; } objects;
	int64_t		 rows, bytes, ms;	/* ms: rules and commit included */
} DataReport;

/* Rows of the source into the tenant's empty objects, all or nothing.  `fence` is that of the
 * tenant's lease; a dry run counts and changes nothing. */
bool	 data_load(Ctx *cx, Home *home, Conns *conns, const Placement *at, const Model *m,
	    const DataFrom *from, int64_t fence, bool dry_run, DataReport *out);

/* --- compare -------------------------------------------------------------------- */

#define COMPARE_SHOWN 20	/* differing keys that are listed, an object */

typedef enum DiffKind { DIFF_MISSING_HERE, DIFF_MISSING_THERE, DIFF_VALUES } DiffKind;

typedef struct RowDiff {
	DiffKind	 kind;
	const char	*key;		/* a surrogate, or the key itself if asked for */
	Names		 fields;	/* DIFF_VALUES: which */
} RowDiff;

typedef struct CompareSum { const char *field, *here, *there; } CompareSum;

typedef struct CompareObject {
	const Match	*match;
	int64_t		 rows_here, rows_there;
	const char	*digest_here;	/* 32 hex digits, independent of order */
	const char	*digest_there;
	struct { CompareSum *at; size_t n, cap; } sums;	/* of numeric fields, no keys */
	int64_t		 missing_here, missing_there, different;
	struct { RowDiff *at; size_t n, cap; } diffs;	/* the first ones */
	bool		 equal;
} CompareObject;

typedef struct CompareReport {
	Matches		 matches;
	struct { CompareObject *at; size_t n, cap; } objects;
	bool		 equal;		/* in what both sides have; see matches for the rest */
} CompareReport;

bool	 data_compare(Ctx *cx, Conns *conns, const Placement *at, const Model *m,
	    const DataFrom *with, bool show_values, CompareReport *out);

/* In open sessions and one snapshot of each, until `until` (mono; 0: it takes what it takes).  `out` holds
 * the matches. */
bool	 data_compare_in(Ctx *cx, Pg *here, Source *with, int64_t until, CompareReport *out);

/* --- copy: PlaceDriver.copy and .copied of modes with plain tables ----------------- */

bool	 copy_act(Ctx *cx, const StepEnv *env, const Placement *to, const Model *m, int64_t deadline);
bool	 copy_same(Ctx *cx, Conns *conns, const Placement *from, const Placement *to, const Model *m,
	    int64_t deadline, int64_t *rows);
