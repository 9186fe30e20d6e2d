/*
 * witness.h - who remembers each log's last checkpoint and cosigns only what
 * extends it: C2SP tlog-witness.
 *
 * Served: POST /add-checkpoint ("old N", proof lines, blank line, checkpoint):
 * 200 and a cosignature line; 404 unknown origin, 403 no valid signature of a
 * known key, 400 malformed or old greater than the size, 409 with the size it
 * has (text/x.tlog.size) if old is not that or the root differs, 422 wrong
 * proof.  The new state is durable before the answer; two requests for one log
 * come one after the other, also those to two processes in one folder.  A
 * witness has a folder of its own (witness.db: name, key, state) and no home.
 */
#pragma once

#include "compliance/audit/policy.h"
#include "lib/adapters/serve.h"
#include "lib/core/catalog.h"

typedef struct WitnessAnswer { int status; const char *type; const char *body; } WitnessAnswer;
typedef struct Witness Witness;
/* Makes folder, key and state if new, which wants a name; else the name may be NULL and must not be another. */
bool	 witness_open(Ctx *cx, const char *dir, const char *name, Witness **out);
const NoteKey *witness_key(const Witness *w);
bool	 witness_trust(Ctx *cx, Witness *w, const NoteKey *log);	/* for the origin that is the key's name; a log may have several */
/* Of a text: a key a line, or a list of C2SP tlog-list; comments (#) and cosigners' keys are passed over. */
bool	 witness_trust_list(Ctx *cx, Witness *w, const char *file, const char *text, size_t n, size_t *logs);
bool	 witness_add(Ctx *cx, Witness *w, const char *body, size_t n, WitnessAnswer *out);	/* false: it could not be decided (disk...) */
bool	 witness_serve(Ctx *cx, Witness *w, const ServeSpec *spec);	/* until SIGTERM; `answer` and `ptr` of the spec are its own */

typedef struct WitnessLog {
	const char	*origin;
	uint64_t	 size;
	Hash		 root;
	int64_t		 signed_at;	/* unix s; 0: never */
	const char	*note;		/* the checkpoint as the log signed it, or NULL */
	int64_t		 forks;		/* checkpoints of a size that it knows with another root */
} WitnessLog;
typedef struct WitnessLogs { WitnessLog *at; size_t n, cap; } WitnessLogs;
bool	 witness_logs(Ctx *cx, Witness *w, WitnessLogs *out);		/* by origin */
typedef struct WitnessFork { const char *origin; uint64_t size; int64_t at; const char *ours, *theirs; } WitnessFork;
typedef struct WitnessForks { WitnessFork *at; size_t n, cap; } WitnessForks;
bool	 witness_forks(Ctx *cx, Witness *w, WitnessForks *out);		/* two notes that one log signed, of one size */

/* --- the home's side -------------------------------------------------------------------- */

typedef struct WitnessRecord {
	const char	*url, *key;
	const char	*ca;		/* PEM text, or NULL */
	int64_t		 asked, signed_at;	/* wall ms, of any log; 0: never */
	int64_t		 behind;	/* logs whose last checkpoint it has not cosigned */
	int64_t		 since;		/* wall ms: when the oldest of those was signed; 0: none */
	const char	*error;		/* of its last answer for one of those, or NULL */
} WitnessRecord;
typedef struct WitnessRecords { WitnessRecord *at; size_t n, cap; } WitnessRecords;
bool	 witness_remember(Ctx *cx, Home *home, const char *url, const NoteKey *key, const char *ca);
bool	 witness_forget(Ctx *cx, Home *home, const char *url);
bool	 witness_list(Ctx *cx, Home *home, WitnessRecords *out);	/* by url */
/* Offers a log's published checkpoint to every witness of the home that has not cosigned it and whose time
 * to be asked has come, learns their sizes from 409 and adds their lines to it; for at most deadline_ms.  A
 * witness that is down or answers nonsense is no failure: its error is kept and it is asked again later.
 * One that knows another tree, or more than we have, is: FAIL_FORKED. */
struct Log;
bool	 witness_ask(Ctx *cx, Home *home, const struct Log *log, int64_t deadline_ms);
/* The same for all logs that wait for a witness, many at once.  What disagrees is said and kept. */
bool	 witness_round(Ctx *cx, Home *home, int64_t deadline_ms, size_t *asked);
/* After a command that wrote: a round, unless audit run does it; longer where a witness was too slow, to five
 * times the budget.  Never fails the command. */
void	 witness_catch_up(Ctx *cx, Home *home, int64_t budget_ms);
/* Rounds until SIGTERM: a lane of its own beside the one that publishes, so that no log waits for a network. */
void	 witness_watch(Ctx *cx, Home *home);
/* Before a restored home signs anything new: does any witness know more of a log than this tree, which was
 * signed before, or another history of it?  A witness that does not answer cannot be known to agree. */
typedef struct WitnessProbe WitnessProbe;
typedef struct WitnessTree {
	uint64_t	 size;
	const char	*note;	/* its checkpoint with the log's signature */
	HashSource	 from;	/* for the proof that it continues what the witness has */
} WitnessTree;
bool	 witness_probe(Ctx *cx, Home *home, WitnessProbe **out);
void	 witness_doubt(Ctx *cx, WitnessProbe *p, const WitnessTree *tree, const char **doubt);	/* NULL: all agree, or none is configured */
bool	 witness_probe_any(const WitnessProbe *p);	/* is there one to ask? */
