/*
 * home.h - the home: folder, catalogue, master key, leases.
 *
 * One process opens a home once.  READS gets a handle that cannot write.
 * Layout: catalog.db, keys/ (master.key, 0600), audit/, run/ (lease, sockets,
 * passfiles).  All 0700 and ours, or refused with the fix.
 */
#pragma once

#include "lib/adapters/lite.h"
#include "lib/adapters/map.h"
#include "lib/base/opt.h"
#include "lib/core/model.h"

typedef struct Home {
	Arena		*mem;		/* of the command: what lives as long as the home */
	const char	*dir;
	Access		 access;
	Lite		*db;
	char		*id;		/* uuid, written on every target that this home claims */
	int		 lease_fd;	/* run/lease, or -1 */
	Map		*slots;		/* scope -> its byte there, of the leases that we hold */
	Map		*clusters;	/* what catalog_cluster() has made of their records */
	const Map	*hosts;		/* name -> Host *, of the manifests at hand; NULL: as they are recorded */
	const char	*actor;		/* "alice via root@host" */
	const char	*reason;	/* --reason, or NULL */
	unsigned char	*master;	/* KEY_BYTES, wiped with the arena; NULL until needed */
} Home;

const char	*home_default_dir(Arena *mem);
bool	 home_init(Ctx *cx, const char *dir, bool *made);	/* *made false: one stands there, nothing changed */
bool	 home_open(Ctx *cx, const char *dir, Access access, Home **out);
/* One file: the catalogue, and the master key sealed under the passphrase and bound to that catalogue.
 * Restoring makes a new home and never overwrites one. */
bool	 home_backup(Ctx *cx, Home *home, const char *file, const Secret *passphrase);
bool	 home_restore(Ctx *cx, const char *dir, const char *file, const Secret *passphrase);

bool	 home_make_folders(Ctx *cx, const char *dir);
/* Only one process at a time makes a home in a folder; the lock ends with home_unlock() or its holder. */
bool	 home_lock(Ctx *cx, const char *dir, int *fd);
void	 home_unlock(int fd);
/* A journal of a catalogue that stood here before must never be taken for the new one's. */
bool	 home_clear_journal(Ctx *cx, const char *catalog);
bool	 home_sync_folder(Ctx *cx, const char *dir);
bool	 home_master(Ctx *cx, Home *home);	/* loads home->master if it is not there yet */

/* Secrets: sealed under the master key, opened into wiped buffers. */
bool	 home_seal(Ctx *cx, Home *home, const SealPlace *place, const Secret *plain, Bytes *sealed);
bool	 home_unseal(Ctx *cx, Home *home, const SealPlace *place, Bytes sealed, Secret *plain);
bool	 home_tenant_id(Ctx *cx, Home *home, const char *tenant, char **id);	/* 12 letters, opaque, never used twice */
char	*home_passfile(Arena *mem, const Home *home, const char *tenant, const char *user);	/* of a printed URI; may not be there */
char	*home_gateway_passfile(Arena *mem, const Home *home, const char *tenant, const char *user);	/* the same, for a gateway */
bool	 secret_resolve(Ctx *cx, Home *home, const SecretRef *ref, Secret *out);	/* env: file: store: ; a missing one is FAIL_SECRET naming the reference */

/* A lease: one byte of run/lease, dead with its holder, and the tenant's fence, one higher than any before. */
bool	 lease_take(Ctx *cx, Home *home, const char *scope, int64_t run, int64_t *fence);	/* FAIL_LEASED names run, pid, since */
void	 lease_drop(Home *home, const char *scope);
/* One of `n` turns that the processes of a home take at what must not crowd the machine, kept until the process
 * ends.  A courtesy: after `ms` without one (*had false) it goes on all the same.  FAIL_STOPPED. */
bool	 turn_take(Ctx *cx, Home *home, int n, int64_t ms, bool *had);
